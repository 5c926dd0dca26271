"""Frame scaling: brings a connection's frames to one size. WebRTC varies it with bandwidth; faces must not jump."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.frame import VideoFrame

from speakerlight.core.media import Image

SHORTEST_LONG_SIDE = 320

LONG_SIDE = 1280
"""Pixels. Enough for the faces of a meeting's gallery; senders start at a quarter of it."""


class ScaledFrames:
    """Converts frames to BGR of one size, which changes only with the aspect ratio (a turned phone, another window).

    ``long_side``: pixels of the longer side, clipped to SHORTEST_LONG_SIDE … LONG_SIDE.
    """

    def __init__(self, long_side: int = LONG_SIDE) -> None:
        self._long_side = min(max(long_side, SHORTEST_LONG_SIDE), LONG_SIDE)
        self.size: tuple[int, int] | None = None
        """Width and height of the last frame, in pixels; None before the first."""

    def make(self, frame: VideoFrame) -> Image:
        """The scaled frame, height × width × 3, uint8 BGR."""
        if self.size is None or not _same_shape(self.size, (frame.width, frame.height)):
            scale = self._long_side / max(frame.width, frame.height)
            self.size = max(round(frame.width * scale), 2), max(round(frame.height * scale), 2)
        image = frame.reformat(format="bgr24", threads=1).to_ndarray()
        # OpenCV scales BGR in half the time that FFmpeg takes to convert and scale.
        scaled = cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(scaled, np.uint8)


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes have the same aspect ratio. Senders scale to even pixels, so sides may be off by a few."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= 0.02 * a[0] * b[1]
