from __future__ import annotations

import math
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.core.errors import InputError
from speakerlight.core.people.voice_encoder import DIMENSIONS, WINDOWS, VoiceEncoder, VoiceStream, read_legacy
from speakerlight.model_files import VOICE_ENCODER
from tests.core.people.encoders import model_file

HOP = 3200
"""Samples."""


def noise(seconds: float, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 0.05, round(seconds * 16000)).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return VoiceEncoder(model_file(VOICE_ENCODER), "f32")


def test_the_fastest_precision_gives_the_same_voice(encoder: VoiceEncoder) -> None:
    fast, samples = VoiceEncoder(model_file(VOICE_ENCODER)), noise(2.5)
    for exact, voices in zip(VoiceStream(encoder).push(samples), VoiceStream(fast).push(samples), strict=True):
        assert np.sum(exact * voices, axis=1).min() > 0.99


def test_a_window_is_the_network_from_its_start(encoder: VoiceEncoder) -> None:
    state = torch.load(model_file(VOICE_ENCODER), weights_only=True, map_location="cpu")["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name.removeprefix("lstm."): w for name, w in state.items() if name.startswith("lstm.")})
    linear.load_state_dict({name.removeprefix("linear."): w for name, w in state.items() if name.startswith("linear.")})
    mel = np.abs(np.random.default_rng(1).normal(0, 0.1, (3, 20, 40))).astype(np.float32)
    states = np.zeros((WINDOWS, 2 * 3 * 256), np.float32)
    for hop in mel:
        states, voices = encoder(hop, states)
    with torch.no_grad():
        raw = linear(lstm(torch.from_numpy(mel.reshape(1, 60, 40)))[1][0][-1]).relu()
    np.testing.assert_allclose(voices[0], (raw / raw.norm()).numpy()[0], atol=1e-5)


def test_a_stream_is_the_same_however_it_is_cut(encoder: VoiceEncoder) -> None:
    samples, cuts = noise(2.5), np.random.default_rng(3).integers(1, 5000, 40).cumsum()
    whole = VoiceStream(encoder).push(samples)
    stream = VoiceStream(encoder)
    pieces = [hop for piece in np.split(samples, cuts[cuts < len(samples)]) for hop in stream.push(piece)]
    assert len(whole) == len(pieces) == 12
    np.testing.assert_allclose(pieces, whole, atol=1e-5)
    assert whole[0].shape == (WINDOWS, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(whole[-1], axis=1), 1, atol=1e-4)


def test_windows_are_ordered_by_length(encoder: VoiceEncoder) -> None:
    """The shorter windows see only what comes after a change of the audio."""
    first, second = noise(3.0, 1), np.sin(np.arange(16 * HOP) * 0.2).astype(np.float32) * 0.05
    alone = VoiceStream(encoder).push(np.concatenate([np.zeros(15 * HOP, np.float32), second]))[-2]
    after = VoiceStream(encoder).push(np.concatenate([first, second[: 3 * HOP + 400]]))[-1]
    similar = (alone[[2]] @ after.T)[0]
    assert similar[:3].min() > similar[4:].max()


def test_loudness_does_not_matter(encoder: VoiceEncoder) -> None:
    samples = noise(3.0)
    plain, quiet = VoiceStream(encoder).push(samples)[-1], VoiceStream(encoder).push(0.02 * samples)[-1]
    assert float((plain[-1] * quiet[-1]).sum()) > 0.99


def test_silence_and_full_scale_are_survived(encoder: VoiceEncoder) -> None:
    for samples in (np.zeros(3 * HOP, np.float32), np.ones(3 * HOP, np.float32), np.zeros(0, np.float32)):
        assert all(np.isfinite(hop).all() for hop in VoiceStream(encoder).push(samples))


def test_it_is_fast(encoder: VoiceEncoder) -> None:
    stream = VoiceStream(encoder)
    stream.push(noise(4.0))
    begun = time.process_time()
    stream.push(noise(5.0))
    assert time.process_time() - begun < 5 * 0.1, "a tenth of a core: five times what it takes"


def legacy(path: Path, content: object) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_checkpoints_of_the_old_format_are_read(tmp_path: Path) -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)[1:]}
    read = read_legacy(legacy(tmp_path / "old.pt", {"model_state": weights, "step": 3}))
    assert read["step"] == 3
    for name, tensor in weights.items():
        np.testing.assert_array_equal(read["model_state"][name], tensor.numpy())


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = legacy(tmp_path / "bad.pt", {"model_state": math.factorial})
    with pytest.raises(pickle.UnpicklingError, match=r"math\.factorial is not read"):
        read_legacy(path)
    for content in (path.read_bytes(), path.read_bytes()[:40], b"", b"hello"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="delete it and run again"):
            VoiceEncoder(path)
