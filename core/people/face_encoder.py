"""Face encoder: dlib's face recognition ResNet as face-api ships it, 128 numbers for a face crop.

A *look* is one such embedding. Two looks of one person are 0.3 to 0.6 apart (Euclidean), those of two people 0.65 and
more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import LEFT_EYE, MOUTH, RIGHT_EYE, Keypoints
from speakerlight.core.media import Image
from speakerlight.core.models.openvino_graph import Compiled, Node, Precision, fast_precision, ops

SIDE = 150
"""Side of the network's input in pixels."""

DIMENSIONS = 128

_MEAN_RGB = (122.782, 117.001, 104.298)

_EYE_MOUTH_SHARE, _CENTRE_HEIGHT = 0.45, 0.43
"""The crop: the mean eye–mouth distance is this share of its side, and the middle of eyes and mouth lies this far down.
It gives BlazeFace's keypoints the framing that dlib's landmarks give."""

_BLOCKS = (
    *(f"conv32_{k}" for k in (1, 2, 3)),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)

Weights = Mapping[str, npt.NDArray[np.float32]]

Look = npt.NDArray[np.float32]
"""A face embedding: float32, 128 numbers, compared by Euclidean distance."""


class FaceEncoder:
    """Embeds face crops. For one thread at a time."""

    def __init__(self, manifest: Path, weights: Path, precision: Precision | None = None) -> None:
        """``precision`` None: the fastest on this processor. Raises InputError when the files hold no such network."""
        precision = precision or fast_precision()
        try:
            arrays = read_weights(manifest, weights)
            self._embed = Compiled(lambda crops: _network(crops, arrays), (SIDE, SIDE, 3), np.uint8, precision, (1,))
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise InputError(f"cannot use the face encoder's file {weights}: delete it and run again") from error

    def __call__(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """[N, 150, 150, 3] RGB to looks [N, 128]."""
        return self._embed(crops)


def face_side(keypoints: Keypoints) -> float:
    """Side in pixels of the square that the encoder sees of a face with these keypoints."""
    right, left, mouth = keypoints[[RIGHT_EYE, LEFT_EYE, MOUTH]]
    return float(math.dist(right, mouth) + math.dist(left, mouth)) / 2 / _EYE_MOUTH_SHARE


def face_crop(image: Image, keypoints: Keypoints) -> npt.NDArray[np.uint8]:
    """The encoder's input, [150, 150, 3] RGB: a square around eyes and mouth, edge pixels repeated."""
    side = max(face_side(keypoints), 1.0)
    centre = keypoints[[RIGHT_EYE, LEFT_EYE, MOUTH]].mean(axis=0)
    step = side / SIDE
    left, top = centre[0] - side / 2, centre[1] - _CENTRE_HEIGHT * side
    if step > 2:  # bilinear sampling would skip pixels: shrink first
        shrink = int(step)
        width, height = max(1, image.shape[1] // shrink), max(1, image.shape[0] // shrink)
        x, y = max(0, int(left)), max(0, int(top))
        part = image[y : y + int(side) + 2, x : x + int(side) + 2]
        if part.size:
            width, height = max(1, part.shape[1] // shrink), max(1, part.shape[0] // shrink)
            image = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            left, top = (left - x) * width / part.shape[1], (top - y) * height / part.shape[0]
            step *= width / part.shape[1]
    to_source = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, to_source, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), np.uint8)


def read_weights(manifest: Path, weights: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors of a TensorFlow.js model by name: those with a quantization are bytes with a scale and a minimum.

    Raises OSError, ValueError, KeyError or TypeError when the files do not fit together.
    """
    content, first = weights.read_bytes(), 0
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for tensor in json.loads(manifest.read_text())[0]["weights"]:
        shape: list[int] = tensor["shape"]
        coded: dict[str, Any] | None = tensor.get("quantization")
        kind = np.dtype(np.uint8 if coded else np.float32)
        values = np.frombuffer(content, kind, math.prod(shape), first).reshape(shape).astype(np.float32)
        first += values.size * kind.itemsize
        arrays[tensor["name"]] = values * coded["scale"] + coded["min"] if coded else values
    if first != len(content):
        raise ValueError("the manifest describes another file")
    return arrays


def _network(crops: Node, weights: Weights) -> Node:
    centred = ops.subtract(ops.convert(crops, "f32"), np.array(_MEAN_RGB, np.float32))
    x = ops.transpose(ops.multiply(centred, np.float32(1 / 255)), [0, 3, 1, 2])
    x = ops.relu(_convolution(x, weights, "conv32_down", stride=2, margin=0))
    x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3]).output(0)
    for block in _BLOCKS:
        x = _down(x, weights, block) if "down" in block else _residual(x, weights, block)
    return ops.matmul(ops.reduce_mean(x, [2, 3]), weights["fc"], transpose_a=False, transpose_b=False)


def _residual(x: Node, weights: Weights, block: str) -> Node:
    inner = ops.relu(_convolution(x, weights, f"{block}/conv1"))
    return ops.relu(ops.add(x, _convolution(inner, weights, f"{block}/conv2")))


def _down(x: Node, weights: Weights, block: str) -> Node:
    """A residual block that halves the size: convolutions plus an average pool, zero-padded to a common shape."""
    inner = ops.relu(_convolution(x, weights, f"{block}/conv1", stride=2, margin=0))
    inner = _convolution(inner, weights, f"{block}/conv2")
    pooled = ops.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], exclude_pad=True)
    inner_shape, pooled_shape = inner.get_output_partial_shape(0), pooled.get_output_partial_shape(0)
    rows = [pooled_shape[k].get_length() - inner_shape[k].get_length() for k in (2, 3)]
    channels = inner_shape[1].get_length() - pooled_shape[1].get_length()
    none = np.zeros(4, np.int64)
    inner = ops.pad(inner, none, np.array([0, 0, *rows]), "constant", np.float32(0))
    pooled = ops.pad(pooled, none, np.array([0, channels, 0, 0]), "constant", np.float32(0))
    return ops.relu(ops.add(inner, pooled))


def _convolution(x: Node, weights: Weights, layer: str, stride: int = 1, margin: int = 1) -> Node:
    """A convolution, then the scale and bias of each channel, folded into one."""
    scale, shift = weights[f"{layer}/scale/weights"], weights[f"{layer}/scale/biases"]
    kernel = weights[f"{layer}/conv/filters"].transpose(3, 2, 0, 1) * scale[:, None, None, None]
    bias = weights[f"{layer}/conv/bias"] * scale + shift
    pads = [margin, margin]
    out = ops.convolution(x, np.ascontiguousarray(kernel), [stride, stride], pads, pads, [1, 1])
    return ops.add(out, bias[None, :, None, None])
