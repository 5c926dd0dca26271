"""Media tracks that are fed from another thread, for clients that watch."""

from __future__ import annotations

import asyncio
from collections import deque

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.threads import call_in_loop

CAPACITY = {"video": 2, "audio": 25}
"""Frames that may wait for one viewer: 80 ms of video, half a second of audio. The oldest is dropped."""


class FedTrack(MediaStreamTrack):
    """A track for one viewer. ``feed`` and ``finish`` may be called from any thread."""

    def __init__(self, kind: str, loop: asyncio.AbstractEventLoop) -> None:
        self.kind = kind
        super().__init__()
        self._server_loop = loop
        self._pending_frames: deque[VideoFrame | AudioFrame] = deque(maxlen=CAPACITY[kind])
        self._changed = asyncio.Event()
        self._is_finished = False

    @property
    def is_over(self) -> bool:
        """Whether the track was finished and every frame is sent."""
        return self._is_finished and not self._pending_frames

    def feed(self, frame: VideoFrame | AudioFrame) -> None:
        """Send ``frame``, which has a pts and must not change afterwards."""
        self._pending_frames.append(frame)
        call_in_loop(self._server_loop, self._changed.set)

    def finish(self) -> None:
        """End the track once everything that waits is sent."""
        self._is_finished = True
        call_in_loop(self._server_loop, self._changed.set)

    async def recv(self) -> VideoFrame | AudioFrame:
        """The next frame. Raises MediaStreamError at the end."""
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            if self._pending_frames:
                return self._pending_frames.popleft()
            if self._is_finished:
                self.stop()
                raise MediaStreamError
            self._changed.clear()
            if not self._pending_frames and not self._is_finished:
                await self._changed.wait()
