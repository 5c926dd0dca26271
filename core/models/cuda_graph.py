"""CUDA graphs: a model's function recorded for a few batch sizes, then replayed without launching kernel by kernel.

A tick's batch is small: its kernels would take less time than it takes to launch them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Recorded batch sizes. A smaller batch runs in the next larger one, a larger one runs without a graph."""

_WARM_UP_ROUNDS = 3
"""Calls before a recording, in which libraries choose algorithms and allocate (PyTorch's notes on CUDA graphs)."""

Function = Callable[[torch.Tensor], torch.Tensor]
"""A function of a batch, row by row: [B, ...] to [B, ...], on one device, without reading values on the CPU."""


def recorded(function: Function, row: torch.Tensor) -> Function:
    """``function`` for batches of rows like ``row``, [...], replayed where that lies on a CUDA device."""
    return _Recorded(function, row) if row.device.type == "cuda" else function


@dataclass(frozen=True, eq=False)
class _Recording:
    graph: torch.cuda.CUDAGraph
    rows: torch.Tensor
    results: torch.Tensor


class _Recorded:
    @torch.inference_mode()
    def __init__(self, function: Function, row: torch.Tensor) -> None:
        self._function = function
        # One pool for all: they never run at once, and what a replay gives is copied before the next.
        pool = torch.cuda.graph_pool_handle()
        largest_first = sorted(BATCH_SIZES, reverse=True)
        self._recordings = {size: _record(function, row.expand(size, *row.shape), pool) for size in largest_first}

    @torch.inference_mode()
    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        size = next((size for size in BATCH_SIZES if size >= len(rows)), None)
        if size is None:
            return self._function(rows)
        recording = self._recordings[size]
        recording.rows[: len(rows)].copy_(rows, non_blocking=True)
        recording.graph.replay()
        return recording.results[: len(rows)].clone()


def _record(function: Function, rows: torch.Tensor, pool: Any) -> _Recording:
    rows = rows.clone()
    before = torch.cuda.current_stream(rows.device)
    aside = torch.cuda.Stream(rows.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(before)
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP_ROUNDS):
            function(rows)
    before.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the device meanwhile: cameras and windows open while a model loads.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        results = function(rows)
    return _Recording(graph, rows, results)


class Upload:
    """Copies arrays to ``device``. On CUDA through page-locked memory, so that no thread waits for the copy."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._staged: torch.Tensor | None = None
        self._is_sent: torch.cuda.Event | None = None

    def __call__(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """A copy of ``array`` on the device; on the CPU the array itself."""
        rows = torch.from_numpy(np.ascontiguousarray(array))
        if self._device.type != "cuda":
            return rows.to(self._device)
        if self._is_sent is not None:
            self._is_sent.synchronize()  # the last copy still reads what is staged
        if self._staged is None or self._staged.dtype != rows.dtype or self._staged.numel() < rows.numel():
            self._staged = torch.empty(rows.numel(), dtype=rows.dtype, pin_memory=True)
        staged = self._staged[: rows.numel()].view(rows.shape)
        staged.copy_(rows)
        sent = staged.to(self._device, non_blocking=True)
        self._is_sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._is_sent.record()
        return sent
