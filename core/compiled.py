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

from core.errors import InputError
from core.importing import without

Floats = npt.NDArray[np.float32]

Precision = Literal["f32", "bf16"]

with without("openvino.tools.ovc"):  # its converter takes longer to import than the rest, and reports that by network
    _openvino = import_module("openvino")

Node = Any
"""A tensor that a graph computes: openvino.Node, whose package has no types."""

ops: Any = import_module("openvino.opset13")
"""What nodes are made with."""

_CORE = _openvino.Core()


def fast_precision() -> Precision:
    """bfloat16 where the processor gains by it, else float32.

    AMD's with AVX-512 bf16 take half the time with it; Intel's without matrix units (AMX) are no faster with it.
    """
    if "BF16" not in _CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "f32"
    is_intel = "Intel" in _CORE.get_property("CPU", "FULL_DEVICE_NAME")
    return "bf16" if not is_intel or _has_matrix_units() else "f32"


def _has_matrix_units() -> bool:
    flags = Path("/proc/cpuinfo")  # Linux; nothing else tells without a library for it
    return flags.exists() and "amx_bf16" in flags.read_text()


class Compiled:
    """``function`` of a batch, each row for itself, for rows of ``shape`` and ``dtype``. For one thread at a time."""

    def __init__(
        self, function: Callable[[Node], Node], shape: tuple[int, ...], dtype: npt.DTypeLike, precision: Precision
    ) -> None:
        rows = ops.parameter(_openvino.PartialShape([-1, *shape]), np.dtype(dtype))
        self._request = _request(_openvino.Model([function(rows)], [rows], "compiled"), precision)
        self._dtype = np.dtype(dtype)

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        """[B, *shape] to [B, ...], float32."""
        self._request.set_input_tensor(_openvino.Tensor(np.ascontiguousarray(rows, self._dtype)))
        self._request.infer()
        return np.array(self._request.get_output_tensor().data, np.float32)


class CompiledFile:
    """The model in an ONNX file, in float32. For one thread at a time.

    Raises InputError when ``path`` cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._request = _request(_CORE.read_model(path), "f32")
        except RuntimeError as error:
            raise InputError(f"{path} cannot be read: get the file again") from error
        self._outputs = [output.any_name for output in self._request.model_outputs]

    def __call__(self, **inputs: Floats) -> dict[str, Floats]:
        """Outputs by name of inputs by name."""
        for name, array in inputs.items():
            self._request.set_tensor(name, _openvino.Tensor(np.ascontiguousarray(array)))
        self._request.infer()
        return {name: np.array(self._request.get_tensor(name).data) for name in self._outputs}


def _request(model: Any, precision: Precision) -> Any:
    # One thread, the caller's: the stages already run side by side, and these layers are too small to be divided.
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    return _CORE.compile_model(model, "CPU", settings).create_infer_request()
