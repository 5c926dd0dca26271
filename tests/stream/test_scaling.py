"""Crops: the right part, at the right place to a part of a pixel, at every scale."""

from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.scaling import crop, even, fitted


def ramp(width: int = 400, height: int = 200) -> Image:
    """Each pixel's blue is half its column, its green its row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width) // 2
    image[..., 1] = np.arange(height)[:, None]
    return image


def test_a_crop_at_its_own_size_is_the_part_itself() -> None:
    np.testing.assert_array_equal(crop(ramp(), Box(40, 30, 60, 50), (60, 50)), ramp()[30:80, 40:100])


@pytest.mark.parametrize("size", [(25, 25), (80, 80), (200, 200)])
def test_the_middle_stays_the_middle_at_every_scale(size: tuple[int, int]) -> None:
    part = crop(ramp(), Box(100, 50, 100, 100), size)
    assert part.shape == (size[1], size[0], 3)
    assert part[..., 0].mean() == pytest.approx(74.5, abs=1.0)
    assert part[..., 1].mean() == pytest.approx(99.5, abs=1.0)


def test_a_move_of_half_a_pixel_is_seen() -> None:
    steep = np.repeat(2 * np.arange(100, dtype=np.uint8)[:, None], 200, axis=1)  # half of a step is a whole number
    first, half, whole = (crop(steep, Box(40, 30 + step, 60, 50), (60, 50)).astype(int) for step in (0, 0.5, 1))
    assert (half == first + 1).all() and (whole == first + 2).all()


@pytest.mark.parametrize("size", [(50, 50), (10, 10)])
@pytest.mark.parametrize("corner", [(-30, -30), (370, 170), (500, 500), (-500, -500)])
def test_outside_the_frame_its_edge_is_repeated(size: tuple[int, int], corner: tuple[float, float]) -> None:
    image = np.full((200, 400, 3), 77, np.uint8)
    assert (crop(image, Box(*corner, 60, 60), size) == 77).all()


@pytest.mark.parametrize("size", [(200, 200), (800, 100), (40, 40), (400, 200)])
def test_a_frame_is_fitted_in_whole_with_its_shape_and_in_the_middle(size: tuple[int, int]) -> None:
    white = np.full((200, 400, 3), 255, np.uint8)
    framed = fitted(white, size)
    rows, columns = np.nonzero(framed.all(axis=-1))
    assert framed.shape == (size[1], size[0], 3)
    assert np.ptp(columns) + 1 == 2 * (np.ptp(rows) + 1)
    assert np.ptp(columns) + 1 == size[0] or np.ptp(rows) + 1 == size[1]
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (size[1] - 1, size[0] - 1)


def test_an_odd_frame_in_its_even_size_repeats_its_last_column_and_row() -> None:
    assert even((399, 199)) == (400, 200) and even((400, 200)) == (400, 200)
    framed = fitted(ramp(399, 199), even((399, 199)))
    np.testing.assert_array_equal(framed[:199, :399], ramp(399, 199))
    np.testing.assert_array_equal(framed[199, :399], framed[198, :399])
    np.testing.assert_array_equal(framed[:, 399], framed[:, 398])
