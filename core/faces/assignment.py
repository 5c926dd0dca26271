"""Optimal assignment of rows to columns by the largest total gain, for the few faces of one frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def best_pairs(gain: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (row, column) of the largest total ``gain``; each row and column at most once, min(rows, columns) pairs.

    Equal to ``scipy.optimize.linear_sum_assignment``, whose package takes as long to import as the rest of face
    detection. Shortest augmenting paths (Jonker and Volgenant, 1987).
    """
    rows, columns = gain.shape
    if rows > columns:
        return [(row, column) for column, row in best_pairs(gain.T)]
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for row in range(rows):
        _augment(-gain, row, row_price, column_price, row_of)
    return [(int(row_of[column]), int(column)) for column in np.flatnonzero(row_of >= 0)]


def _augment(
    cost: npt.NDArray[np.float64],
    row: int,
    row_price: npt.NDArray[np.float64],
    column_price: npt.NDArray[np.float64],
    row_of: npt.NDArray[np.int_],
) -> None:
    """Assign ``row`` to a column, moving others along the cheapest path; updates prices and ``row_of`` (by column)."""
    distance = cost[row] - row_price[row] - column_price
    before = np.full(len(distance), -1)
    done = np.zeros(len(distance), np.bool_)
    while True:
        column = int(np.argmin(np.where(done, np.inf, distance)))
        reached, other = distance[column], row_of[column]
        if other < 0:
            break
        done[column] = True
        through = reached + cost[other] - row_price[other] - column_price
        nearer = ~done & (through < distance)
        distance[nearer], before[nearer] = through[nearer], column
    row_price[row] += reached
    row_price[row_of[done]] += reached - distance[done]
    column_price[done] -= reached - distance[done]
    while before[column] >= 0:
        row_of[column] = row_of[before[column]]
        column = int(before[column])
    row_of[column] = row
