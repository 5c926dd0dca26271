"""Frame order: timestamps of frames whose container has decoding times only, as AVI has for H.264 with B-frames.

A decoder gives frames in the order in which they are shown, so their timestamps must increase.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

from av.video.frame import VideoFrame

REORDERED_FRAMES = 4
"""Frames that are held once timestamps were out of order. Encoders reorder three by default."""


class FrameOrder:
    """Frames of one stream with their times in seconds, in order; None where a frame has no timestamp.

    Holds nothing until a timestamp is behind the one before it. From then on a frame gets the smallest timestamp of
    those that are held.
    """

    def __init__(self) -> None:
        self._frames: deque[VideoFrame] = deque()
        self._times: list[float] = []
        self._last: float | None = None
        self._reach = 0

    def push(self, frames: Iterable[VideoFrame], *, is_end: bool) -> Iterator[tuple[float | None, VideoFrame]]:
        """The frames that are settled by ``frames``, the next ones decoded; at the end also those that are held."""
        for frame in frames:
            yield from self._push(frame)
        if is_end:
            yield from self._settled(0)

    def _push(self, frame: VideoFrame) -> Iterator[tuple[float | None, VideoFrame]]:
        if frame.pts is None or frame.time_base is None:
            yield from self._settled(0)
            yield None, frame
            return
        time = float(frame.pts * frame.time_base)
        if self._last is not None and time < self._last:
            self._reach = REORDERED_FRAMES
        self._frames.append(frame)
        heapq.heappush(self._times, time)
        yield from self._settled(self._reach)

    def _settled(self, held: int) -> Iterator[tuple[float | None, VideoFrame]]:
        while len(self._frames) > held:
            self._last = heapq.heappop(self._times)
            yield self._last, self._frames.popleft()
