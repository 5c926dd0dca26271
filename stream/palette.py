"""Colour palette: one colour a person, the same in the overlay and in the plot."""

from __future__ import annotations

Rgb = tuple[int, int, int]

PALETTE: tuple[Rgb, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 170, 120),  # green
    (204, 121, 167),  # pink
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (70, 130, 220),  # blue
    (153, 153, 51),  # olive
    (190, 55, 100),  # wine
    (68, 170, 153),  # teal
    (221, 204, 119),  # sand
    (180, 100, 210),  # purple
)
"""After Okabe and Ito, then Paul Tol's "muted": distinguishable with every common colour blindness. Dark colours
are lightened, to be visible on dark plates and on white paper."""


def colour(person: int) -> Rgb:
    """The colour of a person, as red, green, blue. Colours repeat after twelve people."""
    return PALETTE[(person - 1) % len(PALETTE)]


def is_light(rgb: Rgb) -> bool:
    """Whether black text reads better on it than white (relative luminance above that of mid grey)."""
    red, green, blue = rgb
    return 0.299 * red + 0.587 * green + 0.114 * blue > 128
