"""Image scaling: a part of an image at another size, an image fitted into another aspect ratio."""

from __future__ import annotations

import cv2
import numpy as np

from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

AREA_FROM = 2.0
"""Reduction from which bilinear sampling would skip pixels."""

LARGEST_PART = 4.0
"""Of the image's area: a box may be larger than the image, but its edge is not repeated over gigabytes."""


def crop(image: Image, box: Box, size: tuple[int, int]) -> Image:
    """``box`` of ``image`` at ``size`` (width, height), at subpixel positions, so that a slow move does not step.

    Outside the image its edge is repeated.
    """
    width, height = size
    scale_x, scale_y = box.width / width, box.height / height
    if max(scale_x, scale_y) >= AREA_FROM and box.area <= LARGEST_PART * image.shape[0] * image.shape[1]:
        return _shrunk(image, box, size)
    corner_x, corner_y = box.x + (scale_x - 1) / 2, box.y + (scale_y - 1) / 2  # pixel centres lie at halves
    matrix = np.array([[scale_x, 0, corner_x], [0, scale_y, corner_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The next larger size that yuv420p allows: its chroma is halved in both directions."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """The whole ``image`` at ``size`` (width, height), letterboxed.

    A single missing column or row, as ``even`` causes, repeats the last one.
    """
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    bottom, right = height - image.shape[0], width - image.shape[1]
    if 0 <= bottom <= 1 and 0 <= right <= 1:
        return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    framed = np.zeros((height, width, 3), np.uint8)
    framed[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return framed


def _shrunk(image: Image, box: Box, size: tuple[int, int]) -> Image:
    """``crop`` for large boxes: averages whole pixels, each less than half a pixel of the result."""
    left, top = round(box.x), round(box.y)
    right, bottom = round(box.x + box.width), round(box.y + box.height)
    height, width = image.shape[:2]
    inside = image[min(max(top, 0), height - 1) : max(bottom, 1), min(max(left, 0), width - 1) : max(right, 1)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(margins):
        inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    return np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), np.uint8)
