"""Soft painting on a transparent layer: filled outlines and blobs, anti-aliased, in units of the drawn person."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.demo.person import Colour
from speakerlight.core.media import Image

Field = npt.NDArray[np.float32]
Outline = npt.NDArray[np.float64]
"""Corners of a polygon: points × 2, x to the right and y down, in units."""

Light = Callable[[Field, Field], Field]
"""Brightness, about 1, at x (1 × columns) and y (rows × 1): rows × columns."""

SUBPIXEL_BITS = 4


class Layer:
    """A transparent image, painted in units about an origin.

    ``colour`` (rows × columns × 3, float32, premultiplied by ``alpha``) and ``alpha`` (rows × columns, in [0, 1]).
    ``origin``: the pixel (x, y) at which the units are zero. ``scale``: pixels a unit.
    """

    def __init__(self, colour: Field, alpha: Field, origin: tuple[float, float], scale: float) -> None:
        self.colour, self.alpha, self.origin, self.scale = colour, alpha, origin, scale

    @classmethod
    def clear(cls, columns: int, rows: int, origin: tuple[float, float], scale: float) -> Layer:
        return cls(np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32), origin, scale)

    def rows(self, first: int, after: int) -> Layer:
        """A copy of some rows; units keep their place."""
        origin = self.origin[0], self.origin[1] - first
        return Layer(self.colour[first:after].copy(), self.alpha[first:after].copy(), origin, self.scale)

    def fill(
        self,
        outline: Outline,
        colour: Colour,
        opacity: float = 1.0,
        softness: float = 0.0,
        light: Light | None = None,
        within: Outline | None = None,
    ) -> None:
        """Fill an outline. ``softness``: width of its edge in units. ``light``: brightness by place, in units.

        ``within``: paint only inside this other outline.
        """
        blur = softness * self.scale
        region = self._region(outline, 2 * blur + 2)
        if region is None:
            return
        rows, columns = region
        mask = self._mask(outline, rows, columns, blur) * np.float32(opacity)
        if within is not None:
            mask *= self._mask(within, rows, columns, 0.0)
        paint: Field = np.full((*mask.shape, 3), colour, np.float32)
        if light is not None:
            x = (np.arange(columns.start, columns.stop) - self.origin[0]) / self.scale
            y = (np.arange(rows.start, rows.stop) - self.origin[1]) / self.scale
            paint *= light(x[None, :].astype(np.float32), y[:, None].astype(np.float32))[..., None]
        self.colour[rows, columns] *= (1 - mask)[..., None]
        self.colour[rows, columns] += np.clip(paint, 0, 255) * mask[..., None]
        self.alpha[rows, columns] += mask * (1 - self.alpha[rows, columns])

    def under(self, top: Layer) -> None:
        """Put ``top``, of the same size, over this layer."""
        self.colour = self.colour * (1 - top.alpha)[..., None] + top.colour
        self.alpha = self.alpha + top.alpha * (1 - self.alpha)

    def pixels(self, columns: int, rows: int) -> Image:
        """Shrunk to rows × columns × 4: BGR premultiplied by alpha, and alpha; uint8."""
        whole = np.dstack([self.colour, self.alpha * 255])
        return np.asarray(np.rint(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)), np.uint8)

    def _region(self, outline: Outline, margin: float) -> tuple[slice, slice] | None:
        height, width = self.alpha.shape
        pixels = outline * self.scale + self.origin
        left, top = np.maximum(np.floor(pixels.min(axis=0) - margin), 0).astype(int)
        right, bottom = np.minimum(np.ceil(pixels.max(axis=0) + margin) + 1, (width, height)).astype(int)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def _mask(self, outline: Outline, rows: slice, columns: slice, blur: float) -> Field:
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        corners = outline * self.scale + self.origin - (columns.start, rows.start)
        fill_outline(mask, corners, 255)
        if blur > 0.5:
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), blur, borderType=cv2.BORDER_REPLICATE), np.uint8)
        return np.asarray(mask / np.float32(255), np.float32)


def fill_outline(image: Image, corners: Outline, colour: float | tuple[float, ...]) -> None:
    """Fill a polygon given in pixels, in place, anti-aliased and placed to a sixteenth of a pixel."""
    fixed = np.rint(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, SUBPIXEL_BITS)


def ellipse(x: float, y: float, half_width: float, half_height: float, tilt: float = 0.0) -> Outline:
    """An ellipse about (x, y), turned by ``tilt`` radians."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    across, down = half_width * np.cos(angle), half_height * np.sin(angle)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    return np.column_stack([x + across * cosine - down * sine, y + across * sine + down * cosine])


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def band(upper: Outline, lower: Outline) -> Outline:
    """The area between two curves that both run from left to right."""
    return np.concatenate([upper, lower[::-1]])


def lowered(curve: Outline, by: float) -> Outline:
    """``curve``, ``by`` units lower."""
    return np.asarray(curve + np.array([0.0, by]))
