"""The fit of the speech head: what is speech, and in which noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.media import Samples
from speakerlight.core.models.speech_head import MEAN_TICKS, head_inputs, load_speech_head
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.core.training import speech as speech_module
from speakerlight.core.training.augmentation import drawn_noise
from speakerlight.core.training.clips import read_samples
from speakerlight.core.training.speech import HeadExample, fit_head, in_noises, labels
from tests.data import DEV, needs_clips


def voice() -> Samples:
    return read_samples(sorted((DEV / "people").glob("*.mp4"))[0])[: 3 * SAMPLE_RATE]


@pytest.mark.parametrize("seed", range(12))
def test_noise_of_every_kind_is_finite_and_of_one_level(seed: int) -> None:
    noise = drawn_noise(SAMPLE_RATE, np.random.default_rng(seed))
    assert noise.shape == (SAMPLE_RATE,) and np.isfinite(noise).all() and noise.std() == pytest.approx(1.0, abs=0.01)


@needs_clips
def test_pauses_are_silence_and_loud_ticks_without_voice_activity_are_unknown() -> None:
    pause = np.zeros(SAMPLE_RATE, np.float32)
    hiss = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    speech, is_known = labels(np.concatenate([pause, voice() * np.float32(0.1 / voice().std()), pause, hiss]))
    assert is_known[:20].all() and not speech[:20].any()
    assert speech[25:100].mean() > 0.5 and is_known[speech].all()
    assert not is_known[-20:].any()


@needs_clips
def test_a_clip_is_used_as_it_is_and_in_noises_and_a_noise_alone() -> None:
    heard = []

    def encode(samples: Samples, ticks: int) -> np.ndarray:
        heard.append(samples)
        return np.zeros((ticks, 4), np.float32)

    *examples, alone = in_noises(voice(), encode, np.random.default_rng(0))
    assert len(examples) == 5 and len(heard) == 6
    assert len(alone.speech) > max(len(example.speech) for example in examples) and not alone.speech.any()
    for example in examples:
        assert example.inputs.shape == (len(example.speech), 2 + 2 * 4)
        assert 0.2 < example.speech.mean() < 0.9
    edges = [float(np.abs(samples[:SAMPLE_RATE]).max()) for samples in heard]
    assert edges[0] == 0 and min(edges[1:]) > 0, "the pauses hold noise, but for the clip as it is"


def test_the_fit_tells_speech_by_either_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_module, "_STEPS", 400)
    rng = np.random.default_rng(0)
    speech = np.repeat(rng.random(400) < 0.3, 10)
    activity = (0.5 + 0.4 * (2 * speech - 1) * (np.arange(4000) < 2000)).astype(np.float32)
    vectors = rng.standard_normal((4000, 2)).astype(np.float32)
    vectors[2000:, 1] += 4 * speech[2000:] - 2
    inputs, spoken = head_inputs(activity, vectors), speech[MEAN_TICKS - 1 :]
    fit_head([HeadExample(inputs, spoken)], tmp_path / "head.safetensors", {"recordings": "1"})
    found = load_speech_head(tmp_path / "head.safetensors").probabilities(activity, vectors) > 0.5
    assert np.mean(found[:1900] == spoken[:1900]) > 0.9 and np.mean(found[2100:] == spoken[2100:]) > 0.9
