"""Cut detection in the video (shot boundaries): whether a frame begins a shot, which faces a local cut replaced.

A cut is found from the change between two successive frames, compared at a small size, together with the change at each
tracked face. A change at one face alone is a local cut: a tile of a video call that shows another participant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CutSettings:
    """Thresholds of change. Measured on 2,000 s of film and 60 cuts: across cuts at least 0.75 of the textured pixels
    change and the correlation stays below 0.62; where one shot jumps in time, 0.67 change and it stays above 0.65."""

    cut_change: float = 0.68
    """Share of textured pixels that changed, above which a frame may begin a new shot …"""
    cut_correlation: float = 0.7
    """… when the two frames correlate less than this."""
    face_change: float = 0.65
    """The same share around one face, above which another face may have replaced it …"""
    face_correlation: float = 0.6
    """… when the two cuts around it correlate less than this …"""
    face_correlation_at_cut: float = 0.75
    """… or, where the whole frame changed, less than this."""
    failed_faces: float = 0.5
    """A new shot replaces at least this share of the tracked faces."""
    face_field: float = 1.5
    """Side of the region compared around a face, in box sides."""
    longest_gap_seconds: float = 0.3
    """Frames further apart are not compared around a face: a head moves too far in between."""


@dataclass(frozen=True)
class Change:
    """What changed since the frame before. ``is_cut``: a new shot; ``replaced``: indices of the faces at whose place
    something else is: another face, nothing, or the same one where a recording jumps in time."""

    is_cut: bool
    replaced: frozenset[int]


_NO_CHANGE = Change(is_cut=False, replaced=frozenset())

_FRAME_SIZE = (64, 36)
_FACE_SIZE = (16, 16)

_STEP = 12.0
"""Grey levels by which a pixel differs from its neighbour to be textured, or from itself to have changed."""

_FEWEST_PIXELS = 20
"""A frame with fewer textured pixels than this is empty and cannot be compared."""

_STRAIGHT = 4.0
"""Deviation in grey levels below which an image is flat: its contrast is not equalized."""


class CutDetector:
    """Compares each frame with the one before. Keeps a reference to that frame."""

    def __init__(self, settings: CutSettings | None = None) -> None:
        self._settings = settings or CutSettings()
        self._before: Image | None = None
        self._small: Grey = np.zeros(_FRAME_SIZE[::-1], np.float32)
        self._time = 0.0

    @property
    def small(self) -> Grey:
        """The last frame at a small size, grey levels [36, 64]; zeros before the first."""
        return self._small

    def update(self, time: float, image: Image, faces: Sequence[Box]) -> Change:
        """Compare ``image`` at ``time`` (seconds) with the last one; ``faces``: where the tracked faces are."""
        before, small_before, seconds = self._before, self._small, time - self._time
        self._before, self._small, self._time = image, _small(image, _FRAME_SIZE), time
        if before is None or before.shape != image.shape:
            return _NO_CHANGE
        s = self._settings
        is_cut = _differ(small_before, self._small, s.cut_change, s.cut_correlation)
        if seconds > s.longest_gap_seconds:
            return Change(is_cut, frozenset())
        limit = s.face_correlation_at_cut if is_cut else s.face_correlation
        replaced = frozenset(i for i, box in enumerate(faces) if self._is_replaced(before, image, box, limit))
        return Change(is_cut and len(replaced) >= s.failed_faces * len(faces), replaced)

    def _is_replaced(self, before: Image, image: Image, box: Box, limit: float) -> bool:
        s = self._settings
        height, width = image.shape[:2]
        part = box.expanded(s.face_field).clipped(width, height)
        left, top = int(part.x), int(part.y)
        rows, columns = slice(top, top + int(part.height)), slice(left, left + int(part.width))
        if image[rows, columns].size == 0:
            return False
        first, second = before[rows, columns], image[rows, columns]
        return _differ(_small(first, _FACE_SIZE), _small(second, _FACE_SIZE), s.face_change, limit)


def _small(image: Image, size: tuple[int, int]) -> Grey:
    """Grey at ``size``: bilinear to twice that, then averaged."""
    twice = cv2.resize(image, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(twice, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _differ(first: Grey, second: Grey, least_change: float, correlation: float) -> bool:
    """Whether two images correlate less than ``correlation`` and at least this share of their textured pixels changed,
    brightness and contrast aside. False when both are blank."""
    (level, deviation), (other_level, other_deviation) = _statistics(first), _statistics(second)
    is_blank = min(deviation, other_deviation) < _STRAIGHT
    if not is_blank:
        # Nearly every frame ends here: the next steps take four fifths of the time.
        covariance = float(np.vdot(first - level, second - other_level)) / first.size
        if covariance / max(deviation * other_deviation, 1e-6) >= correlation:
            return False
    matched = second if is_blank else (second - other_level) * (deviation / other_deviation) + level
    difference = np.abs(first - matched)
    textured = (_gradient(first) > _STEP) | (_gradient(second) > _STEP) | (difference > _STEP)
    if int(textured.sum()) < _FEWEST_PIXELS:
        return False
    return float((difference[textured] > _STEP).mean()) >= least_change


def _statistics(image: Grey) -> tuple[float, float]:
    """Mean and standard deviation of the grey levels; ``ndarray.std`` takes three times as long."""
    (level,), (deviation,) = cv2.meanStdDev(image)
    return float(level[0]), float(deviation[0])


def _gradient(image: Grey) -> Grey:
    steep = np.zeros_like(image)
    steep[:-1] += np.abs(np.diff(image, axis=0))
    steep[:, :-1] += np.abs(np.diff(image, axis=1))
    return steep
