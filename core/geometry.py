"""Boxes: rectangles in pixels of the source frame, and their overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Box:
    """A rectangle: x and y of the top left corner, width, height, all in pixels (not rounded, may leave the frame)."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        return self.width * self.height

    def contains(self, point: tuple[float, float]) -> bool:
        """Whether (x, y) lies in the box; its right and lower edges do not belong to it."""
        x, y = point
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    def expanded(self, factor: float, rise: float = 0.0) -> Box:
        """The box scaled by ``factor`` about its centre, then moved up by ``rise`` × the old height."""
        width, height = self.width * factor, self.height * factor
        centre_x, centre_y = self.centre
        return Box(centre_x - width / 2, centre_y - height / 2 - rise * self.height, width, height)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a ``width`` × ``height`` frame; zero-sized when there is none."""
        left, top = min(max(self.x, 0.0), width), min(max(self.y, 0.0), height)
        right = min(max(self.x + self.width, left), width)
        bottom = min(max(self.y + self.height, top), height)
        return Box(left, top, right - left, bottom - top)


def iou_matrix(first: Sequence[Box], second: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair: ``len(first)`` × ``len(second)``, in [0, 1]."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    a = np.array([(b.x, b.y, b.x + b.width, b.y + b.height) for b in first])[:, None]
    b = np.array([(b.x, b.y, b.x + b.width, b.y + b.height) for b in second])[None]
    extent = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    overlap = extent[..., 0] * extent[..., 1]
    areas_a = np.prod(a[..., 2:] - a[..., :2], axis=-1)
    areas_b = np.prod(b[..., 2:] - b[..., :2], axis=-1)
    return np.asarray(overlap / np.maximum(areas_a + areas_b - overlap, 1e-9))
