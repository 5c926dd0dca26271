"""Convolutions whose weights lie in the processor's own order from the start, with addition and ReLU in one pass.

PyTorch brings weights into that order at every call, which for small batches is a third of the time.
"""

from __future__ import annotations

import torch
from torch import nn

_ops = torch.ops.mkldnn


def is_available() -> bool:
    """Whether PyTorch was built with the library for it (oneDNN)."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available


class PackedConvolution:
    """``layer`` on the CPU, then ReLU, exactly as PyTorch gives it. Channels-last inputs are fastest."""

    def __init__(self, layer: nn.Conv2d) -> None:
        assert isinstance(layer.padding, tuple)
        self._geometry = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        weight = layer.weight.detach().to_mkldnn()
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(weight, *self._geometry)
        self._bias = None if layer.bias is None else layer.bias.detach()

    def __call__(self, x: torch.Tensor, added: torch.Tensor | None = None) -> torch.Tensor:
        """[N, C, H, W] float32; ``added``, of the result's shape, is added before the ReLU."""
        given = (self._weight, self._bias, *self._geometry)
        if added is None:
            return torch.as_tensor(_ops._convolution_pointwise(x, *given, "relu", [], ""))
        return torch.as_tensor(_ops._convolution_pointwise.binary(x, added, *given, "add", 1.0, "relu", [], ""))
