"""Mouth crops: the lower face, rotated upright and scaled to one size by BlazeFace's eyes and mouth centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.detection import LEFT_EYE, MOUTH, RIGHT_EYE, Keypoints
from speakerlight.core.media import Image

Crop = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MouthCrop:
    """The mouth crop that a model takes.

    ``side_pixels``: side of the square crop. ``field``: the crop's side on the face, in units of the larger of eye
    distance and eye–mouth distance: when a head turns aside one shrinks and the other stays. 1.25 covers lips and chin
    (measured).
    """

    side_pixels: int
    field: float


def mouth_crop(image: Image, keypoints: Keypoints, wanted: MouthCrop) -> Crop:
    """The grey mouth crop of a face: uint8, ``side_pixels`` square, edge pixels repeated where it leaves the frame."""
    # Plain numbers: for two of them the overhead of NumPy exceeds the computation.
    (right_x, right_y), (left_x, left_y), mouth = keypoints[[RIGHT_EYE, LEFT_EYE, MOUTH]].tolist()
    across = left_x - right_x, left_y - right_y
    down = mouth[0] - (right_x + left_x) / 2, mouth[1] - (right_y + left_y) / 2
    reach = max(math.hypot(*across), math.hypot(*down), 1.0)
    # The eye line gives the tilt. In a side view the eyes nearly coincide and the eye-mouth line (rotated by 90
    # degrees) is steadier, so the two are added.
    tilt = math.atan2(across[1] - down[0], across[0] + down[1])
    pixels_per_crop_pixel = wanted.field * reach / wanted.side_pixels
    return _sample(image, mouth, tilt, pixels_per_crop_pixel, wanted.side_pixels)


def _sample(image: Image, centre: Sequence[float], tilt: float, step: float, side: int) -> Crop:
    """A ``side`` square around ``centre``, rotated by ``tilt``, one crop pixel being ``step`` source pixels."""
    half_diagonal = step * side * 0.75 + 2
    left, top = int(centre[0] - half_diagonal), int(centre[1] - half_diagonal)
    right, bottom = int(centre[0] + half_diagonal) + 1, int(centre[1] + half_diagonal) + 1
    height, width = image.shape[:2]
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    x, y, step_x, step_y = centre[0] - left, centre[1] - top, step, step
    # Bilinear sampling with steps of two pixels or more skips pixels and shimmers: average whole pixels first.
    if (shrink := int(step)) >= 2:
        size = (max(1, grey.shape[1] // shrink), max(1, grey.shape[0] // shrink))
        scale_x, scale_y = size[0] / grey.shape[1], size[1] / grey.shape[0]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        x, y = (x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5
        # Not quite equal in both directions: the part's sides are whole numbers of pixels before and after.
        step_x, step_y = step * scale_x, step * scale_y
    turn = step_x * math.cos(tilt), -step_x * math.sin(tilt), step_y * math.sin(tilt), step_y * math.cos(tilt)
    middle = (side - 1) / 2
    shift_x, shift_y = x - (turn[0] + turn[1]) * middle, y - (turn[2] + turn[3]) * middle
    to_source = np.array([[turn[0], turn[1], shift_x], [turn[2], turn[3], shift_y]])
    crop = cv2.warpAffine(
        grey, to_source, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)
