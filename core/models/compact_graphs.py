"""The compact SyncNet for the CPU, without PyTorch: the layers of ``compact_network``, by their weights' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.models.compact import CROP, DIMENSIONS, FRAME_STACK, FRAME_WINDOW, MEL_WINDOW, WIDTH, Functions
from speakerlight.core.models.openvino_graph import Compiled, Node, Precision, fast_precision, ops

Weights = Mapping[str, npt.NDArray[np.floating]]
"""The state of a CompactSyncNet."""

_BATCH_NORM_EPSILON = 1e-5
"""PyTorch's own."""


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
    """The functions of the network with ``weights``. ``precision`` None: the fastest on this processor.

    Raises KeyError, IndexError, ValueError, RuntimeError where these are no weights of it.
    """
    precision = precision or fast_precision()
    stack, window, columns = (FRAME_STACK, CROP.side_pixels, CROP.side_pixels), (FRAME_WINDOW, WIDTH), MEL_WINDOW
    return Functions(
        Compiled(lambda stacks: _features(stacks, weights), stack, np.uint8, precision),
        Compiled(lambda windows: _faces(windows, weights), window, np.float32, precision),
        Compiled(lambda mel: _audio(mel, weights), (columns, COMPACT_MEL.mels), np.float32, precision),
    )


def _features(stacks: Node, weights: Weights) -> Node:
    x = _standardised(ops.convert(stacks, "f32"))
    for number in range(7):
        layer = f"frames.layers.{number}"
        x = _residual(x, weights, layer) if f"{layer}.first.weight" in weights else _step(x, weights, layer)
    flat = ops.reshape(x, [0, -1], special_zero=True)
    products = ops.matmul(flat, weights["frames.layers.9.weight"], transpose_a=False, transpose_b=True)
    return ops.add(products, weights["frames.layers.9.bias"])


def _faces(windows: Node, weights: Weights) -> Node:
    out = _head(ops.transpose(windows, [0, 2, 1]), weights, "face_head")
    vectors, logits = _slice(out, 1, 0, DIMENSIONS), _slice(out, 1, DIMENSIONS, DIMENSIONS + 1)
    return ops.concat([_unit(vectors), ops.sigmoid(logits)], 1)


def _audio(mel: Node, weights: Weights) -> Node:
    x = ops.unsqueeze(ops.transpose(mel, [0, 2, 1]), 1)
    for number, strides in enumerate(((2, 2), (2, 2), (2, 1), (1, 1))):
        kernel, bias = _folded(weights, f"sound.layers.{number}.0", f"sound.layers.{number}.1")
        x = ops.relu(_convolution(x, kernel, bias, strides, (kernel.shape[2] // 2, 0)))
    kernel, bias = weights["sound.layers.6.weight"], weights["sound.layers.6.bias"]
    x = ops.reshape(x, [0, kernel.shape[1], -1], special_zero=True)
    return _unit(_head(_convolution(x, kernel, bias), weights, "sound.head"))


def _standardised(stacks: Node) -> Node:
    """``compact_network.standardised`` as a graph. OpenVINO divides the variance by n, not n − 1."""
    count = FRAME_STACK * CROP.side_pixels**2
    fewer = math.sqrt((count - 1) / count)
    centred = ops.mvn(stacks, ops.constant([1, 2, 3]), True, 4.0 * fewer, "outside_sqrt")
    return ops.multiply(centred, np.float32(fewer))


def _step(x: Node, weights: Weights, layer: str) -> Node:
    kernel, bias = _folded(weights, f"{layer}.0", f"{layer}.1")
    return ops.relu(_convolution(x, kernel, bias, (2, 2), (kernel.shape[2] // 2,) * 2))


def _residual(x: Node, weights: Weights, layer: str) -> Node:
    inner = ops.relu(_convolution(x, *_folded(weights, f"{layer}.first", f"{layer}.first_norm"), padding=(1, 1)))
    added = _convolution(inner, *_folded(weights, f"{layer}.second", f"{layer}.second_norm"), padding=(1, 1))
    return ops.relu(ops.add(x, added))


def _head(x: Node, weights: Weights, head: str) -> Node:
    """A temporal head on the features of one tick's window, [B, WIDTH, T] to [B, outputs]."""
    layer = 0
    while f"{head}.layers.{layer}.weight" in weights:
        scale, shift = _scale_and_shift(weights, f"{head}.norms.{layer}")
        active = ops.relu(ops.add(ops.multiply(x, scale[:, None]), shift[:, None]))
        kernel, bias = weights[f"{head}.layers.{layer}.weight"], weights[f"{head}.layers.{layer}.bias"]
        margin = kernel.shape[2] // 2
        x = ops.add(_slice(x, 2, margin, -margin), _convolution(active, kernel, bias))
        layer += 1
    out = _convolution(ops.relu(x), weights[f"{head}.last.weight"], weights[f"{head}.last.bias"])
    return ops.squeeze(out, 2)


def _convolution(
    x: Node,
    kernel: npt.NDArray[np.floating],
    bias: npt.NDArray[np.floating],
    strides: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
) -> Node:
    directions = kernel.ndim - 2
    pads = list(padding[:directions])
    out = ops.convolution(x, kernel, list(strides[:directions]), pads, pads, [1] * directions)
    return ops.add(out, bias.reshape(-1, *[1] * directions))


def _folded(weights: Weights, layer: str, norm: str) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Kernel and bias of a convolution without bias and the batch norm after it."""
    scale, shift = _scale_and_shift(weights, norm)
    return weights[f"{layer}.weight"] * scale[:, None, None, None], shift


def _scale_and_shift(weights: Weights, norm: str) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(_BATCH_NORM_EPSILON))
    return scale, weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale


def _slice(x: Node, axis: int, start: int, stop: int) -> Node:
    return ops.slice(x, *(np.array([at]) for at in (start, stop, 1, axis)))


def _unit(vectors: Node) -> Node:
    """Rows [B, D] scaled to unit length, as PyTorch's ``normalize`` does."""
    return ops.normalize_l2(vectors, ops.constant([1]), 1e-24, "max")
