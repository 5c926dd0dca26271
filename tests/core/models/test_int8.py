"""Convolutions in eight bits: near to float32 in every layer, row by row, and not beyond their range."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from speakerlight.core.models.int8 import MARGIN, Convolution, EightBit, is_fast

pytestmark = pytest.mark.skipif(not is_fast(), reason="this processor does not multiply bytes")

NOISE = 0.03
"""Of the signal: eight bits a number give about 0.01 a layer."""


def pixels(count: int, seed: int) -> torch.Tensor:
    """Smooth grey frames, uint8 [count, 3, 24, 24]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 6, 6, generator=generator)
    return (255 * nn.functional.interpolate(small, size=24, mode="bilinear")).to(torch.uint8)


def layers() -> list[Convolution]:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 16, 5, 2, 2), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, (1, 2), 1)]
    return [Convolution(layer, adds_input=number == 1) for number, layer in enumerate(convolutions)]


@torch.inference_mode()
def exact(convolutions: list[Convolution], x: torch.Tensor) -> torch.Tensor:
    out = x.float()
    for convolution in convolutions:
        out = torch.relu(convolution.layer(out) + (out if convolution.adds_input else 0))
    return out


@pytest.mark.parametrize("depth", [1, 3])
@torch.inference_mode()
def test_it_gives_what_float32_gives_but_for_rounding(depth: int) -> None:
    convolutions = layers()[:depth]
    rounded = EightBit(convolutions, pixels(8, seed=0))
    expected, given = exact(convolutions, pixels(5, seed=1)), rounded(pixels(5, seed=1))
    assert given.dtype == torch.float32 and given.shape == expected.shape
    assert 0 < (given - expected).norm() / expected.norm() < NOISE


@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others() -> None:
    rounded, x = EightBit(layers(), pixels(8, seed=0)), pixels(4, seed=1)
    assert torch.equal(torch.cat([rounded(row[None]) for row in x]), rounded(x))
    assert torch.equal(rounded(x), rounded(x)), "the input is left as it was"


@torch.inference_mode()
def test_what_is_within_the_margin_is_not_cut_off() -> None:
    """Samples at most two thirds as bright as what comes."""
    convolutions, x = layers(), pixels(4, seed=1)
    expected = exact(convolutions, x)
    dim = EightBit(convolutions, (x.float() / MARGIN).to(torch.uint8))
    far_too_dim = EightBit(convolutions, (x.float() / (4 * MARGIN)).to(torch.uint8))
    assert (dim(x) - expected).norm() / expected.norm() < NOISE
    assert (far_too_dim(x) - expected).norm() / expected.norm() > 3 * NOISE


@torch.inference_mode()
def test_weights_of_nothing_but_zeros_are_survived() -> None:
    layer = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    assert not EightBit([Convolution(layer, adds_input=False)], pixels(2, seed=0))(pixels(2, seed=0)).any()
