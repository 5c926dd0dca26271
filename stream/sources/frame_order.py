"""Frame order: frames by increasing timestamps, and no more of them than can be used.

A decoder gives frames in the order in which they are shown, so their timestamps must increase, also where the container
has decoding times only, as AVI has for H.264 with B-frames. Of a slow-motion camera's 1000 frames a second most are
skipped before they are converted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from av.video.frame import VideoFrame

REORDERED_FRAMES = 4
"""Frames that are held once timestamps were out of order. Encoders reorder three by default."""

NEAREST_SECONDS = 0.016
"""A frame is skipped when the next one also follows the last used one within this. All frames up to 120 a second are
used, and about 70 of 1000; the last frame before a pause always."""


class FrameOrder:
    """Frames of one stream with their times in seconds, in order; None where a frame has no timestamp.

    Holds nothing until a timestamp is behind the one before it. From then on a frame gets the smallest timestamp of
    those that are held. ``report`` receives one line where frames are skipped.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._frames: deque[VideoFrame] = deque()
        self._times: list[float] = []
        self._last: float | None = None
        self._reach = 0
        self._used: float | None = None
        self._next: tuple[float, VideoFrame] | None = None
        self._is_thinned = False

    def push(self, frames: Iterable[VideoFrame], *, is_end: bool) -> Iterator[tuple[float | None, VideoFrame]]:
        """The frames that are settled by ``frames``, the next ones decoded; at the end also those that are held."""
        for frame in frames:
            yield from self._push(frame)
        if is_end:
            yield from self._flush()

    def _push(self, frame: VideoFrame) -> Iterator[tuple[float | None, VideoFrame]]:
        if frame.pts is None or frame.time_base is None:
            yield from self._flush()
            yield None, frame
            return
        time = float(frame.pts * frame.time_base)
        if self._last is not None and time < self._last:
            self._reach = REORDERED_FRAMES
        self._frames.append(frame)
        heapq.heappush(self._times, time)
        for settled in self._settled(self._reach):
            yield from self._thinned(*settled)

    def _flush(self) -> Iterator[tuple[float, VideoFrame]]:
        for settled in self._settled(0):
            yield from self._thinned(*settled)
        if self._next is not None:
            yield self._next
            self._next = None

    def _thinned(self, time: float, frame: VideoFrame) -> Iterator[tuple[float, VideoFrame]]:
        """``frame``, or the one held before it; nothing where one of them is skipped or held."""
        if self._next is not None and self._is_near(time):
            if not self._is_thinned:
                self._is_thinned = True
                self._report("it has more frames a second than can be used; some are skipped")
        elif self._next is not None:
            self._used, _ = self._next
            yield self._next
        self._next = (time, frame) if self._is_near(time) else None
        if self._next is None:
            self._used = time
            yield time, frame

    def _is_near(self, time: float) -> bool:
        return self._used is not None and time - self._used < NEAREST_SECONDS

    def _settled(self, held: int) -> Iterator[tuple[float, VideoFrame]]:
        while len(self._frames) > held:
            self._last = heapq.heappop(self._times)
            yield self._last, self._frames.popleft()
