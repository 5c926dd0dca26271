"""Compiled functions: a network's layers as one graph for the CPU, by OpenVINO.

PyTorch goes through a small network layer by layer, and each layer's own preparations take longer than its arithmetic;
a graph is prepared once, with its weights in the processor's own order.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from speakerlight.core.importing import without

Floats = npt.NDArray[np.float32]

Precision = Literal["f32", "bf16"]

with without("openvino.tools.ovc"):  # its converter takes longer to import than the rest, and reports that by network
    _openvino = import_module("openvino")

Node = Any
"""A tensor that a graph computes: openvino.Node, whose package has no types."""

ops: Any = import_module("openvino.opset13")
"""Constructors of nodes."""

_CORE = _openvino.Core()

_IN_A_ROW = 10
"""Successive batches of one size after which that size gets a graph of its own, with nothing left to compute per shape.
One for a few rows of the compact model compiles in 25 ms (measured)."""

_MOST_SIZES = 4
"""Graphs kept, for the most recent sizes: as many as the people of a room usually need."""

_IDLE_CALLS = 1500
"""Calls after which a graph of a size that did not come again is dropped, a minute of ticks. One of the compact model
takes 6 MB, and without this a long run collects those of rare sizes."""

_KERNELS_KEPT = 64
"""Kernels that a graph for any size keeps. OpenVINO's own 5,000 are kernels for hundreds of sizes, 0.75 MB each for the
compact model (measured): stalls and crowds bring a new size now and then, and memory grew for hours."""


_MOST_ROWS = 8
"""Rows that a graph for any size computes at once; larger batches are divided. Its buffers and kernels for larger ones
stay for good, 70 MB for the compact model after batches of up to 60, and 25 rows at once take 6.8 ms instead of 4.2
(measured)."""


def fast_precision() -> Precision:
    """bfloat16 where it is faster on this processor, else float32.

    AMD's with AVX-512 bf16 take half the time with it; Intel's without matrix units (AMX) are no faster with it.
    """
    if "BF16" not in _CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "f32"
    is_intel = "Intel" in _CORE.get_property("CPU", "FULL_DEVICE_NAME")
    return "bf16" if not is_intel or _has_matrix_units() else "f32"


def _has_matrix_units() -> bool:
    flags = Path("/proc/cpuinfo")  # Linux; elsewhere this needs a library
    return flags.exists() and "amx_bf16" in flags.read_text()


class Compiled:
    """``function`` of a batch, row by row, for rows of ``shape`` and ``dtype``. For one thread at a time."""

    def __init__(
        self,
        function: Callable[[Node], Node],
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        precision: Precision,
        batch: int | None = None,
    ) -> None:
        """``batch``: the one size of all batches. None: any size; one that keeps coming gets a graph of its own, whose
        compilation stalls the caller then."""
        self._function, self._shape, self._dtype, self._precision = function, shape, np.dtype(dtype), precision
        self._batch = batch
        self._any_size = self._request(-1 if batch is None else batch)
        self._sizes: dict[int, tuple[_Request, int]] = {}  # graph and the call that used it last, in order
        self._calls = 0
        self._last_size, self._in_a_row = 0, 0

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        """[B, *shape] to [B, ...], float32."""
        if self._batch is not None:
            return self._any_size(rows)
        if len(rows) > _MOST_ROWS:
            return np.concatenate([self(rows[at : at + _MOST_ROWS]) for at in range(0, len(rows), _MOST_ROWS)])
        return self._request_for(len(rows))(rows)

    def _request_for(self, size: int) -> _Request:
        self._in_a_row = self._in_a_row + 1 if size == self._last_size else 1
        self._last_size = size
        self._calls += 1
        kept, _ = self._sizes.pop(size, (None, 0))
        if kept is None and self._in_a_row > _IN_A_ROW:
            kept = self._request(size)
        if kept is not None:
            self._sizes[size] = kept, self._calls
        self._drop_oldest()
        return self._any_size if kept is None else kept

    def _drop_oldest(self) -> None:
        """Drop the size that was not used for longest, where there are too many or it stays away."""
        size, (_, used) = next(iter(self._sizes.items()), (0, (None, self._calls)))
        if len(self._sizes) > _MOST_SIZES or self._calls - used > _IDLE_CALLS:
            del self._sizes[size]

    def _request(self, size: int) -> _Request:
        """An inference request for batches of ``size``; −1: of any size."""
        rows = ops.parameter(_openvino.PartialShape([size, *self._shape]), self._dtype)
        # One thread, the caller's: the stages already run side by side, and these layers are too small to be divided.
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": self._precision,
            "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS_KEPT,
        }
        model = _openvino.Model([self._function(rows)], [rows], "compiled")
        request = _CORE.compile_model(model, "CPU", settings).create_infer_request()
        return _Request(request, self._dtype, is_fixed=size >= 0)


class _Request:
    """An inference request. Where the size of its batches is fixed, they are copied into tensors that stay: giving it
    another tensor for every call takes longer than the copy."""

    def __init__(self, request: Any, dtype: npt.DTypeLike, is_fixed: bool) -> None:
        self._request, self._dtype = request, dtype
        self._given = request.get_input_tensor().data if is_fixed else None
        self._result = request.get_output_tensor().data if is_fixed else None

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        if self._given is None or self._result is None:
            given = np.ascontiguousarray(rows, self._dtype)  # read in place, without a copy
            self._request.set_input_tensor(_openvino.Tensor(given, shared_memory=True))
            self._request.infer(share_outputs=True)
            return np.array(self._request.get_output_tensor().data, np.float32)
        if rows.shape != self._given.shape:
            raise ValueError(f"a batch of {rows.shape}, not {self._given.shape}")
        self._given[...] = rows
        self._request.infer(share_outputs=True)
        return np.array(self._result, np.float32)
