"""Drawing the mouth: lips, teeth and tongue for a pose of the lips."""

from __future__ import annotations

import cv2
import numpy as np

from speakerlight.core.demo.articulation import Lips
from speakerlight.core.demo.paint import Outline, band, fill_outline
from speakerlight.core.demo.person import Colour, Look
from speakerlight.core.media import Image

MOUTH_Y = 0.27
"""Height of the line between the lips, in face heights below the middle of the face."""

WIDEST_GAP = 0.115
"""Gap between the lips at ``opening`` 1: about 20 mm of an 18 cm face."""

JAW_DROP = 0.075
"""How far the chin drops at ``opening`` 1; the lips make the rest of the gap."""

CORNER_LIFT = -0.014
"""Height of the corners of a mouth at rest: without it people look cross."""

ACROSS = np.linspace(-1, 1, 17)
ARCH = np.sqrt(1 - ACROSS**2)
BOW = ARCH**0.8 * (1 - 0.28 * np.exp(-((ACROSS / 0.16) ** 2)))


def draw_mouth(head: Image, origin: tuple[float, float], scale: float, look: Look, lips: Lips) -> None:
    """Draw the mouth on a head, in place: ``head`` is BGRA, ``origin`` the middle of the face, ``scale`` its height."""
    gap = WIDEST_GAP * lips.opening * (1 - 0.25 * lips.rounding)
    half = look.mouth_width * (1 + 0.16 * lips.spread + 0.22 * lips.smile - 0.36 * lips.rounding - 0.05 * lips.opening)
    full = 0.034 * look.lip_fullness * (1 + 0.3 * lips.rounding - 0.2 * lips.spread) * (1 - 0.45 * lips.press)
    rise, fall = 0.28 * gap + 0.01 * lips.tuck, 0.72 * gap
    corner = CORNER_LIFT - 0.03 * lips.smile

    def curve(height: float, profile: Outline, width: float = half) -> Outline:
        y = MOUTH_Y + corner * (np.abs(ACROSS) ** 1.5 - 0.4) + height * profile
        return np.column_stack([ACROSS * width, y]) * scale + origin

    inner_half = half * 0.9
    inner_top = curve(-rise, ARCH, inner_half)
    inner_bottom = curve(fall, ARCH, inner_half)
    full_lower = full * (1.15 - 0.75 * lips.tuck)
    outer_top = curve(-rise - full, BOW)
    outer_bottom = curve(fall + full_lower, ARCH)

    fill_outline(head, band(outer_top, inner_top), opaque(look.lips, 0.84))
    fill_outline(head, band(inner_bottom, outer_bottom), opaque(look.lips, 1.0))
    shine = band(curve(fall + 0.35 * full_lower, ARCH, half * 0.5), curve(fall + 0.6 * full_lower, ARCH, half * 0.5))
    fill_outline(head, shine, opaque(look.lips, 1.12))
    if gap * scale > 0.4:
        fill_outline(head, band(inner_top, inner_bottom), (22, 16, 38, 255))
        _draw_inside(head, inner_top, inner_bottom, scale, lips)
    seam = opaque(look.lips, 0.5)
    if gap * scale <= 1.2:
        line = np.rint((inner_top + inner_bottom) * 8).astype(np.int32)
        cv2.polylines(head, [line], False, seam, max(1, round(scale * 0.008)), cv2.LINE_AA, 4)
    _soften(head, outer_top, outer_bottom, scale)


def _draw_inside(head: Image, top: Outline, bottom: Outline, scale: float, lips: Lips) -> None:
    """Tongue below, upper teeth above, lower teeth when the lips are spread."""
    space = bottom[:, 1] - top[:, 1]

    def between(first: Outline, last: Outline, cut: int) -> Outline:
        inside = slice(cut, len(space) - cut)
        upper, lower = top.copy(), top.copy()
        upper[:, 1] += first
        lower[:, 1] += last
        return band(upper[inside], lower[inside])

    tongue = np.minimum(space, 0.05 * scale * ARCH)
    fill_outline(head, between(space - tongue, space, 3), (92, 84, 168, 255))
    shown = (0.018 + 0.012 * lips.spread + 0.016 * lips.tuck) * (1 - 0.7 * lips.rounding)
    teeth = np.minimum(space * (0.55 + 0.45 * lips.tuck), shown * scale * ARCH**0.5)
    fill_outline(head, between(np.zeros_like(space), teeth, 2), (214, 224, 228, 255))
    lower_teeth = np.minimum(space * 0.25, 0.014 * lips.spread * scale * ARCH)
    if lower_teeth.max() > 0.5:
        fill_outline(head, between(space - lower_teeth, space, 4), (176, 188, 194, 255))


def _soften(head: Image, top: Outline, bottom: Outline, scale: float) -> None:
    """Blur the mouth slightly: no camera gives edges this sharp."""
    left, right = int(top[0, 0]) - 2, int(top[-1, 0]) + 3
    upper, lower = int(top[:, 1].min()) - 2, int(bottom[:, 1].max()) + 3
    patch = head[upper:lower, left:right]
    cv2.GaussianBlur(patch, (0, 0), max(0.6, scale * 0.004), dst=patch)


def opaque(colour: Colour, brightness: float) -> tuple[float, float, float, float]:
    blue, green, red = (min(channel * brightness, 255.0) for channel in colour)
    return blue, green, red, 255.0
