"""Export of trained weights to the one file that the engine loads, with a model card in its header."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from speakerlight.core.models.compact_network import CompactSyncNet


def export(network: CompactSyncNet, path: Path, card: dict[str, str]) -> None:
    """Write ``network`` as safetensors in half precision (cosines change by less than 1e-3), ``card`` as its header."""
    weights = {
        name: tensor.detach().contiguous().to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(weights, partial, metadata=card)
    partial.replace(path)
