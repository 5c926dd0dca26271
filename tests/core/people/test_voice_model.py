from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from speakerlight.core.errors import InputError
from speakerlight.core.people.voice_model import load_voice_model, shipped_voice_model


def test_the_shipped_model_is_whole() -> None:
    model = shipped_voice_model()
    coordinates = len(model.between)
    assert model.projection.shape == (256, coordinates) and model.mean.shape == (8, 256)
    assert model.gain.shape == model.within.shape == (8, coordinates)
    assert (model.between > 0).all() and (model.within > 0).all() and 0 < model.length < 1
    assert (np.diff(model.within.mean(axis=1)[:5]) < 0).all(), "longer windows show a voice more exactly"


def test_the_mean_of_all_voices_lies_at_the_origin() -> None:
    model = shipped_voice_model()
    for hops in range(1, 9):
        assert np.allclose(model.coordinates(model.mean[hops - 1], hops), 0.0)


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "voices.safetensors"
    if content is None:
        save_file({"mean": np.zeros(3, np.float32)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_voice_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
