"""Loading of the compact SyncNet. On a CPU it needs no PyTorch, which takes a second to import."""

from __future__ import annotations

from pathlib import Path

from speakerlight.core.models.compact import WEIGHTS_FILE, Compact


def load_compact(device: str, path: Path = WEIGHTS_FILE) -> Compact:
    """The compact model on ``device`` (cpu, cuda, mps). Raises InputError when ``path`` does not hold it."""
    if device == "cpu":
        from speakerlight.core.models.compact_graphs import load_graphs

        return Compact(load_graphs(path))
    from speakerlight.core.models.compact_network import load_network, model_of

    return model_of(load_network(path)[0], device)
