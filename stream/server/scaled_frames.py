"""Brings a connection's pictures to one size: WebRTC changes it with bandwidth and load, faces must not jump."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.frame import VideoFrame
from speakerlight.core.media import Image

SHORTEST_LONG_SIDE = 320

LONG_SIDE = 1280
"""Pixels. Enough for the faces of a meeting's gallery; senders begin at a quarter of it."""


class ScaledFrames:
    """Pictures as BGR; their size changes with the shape alone (a turned phone, another window shared).

    ``long_side``: how many pixels the longer side shall have; SHORTEST_LONG_SIDE to LONG_SIDE, or else the nearest.
    """

    def __init__(self, long_side: int = LONG_SIDE) -> None:
        self._long_side = min(max(long_side, SHORTEST_LONG_SIDE), LONG_SIDE)
        self.size: tuple[int, int] | None = None
        """Width and height, in pixels, of what was made last."""

    def make(self, picture: VideoFrame) -> Image:
        """Height × width × 3."""
        if self.size is None or not _same_shape(self.size, (picture.width, picture.height)):
            scale = self._long_side / max(picture.width, picture.height)
            self.size = max(round(picture.width * scale), 2), max(round(picture.height * scale), 2)
        image = picture.reformat(format="bgr24", threads=1).to_ndarray()
        # OpenCV scales BGR in half the time that FFmpeg takes to do both.
        scaled = cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(scaled, np.uint8)


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Senders scale down to whole and even pixels: sides may be off by a few."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= 0.02 * a[0] * b[1]
