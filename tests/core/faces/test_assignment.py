from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from speakerlight.core.faces.assignment import best_pairs


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 7), (7, 3), (25, 25), (4, 25), (25, 6)])
def test_the_total_is_scipys(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for share_of_zeros in (0.0, 0.5, 0.95):
        gain = random.uniform(0, 1.5, shape) * (random.uniform(size=shape) >= share_of_zeros)
        pairs = best_pairs(gain)
        rows, columns = map(list, zip(*pairs, strict=True))
        assert len(set(rows)) == len(set(columns)) == len(pairs) == min(shape)
        assert gain[rows, columns].sum() == pytest.approx(gain[linear_sum_assignment(gain, maximize=True)].sum())


def test_a_second_choice_is_made_where_the_total_is_better() -> None:
    assert sorted(best_pairs(np.array([[0.9, 0.8], [0.9, 0.1]]))) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_empty_sides_give_no_pairs(shape: tuple[int, int]) -> None:
    assert best_pairs(np.zeros(shape)) == []
