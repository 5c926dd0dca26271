"""Compiled functions: the same whatever the batch's size, and one graph for each of a few sizes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

import numpy as np
import pytest

from speakerlight.core.models.compact import CROP, FRAME_STACK, FRAME_WINDOW, WEIGHTS_FILE, WIDTH
from speakerlight.core.models.compact_graphs import load_graphs
from speakerlight.core.models.openvino_graph import FIRST_CALLS, SIZES, Compiled, Node, ops

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


class Counted:
    """A small layer, and how often a graph of it was made."""

    def __init__(self, *sizes: int) -> None:
        self.made = 0
        self.compiled = Compiled(self._layer, (4,), np.float32, "f32", sizes or SIZES)

    def _layer(self, rows: Node) -> Node:
        self.made += 1
        return ops.relu(ops.matmul(rows, WEIGHTS, transpose_a=False, transpose_b=False))

    def of(self, size: int) -> None:
        rows = np.random.default_rng(size).normal(size=(size, 4)).astype(np.float32)
        np.testing.assert_allclose(self.compiled(rows), np.maximum(rows @ WEIGHTS, 0), atol=1e-5)


def test_a_start_waits_for_no_graph_and_later_a_size_has_one_from_its_first_batch_on() -> None:
    layer = Counted()
    for size in range(FIRST_CALLS):
        layer.of(size)
    assert layer.made == 1
    for _ in range(3):
        layer.of(2)
    assert layer.made == 2


def test_batches_of_any_size_share_the_graphs_of_a_few() -> None:
    layer = Counted()
    for size in [*range(FIRST_CALLS), *range(40)]:
        layer.of(size)
    assert layer.made == len(SIZES)


def test_a_batch_that_cannot_be_divided_is_an_error() -> None:
    layer = Counted(3)
    layer.of(3)
    layer.of(6)
    with pytest.raises(ValueError, match="4 rows"):
        layer.of(4)


def test_what_was_given_before_is_not_overwritten() -> None:
    """Neither by the next call nor by a graph of another size."""
    double = Compiled(lambda rows: ops.multiply(rows, np.float32(2)), (1,), np.float32, "f32")
    count = FIRST_CALLS + 10
    given = [double(np.full((1 + n % 2, 1), n, np.float32)) for n in range(count)]
    assert [row[0, 0] for row in given] == pytest.approx([2.0 * n for n in range(count)])


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

    before = used_after(SIZES * FIRST_CALLS)
    assert used_after([*range(1, 90), *[3, 5, 6, 7, 8] * 20]) - before < 1 << 20
