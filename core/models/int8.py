"""8-bit convolutions for processors that multiply bytes four at a time (VNNI): a quarter of float32's time.

Weights are rounded to int8 with a scale per channel, activations to uint8 with a scale per layer from sample inputs.
How much accuracy is lost depends on the weights: the caller compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

MARGIN = 1.5
"""Headroom of a layer's output above its maximum on the samples. Real faces reached 0.7 to 1.1 times the maximum of
drawn ones (measured on the trained compact model); the margin costs half a bit."""

_ops = torch.ops.onednn


def is_fast() -> bool:
    """Whether this processor multiplies bytes faster than floats, and oneDNN is available."""
    found = torch.cpu.get_capabilities()
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and bool(found.get("avx512_vnni") or found.get("avx_vnni"))


@dataclass(frozen=True)
class Convolution:
    """A layer to be rounded: a convolution with its bias, its input added where ``adds_input``, then ReLU."""

    layer: nn.Conv2d
    adds_input: bool


@dataclass(frozen=True, eq=False)
class _Rounded:
    weight: torch.Tensor
    weight_scales: torch.Tensor
    zero_points: torch.Tensor
    bias: torch.Tensor
    geometry: tuple[object, ...]
    """Stride, padding, dilation, groups."""
    adds_input: bool
    scale: float
    """Scale of the output: the value 255 means 255 × scale."""

    def __call__(self, x: torch.Tensor, x_scale: float, is_last: bool) -> torch.Tensor:
        given = (x, x_scale, 0, self.weight, self.weight_scales, self.zero_points)
        if self.adds_input:  # the operator adds into this buffer in place
            added = (x.clone(), self.bias, *self.geometry, self.scale, 0, torch.uint8, x_scale, 0, "sum", 1.0)
            return torch.as_tensor(_ops.qconv2d_pointwise.binary(*given, *added, "relu", [], ""))
        scale, dtype = (1.0, torch.float32) if is_last else (self.scale, torch.uint8)
        return torch.as_tensor(
            _ops.qconv2d_pointwise(*given, self.bias, *self.geometry, scale, 0, dtype, "relu", [], "")
        )


class EightBit:
    """``convolutions`` one after the other, in eight bits, with scales from ``samples``.

    Called with uint8 [N, C, H, W] it gives float32 as the last convolution does, which may not add its input.
    ``samples``: uint8 [N, C, H, W], N at least 1, the likes of what it will be called with.
    """

    def __init__(self, convolutions: Iterable[Convolution], samples: torch.Tensor) -> None:
        layers: list[_Rounded] = []
        x, x_scale = samples.float(), 1.0
        for convolution in convolutions:
            x = _exact(convolution, x)
            layers.append(_rounded(convolution, x_scale, MARGIN * float(x.max()) / 255))
            x_scale = layers[-1].scale
        self._layers: Sequence[_Rounded] = layers

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        scale = 1.0
        for layer in self._layers:
            x = layer(x, scale, is_last=layer is self._layers[-1])
            scale = layer.scale
        return x


def _exact(convolution: Convolution, x: torch.Tensor) -> torch.Tensor:
    out = convolution.layer(x)
    return torch.relu(out + x if convolution.adds_input else out)


def _rounded(convolution: Convolution, x_scale: float, scale: float) -> _Rounded:
    layer = convolution.layer
    weight = layer.weight.detach()
    tiny = torch.finfo(torch.float32).tiny  # avoids a scale of 0 for a channel or a layer of zeros
    scales = (weight.abs().amax((1, 2, 3)) / 127).clamp(min=tiny)
    whole = (weight / scales[:, None, None, None]).round().to(torch.int8)
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    packed = _ops.qconv_prepack(whole, scales, x_scale, 0, *geometry, None)
    bias = torch.zeros_like(scales) if layer.bias is None else layer.bias.detach()
    zeros = torch.zeros_like(scales, dtype=torch.int64)
    return _Rounded(packed, scales, zeros, bias, geometry, convolution.adds_input, max(scale, tiny))
