"""A compact network with random weights, and the model over it."""

from __future__ import annotations

import pytest
import torch

from speakerlight.core.models.compact import Compact
from speakerlight.core.models.compact_network import CompactSyncNet, model_of


@pytest.fixture(scope="module")
def network() -> CompactSyncNet:
    torch.manual_seed(0)
    return CompactSyncNet().eval()


@pytest.fixture(scope="module")
def model(network: CompactSyncNet) -> Compact:
    copy = CompactSyncNet()
    copy.load_state_dict(network.state_dict())
    return model_of(copy, "cpu", "f32")
