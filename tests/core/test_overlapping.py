"""Windows of an array are NumPy's own, and never reach beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.overlapping import overlapping


def test_windows_are_numpys_own() -> None:
    array = np.arange(60, dtype=np.float32).reshape(2, 30)
    expected = np.lib.stride_tricks.sliding_window_view(array, 6, axis=1)[:, ::4]
    np.testing.assert_array_equal(overlapping(array, (2, 7, 6), (30, 4, 1)), expected)


def test_nothing_is_copied() -> None:
    array = np.zeros(10)
    windows = overlapping(array, (8, 3), (1, 1))
    array[9] = 1.0
    assert windows[7].tolist() == [0.0, 0.0, 1.0]


def test_values_that_lie_apart_are_put_one_behind_the_other() -> None:
    array = np.arange(20).reshape(10, 2)[:, 1]
    assert overlapping(array, (9, 2), (1, 1))[8].tolist() == [17, 19]


@pytest.mark.parametrize("shape", [(9, 3), (1, 11)])
def test_beyond_the_array_nothing_is_read(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size of buffer"):
        overlapping(np.zeros(10), shape, (1, 1))
