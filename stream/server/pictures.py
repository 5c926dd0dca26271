"""Brings a connection's pictures to one size: WebRTC changes it with bandwidth and load, faces must not jump."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from core.media import Image

LONG_SIDE = 1280
"""Pixels. What a camera gives, and enough for the faces of a meeting's gallery; senders begin at a quarter of it."""


class ScaledPictures:
    """Pictures as BGR of LONG_SIDE; the size changes with the shape alone (a turned phone, another window shared)."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        """Width and height, in pixels, of what was made last."""

    def make(self, picture: VideoFrame) -> Image:
        """Height × width × 3."""
        if self.size is None or not _same_shape(self.size, (picture.width, picture.height)):
            scale = LONG_SIDE / max(picture.width, picture.height)
            self.size = max(round(picture.width * scale), 2), max(round(picture.height * scale), 2)
        width, height = self.size
        scaled = picture.reformat(
            width=width, height=height, format="bgr24", interpolation=Interpolation.BILINEAR, threads=1
        )
        return np.ascontiguousarray(scaled.to_ndarray(), np.uint8)


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Senders scale down to whole and even pixels: sides may be off by a few."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= 0.02 * a[0] * b[1]
