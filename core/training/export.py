"""Export of trained weights to the one file that the engine loads, with a model card in its header."""

from __future__ import annotations

from pathlib import Path

import torch

from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.training.weights_file import save_weights


def export(network: CompactSyncNet, path: Path, card: dict[str, str]) -> None:
    """Write ``network`` as safetensors in half precision (cosines change by less than 1e-3), ``card`` as its header."""
    weights = {
        name: tensor.detach().to(torch.float16 if tensor.is_floating_point() else tensor.dtype).numpy()
        for name, tensor in network.state_dict().items()
    }
    save_weights(weights, path, card)
