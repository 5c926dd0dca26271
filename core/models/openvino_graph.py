"""Compiled functions: a network's layers as one graph for the CPU, by OpenVINO.

PyTorch goes through a small network layer by layer, and each layer's own preparations take longer than its arithmetic;
a graph is prepared once, with its weights in the processor's own order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
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

SIZES = (8, 4, 2, 1)
"""Batch sizes that have a graph, largest first. A graph takes 4 to 8 MB for the compact model; one for any size takes
up to half as long again a row and keeps buffers and kernels of every size that ever came (measured)."""

FIRST_CALLS = 25
"""Batches, a second of ticks, that the smallest graph computes alone. A start catches up with frames and audio in
batches of all sizes, and compiling graphs for them would delay the first overlay by 30 to 80 ms each (measured). A row
on its own takes up to half as long again as one of eight, and its result is the same to the last bit (measured)."""


def fast_precision() -> Precision:
    """bfloat16 where it is faster on this processor, else float32.

    AMD's with AVX-512 bf16 take half the time with it; Intel's without matrix units (AMX) are no faster with it.
    """
    if "BF16" not in _CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "f32"
    is_intel = "Intel" in _CORE.get_property("CPU", "FULL_DEVICE_NAME")
    return "bf16" if not is_intel or "amx_bf16" in _processor_flags() else "f32"


def has_fast_int8() -> bool:
    """Whether this processor multiplies int8 faster than floats and adds the products without overflow (VNNI)."""
    return not _processor_flags().isdisjoint({"avx512_vnni", "avx_vnni"})


@lru_cache(maxsize=1)
def _processor_flags() -> frozenset[str]:
    """Names of what the processor can do, on Linux; elsewhere that needs a library, and there are none."""
    info = Path("/proc/cpuinfo")
    return frozenset(info.read_text().split()) if info.exists() else frozenset()


class Compiled:
    """``function`` of a batch, row by row, for rows of ``shape`` and ``dtype``. For one thread at a time."""

    def __init__(
        self,
        function: Callable[[Node], Node],
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        precision: Precision,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        """``sizes``: numbers of rows computed at once, largest first; a batch is divided into them.

        The smallest is compiled here, the others when a batch after ``FIRST_CALLS`` first needs them: 30 to 80 ms each
        for the compact model.
        """
        self._function, self._shape, self._dtype, self._precision = function, shape, np.dtype(dtype), precision
        self._sizes = tuple(sizes)
        self._requests: dict[int, _Request] = {}
        self._row = self._request(self._sizes[-1]).result.shape[1:]
        self._calls = 0

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        """[B, *shape] to [B, ...], float32. Raises ValueError where B is no sum of ``sizes``."""
        results = np.empty((len(rows), *self._row), np.float32)
        start = 0
        self._calls += 1
        for size in self._sizes if self._calls > FIRST_CALLS else self._sizes[-1:]:
            while len(rows) - start >= size:
                results[start : start + size] = self._request(size)(rows[start : start + size])
                start += size
        if start < len(rows):
            raise ValueError(f"a batch of {len(rows)} rows cannot be divided into {self._sizes}")
        return results

    def _request(self, size: int) -> _Request:
        if size not in self._requests:
            self._requests[size] = self._compiled(size)
        return self._requests[size]

    def _compiled(self, size: int) -> _Request:
        rows = ops.parameter(_openvino.PartialShape([size, *self._shape]), self._dtype)
        # One thread, the caller's: the stages already run side by side, and these layers are too small to be divided.
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": self._precision}
        model = _openvino.Model([self._function(rows)], [rows], "compiled")
        return _Request(_CORE.compile_model(model, "CPU", settings).create_infer_request())


class _Request:
    """An inference request. Batches are copied into a tensor that stays: giving it another one for every call takes
    longer than the copy."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._given = request.get_input_tensor().data
        self.result: Floats = request.get_output_tensor().data

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        """``rows`` of the size that it was compiled for to its ``result``, which the next call overwrites."""
        if rows.shape != self._given.shape:
            raise ValueError(f"a batch of {rows.shape}, not {self._given.shape}")
        self._given[...] = rows
        self._request.infer(share_outputs=True)
        return self.result
