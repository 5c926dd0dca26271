from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.compact_network import CompactSyncNet, model_of
from speakerlight.core.training.export import export
from tests.core.models.test_compact import random_network, stacks


def test_an_exported_network_loads_unchanged(tmp_path: Path) -> None:
    network = random_network(3)
    path = tmp_path / "new folder" / "model.safetensors"
    export(network, path, {"data": "made up", "steps": "0"})
    loaded, original = load_compact("cpu", path), model_of(copy.deepcopy(network), "cpu")
    mel = np.random.default_rng(0).uniform(-1, 1, (20, 44, 40)).astype(np.float32)
    assert (1 - (loaded.embed_audio(mel) * original.embed_audio(mel)).sum(1)).max() < 1e-3
    frame_stacks = stacks(13)
    faces = [m.embed_faces(m.encode_frames(frame_stacks)[None]) for m in (loaded, original)]
    assert 1 - (faces[0].vectors * faces[1].vectors).sum() < 1e-3


def test_the_file_has_a_card_and_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    export(CompactSyncNet(), path, {"data": "made up"})
    assert load_safetensors(path)[1] == {"data": "made up"}
    assert {t.dtype for t in load_file(path).values() if t.is_floating_point()} == {torch.float16}
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
