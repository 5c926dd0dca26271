"""Packed convolutions: what PyTorch's own give, to rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.packing import PackedConvolution, is_available

pytestmark = pytest.mark.skipif(not is_available(), reason="PyTorch was built without oneDNN")


@pytest.mark.parametrize("batch", [1, 2, 25])
@pytest.mark.parametrize("kept_layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kernel", "stride", "padding", "bias"), [(5, 2, 2, True), (3, 1, 1, False), (1, 1, 0, True)])
@torch.inference_mode()
def test_it_gives_what_the_layer_gives(
    batch: int, kept_layout: torch.memory_format, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, kernel, stride, padding, bias=bias)
    x = torch.randn(batch, 8, 12, 12).contiguous(memory_format=kept_layout)
    packed, expected = PackedConvolution(layer), layer(x)
    added = torch.randn_like(expected)
    assert torch.allclose(packed(x), torch.relu(expected), atol=1e-5)
    assert torch.allclose(packed(x, added), torch.relu(expected + added), atol=1e-5)
    assert torch.equal(packed(x), packed(x)) and torch.equal(packed(x, added), packed(x, added)), "inputs stay"
