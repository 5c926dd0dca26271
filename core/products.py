"""Small convolutions as matrix products: for a tick's little input a convolution's own preparations take longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


class ProductConvolution:
    """``layer``, unpadded in its second direction, then ReLU: [B, H, W, inputs] to [B, H', W', outputs].

    Half the time of PyTorch's convolution for one stretch of sound; from 32 on it is slower.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        assert isinstance(layer.padding, tuple) and layer.padding[1] == 0 and layer.bias is not None
        self._kernel, self._stride, self._padding = layer.kernel_size, layer.stride, layer.padding[0]
        self._weight = layer.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).contiguous()
        self._bias = layer.bias.detach()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, (0, 0, 0, 0, self._padding, self._padding))
        (high, wide), (down, across) = self._kernel, self._stride
        patches = padded.unfold(1, high, down).unfold(2, wide, across).permute(0, 1, 2, 4, 5, 3)
        return functional.relu(patches.flatten(3) @ self._weight + self._bias)


@dataclass(frozen=True, eq=False)
class _Layer:
    """Of a temporal head: batch norm as scale and shift, kernel as a matrix [width × inputs, outputs]."""

    scale: torch.Tensor
    shift: torch.Tensor
    width: int
    kernel: torch.Tensor
    bias: torch.Tensor


class ProductHead:
    """Residual convolutions over time, unpadded, each after batch norm and ReLU; then ReLU and ``last``, of width 1.

    [B, T, inputs] to [B, T − Σ (width − 1), outputs]. Five times as fast as PyTorch's for a tick's few features.
    """

    def __init__(self, layers: Sequence[tuple[nn.Module, nn.Module]], last: nn.Conv1d) -> None:
        """``layers``: each one's BatchNorm1d and Conv1d."""
        assert last.bias is not None
        self._layers = [_layer(norm, convolution) for norm, convolution in layers]
        self._last, self._last_bias = last.weight.detach()[:, :, 0].T.contiguous(), last.bias.detach()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self._layers:
            active = functional.relu(torch.addcmul(layer.shift, x, layer.scale))
            patches = active.unfold(1, layer.width, 1).transpose(2, 3).flatten(2)
            margin = layer.width // 2
            x = x[:, margin:-margin] + patches @ layer.kernel + layer.bias
        return functional.relu(x) @ self._last + self._last_bias


def _layer(norm: nn.Module, convolution: nn.Module) -> _Layer:
    assert isinstance(norm, nn.BatchNorm1d) and isinstance(convolution, nn.Conv1d)
    assert norm.running_mean is not None and norm.running_var is not None and convolution.bias is not None
    scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    kernel = convolution.weight.detach().permute(2, 1, 0)
    shift = norm.bias.detach() - norm.running_mean * scale
    return _Layer(scale, shift, len(kernel), kernel.flatten(0, 1).contiguous(), convolution.bias.detach())
