"""Compiled functions: the same whatever the batch's size, and a graph of its own for a size that keeps coming."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

import numpy as np
import pytest

from speakerlight.core.models.compact import CROP, FRAME_STACK, FRAME_WINDOW, WEIGHTS_FILE, WIDTH
from speakerlight.core.models.compact_graphs import load_graphs
from speakerlight.core.models.openvino_graph import _IDLE_CALLS, _IN_A_ROW, _MOST_ROWS, _MOST_SIZES, Compiled, Node, ops

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


class Counted:
    """A small layer, and how often a graph of it was made."""

    def __init__(self, batch: int | None = None) -> None:
        self.made = 0
        self.compiled = Compiled(self._layer, (4,), np.float32, "f32", batch)

    def _layer(self, rows: Node) -> Node:
        self.made += 1
        return ops.relu(ops.matmul(rows, WEIGHTS, transpose_a=False, transpose_b=False))

    def of(self, size: int) -> None:
        rows = np.random.default_rng(size).normal(size=(size, 4)).astype(np.float32)
        np.testing.assert_allclose(self.compiled(rows), np.maximum(rows @ WEIGHTS, 0), atol=1e-5)


def test_a_size_that_keeps_coming_gets_a_graph_of_its_own_once() -> None:
    layer = Counted()
    for _ in range(_IN_A_ROW):
        layer.of(3)
    assert layer.made == 1
    for _ in range(3 * _IN_A_ROW):
        layer.of(3)
    assert layer.made == 2


def test_sizes_that_change_all_the_time_get_none() -> None:
    layer = Counted()
    for size in 5 * [1, 2, 3, 2]:
        layer.of(size)
    assert layer.made == 1


def test_the_one_size_of_all_batches_has_the_only_graph() -> None:
    layer = Counted(batch=3)
    for _ in range(2 * _IN_A_ROW):
        layer.of(3)
    assert layer.made == 1


def test_those_used_last_are_kept() -> None:
    layer = Counted()
    for size in range(1, _MOST_SIZES + 1):
        for _ in range(_IN_A_ROW + 1):
            layer.of(size)
    layer.of(1)
    for _ in range(_IN_A_ROW + 1):
        layer.of(_MOST_SIZES + 1)
    made = layer.made
    layer.of(1)
    for _ in range(_IN_A_ROW + 1):
        layer.of(2)
    assert layer.made == made + 1


def test_the_graph_of_a_size_that_stays_away_is_dropped() -> None:
    layer = Counted()
    for size in (1, 2):
        for _ in range(_IN_A_ROW + 1):
            layer.of(size)
    for _ in range(_IDLE_CALLS):
        layer.of(1)
    made = layer.made
    layer.of(1)
    for _ in range(_IN_A_ROW + 1):
        layer.of(2)
    assert layer.made == made + 1


def test_a_large_batch_is_divided() -> None:
    layer = Counted()
    for size in (_MOST_ROWS, _MOST_ROWS + 1, 5 * _MOST_ROWS + 3):
        layer.of(size)
    assert layer.made == 1


def test_what_was_given_before_is_not_overwritten() -> None:
    """Neither by the next call nor by a graph of another size."""
    double = Compiled(lambda rows: ops.multiply(rows, np.float32(2)), (1,), np.float32, "f32")
    given = [double(np.full((1, 1), n, np.float32)) for n in range(2 * _IN_A_ROW)]
    assert [row[0, 0] for row in given] == pytest.approx([2.0 * n for n in range(2 * _IN_A_ROW)])


class HeapInfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "mapped", "usmblks", "fsmblks", "used", "free", "keepcost")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="measures the heap with glibc's mallinfo2")
def test_batches_of_ever_other_sizes_do_not_fill_the_memory() -> None:
    """A crowd or a stall brings sizes that no other batch has: in a day there are hundreds of them."""
    heap = ctypes.CDLL(None).mallinfo2
    heap.restype = HeapInfo

    layers = load_graphs(WEIGHTS_FILE)

    def used_after(sizes: Iterable[int]) -> int:
        for size in sizes:
            layers.features(np.zeros((size, FRAME_STACK, CROP.side_pixels, CROP.side_pixels), np.uint8))
            layers.faces(np.zeros((size, FRAME_WINDOW, WIDTH), np.float32))
        info = heap()
        return int(info.used + info.mapped)

    before = used_after([*range(1, _MOST_ROWS), *[_MOST_ROWS] * 2 * _IN_A_ROW])
    assert used_after(range(_MOST_ROWS + 1, 90)) - before < 8 << 20
