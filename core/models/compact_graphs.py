"""The compact SyncNet for the CPU, without PyTorch: the layers of ``compact_network``, by their weights' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.models.compact import CROP, DIMENSIONS, FRAME_STACK, FRAME_WINDOW, MEL_WINDOW, WIDTH, Functions
from speakerlight.core.models.openvino_graph import Compiled, Node, Precision, fast_precision, has_fast_int8, ops

Weights = Mapping[str, npt.NDArray[np.floating]]
"""The state of a CompactSyncNet."""

_BATCH_NORM_EPSILON = 1e-5
"""PyTorch's own."""

_REACH = 8.0
"""Deviations above a channel's mean, by its batch norm, that a quantized layer covers. Cosines change by 0.0029 (root
mean square on three galleries); with 10 by 0.0033, with 12 by 0.0038."""


def load_graphs(path: Path) -> Functions:
    """The weights of ``path``. Raises InputError when it does not hold the compact model."""
    weights, _ = load_safetensors(path)
    if broken := next((name for name, array in weights.items() if not np.isfinite(array).all()), None):
        raise InputError(f"{path} is damaged: {broken} holds values that are not numbers")
    try:
        return compiled(weights)
    except KeyError as error:
        raise InputError(f"{path} is not a checkpoint of this model: it has no {error.args[0]}") from error
    except (IndexError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a checkpoint of this model: its weights do not fit together") from error


def compiled(weights: Weights, precision: Precision | None = None) -> Functions:
    """The functions of the network with ``weights``. ``precision`` None: the fastest on this processor; where int8 is
    fast, the face encoder is quantized.

    Raises KeyError, IndexError, ValueError, RuntimeError where these are no weights of it.
    """
    face = _Layers(weights, quantizes=precision is None and has_fast_int8())
    # Quantized audio would cost most accuracy and save least time: cosines change by 0.003, 6 of 900 µs (measured).
    audio = _Layers(weights, quantizes=False)
    precision = precision or fast_precision()
    stack, window, columns = (FRAME_STACK, CROP.side_pixels, CROP.side_pixels), (FRAME_WINDOW, WIDTH), MEL_WINDOW
    return Functions(
        Compiled(face.features, stack, np.uint8, precision),
        Compiled(face.faces, window, np.float32, precision),
        Compiled(audio.audio, (columns, COMPACT_MEL.mels), np.float32, precision),
    )


@dataclass(frozen=True, eq=False)
class _Signal:
    """A tensor; where it is quantized, to uint8, 255 stands for ``most``."""

    node: Node
    most: float | None = None


@dataclass(frozen=True, eq=False)
class _Layers:
    """Builds the graphs. ``quantizes``: what comes out of a ReLU to uint8, and the kernels that it meets to int8."""

    weights: Weights
    quantizes: bool

    def features(self, stacks: Node) -> Node:
        x = _Signal(_standardised(ops.convert(stacks, "f32")))
        for number in range(7):
            layer = f"frames.layers.{number}"
            x = self._residual(x, layer) if f"{layer}.first.weight" in self.weights else self._step(x, layer, (2, 2))
        flat = ops.reshape(x.node, [0, -1], special_zero=True)
        kernel, bias = self._kernel(x, self.weights["frames.layers.9.weight"]), self.weights["frames.layers.9.bias"]
        return ops.add(ops.matmul(flat, kernel, transpose_a=False, transpose_b=True), bias)

    def faces(self, windows: Node) -> Node:
        out = self._head(ops.transpose(windows, [0, 2, 1]), "face_head")
        vectors, logits = _slice(out, 1, 0, DIMENSIONS), _slice(out, 1, DIMENSIONS, DIMENSIONS + 1)
        return ops.concat([_unit(vectors), ops.sigmoid(logits)], 1)

    def audio(self, mel: Node) -> Node:
        x = _Signal(ops.unsqueeze(ops.transpose(mel, [0, 2, 1]), 1))
        for number, strides in enumerate(((2, 2), (2, 2), (2, 1), (1, 1))):
            x = self._step(x, f"sound.layers.{number}", strides, pads_time=False)
        kernel, bias = self.weights["sound.layers.6.weight"], self.weights["sound.layers.6.bias"]
        flat = _Signal(ops.reshape(x.node, [0, kernel.shape[1], -1], special_zero=True), x.most)
        return _unit(self._head(self._convolution(flat, kernel, bias), "sound.head"))

    def _step(self, x: _Signal, layer: str, strides: Sequence[int], pads_time: bool = True) -> _Signal:
        kernel, bias = self._folded(f"{layer}.0", f"{layer}.1")
        padding = (kernel.shape[2] // 2, kernel.shape[3] // 2 if pads_time else 0)
        return self._positive(self._convolution(x, kernel, bias, strides, padding), self._reach(f"{layer}.1"))

    def _residual(self, x: _Signal, layer: str) -> _Signal:
        first, second = f"{layer}.first", f"{layer}.second"
        inner = self._convolution(x, *self._folded(first, f"{first}_norm"), padding=(1, 1))
        inner = self._positive(inner, self._reach(f"{first}_norm"))
        added = self._convolution(inner, *self._folded(second, f"{second}_norm"), padding=(1, 1))
        return self._positive(ops.add(x.node, added), (x.most or 0.0) + self._reach(f"{second}_norm"))

    def _head(self, x: Node, head: str) -> Node:
        """A temporal head on the features of one tick's window, [B, WIDTH, T] to [B, outputs]."""
        layer = 0
        while f"{head}.layers.{layer}.weight" in self.weights:
            norm = f"{head}.norms.{layer}"
            scale, shift = self._scale_and_shift(norm)
            active = self._positive(ops.add(ops.multiply(x, scale[:, None]), shift[:, None]), self._reach(norm))
            kernel, bias = self.weights[f"{head}.layers.{layer}.weight"], self.weights[f"{head}.layers.{layer}.bias"]
            margin = kernel.shape[2] // 2
            x = ops.add(_slice(x, 2, margin, -margin), self._convolution(active, kernel, bias))
            layer += 1
        kernel, bias = self.weights[f"{head}.last.weight"], self.weights[f"{head}.last.bias"]
        return ops.squeeze(self._convolution(_Signal(ops.relu(x)), kernel, bias), 2)

    def _positive(self, x: Node, most: float) -> _Signal:
        """``x`` after a ReLU; where it is quantized, values above ``most`` are clipped."""
        x = ops.relu(x)
        if not self.quantizes:
            return _Signal(x)
        low, high = np.float32(0), np.float32(most)
        return _Signal(ops.fake_quantize(x, low, high, low, high, 256), most)

    def _convolution(
        self,
        x: _Signal,
        kernel: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating],
        strides: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0),
    ) -> Node:
        directions = kernel.ndim - 2
        pads = list(padding[:directions])
        given = self._kernel(x, kernel)
        out = ops.convolution(x.node, given, list(strides[:directions]), pads, pads, [1] * directions)
        return ops.add(out, bias.reshape(-1, *[1] * directions))

    def _kernel(self, x: _Signal, kernel: npt.NDArray[np.floating]) -> Node:
        """``kernel`` [out, ...] for ``x``: quantized where ``x`` is, each output with a scale of its own."""
        node = ops.constant(kernel.astype(np.float32))
        if x.most is None:
            return node
        most = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)), keepdims=True, initial=1e-6).astype(np.float32)
        return ops.fake_quantize(node, -most, most, -most, most, 255)

    def _reach(self, norm: str) -> float:
        """What the values after a batch norm hardly ever exceed: each channel's are spread as the norm says."""
        return float((self.weights[f"{norm}.bias"] + _REACH * np.abs(self.weights[f"{norm}.weight"])).max())

    def _folded(self, layer: str, norm: str) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Kernel and bias of a convolution without bias and the batch norm after it."""
        scale, shift = self._scale_and_shift(norm)
        return self.weights[f"{layer}.weight"] * scale[:, None, None, None], shift

    def _scale_and_shift(self, norm: str) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        variance = self.weights[f"{norm}.running_var"] + np.float32(_BATCH_NORM_EPSILON)
        scale = self.weights[f"{norm}.weight"] / np.sqrt(variance)
        return scale, self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale


def _standardised(stacks: Node) -> Node:
    """``compact_network.standardised`` as a graph. OpenVINO divides the variance by n, not n − 1."""
    count = FRAME_STACK * CROP.side_pixels**2
    fewer = math.sqrt((count - 1) / count)
    centred = ops.mvn(stacks, ops.constant([1, 2, 3]), True, 4.0 * fewer, "outside_sqrt")
    return ops.multiply(centred, np.float32(fewer))


def _slice(x: Node, axis: int, start: int, stop: int) -> Node:
    return ops.slice(x, *(np.array([at]) for at in (start, stop, 1, axis)))


def _unit(vectors: Node) -> Node:
    """Rows [B, D] scaled to unit length, as PyTorch's ``normalize`` does."""
    return ops.normalize_l2(vectors, ops.constant([1]), 1e-24, "max")
