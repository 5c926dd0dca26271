"""The fit of the voice model: what it was drawn from comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speakerlight.core.people.voice_model import load_voice_model
from speakerlight.core.training.voices import VoiceClip, fitted, recorded, save_voice_model

PEOPLE, HOPS, COORDINATES = 40, 30, 4
NOISE = (4.0, 2.0, 1.4, 1.1, 1.0, 0.9, 0.9, 0.9)


def clips() -> list[VoiceClip]:
    """Voices that differ in four of 256 numbers; windows of 0.2 s show half of it."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(256, 256)))[0]
    made = []
    for person in range(PEOPLE):
        voice = np.zeros(256)
        voice[:COORDINATES] = 3.0 * rng.normal(size=COORDINATES)
        embeddings = np.empty((HOPS, 8, 256))
        for length, noise in enumerate(NOISE):
            gain = 0.5 if length == 0 else 1.0
            embeddings[:, length] = (gain * voice + noise * rng.normal(size=(HOPS, 256))) @ axes + length
        made.append(VoiceClip(str(person), embeddings.astype(np.float32), np.ones(HOPS, np.float32)))
    return made


def test_the_model_is_that_of_the_voices(tmp_path: Path) -> None:
    model = fitted(clips(), COORDINATES)
    assert np.allclose(model.mean.mean(axis=1), np.arange(8), atol=0.2)
    assert abs(model.gain[0].mean() - 0.5) < 0.1 and np.allclose(model.gain[4], 1.0, atol=0.05)
    spread = model.within.mean(axis=1)
    assert (np.diff(spread[:5]) < 0).all() and model.between.min() > spread[4], "voices differ more than one does"
    save_voice_model(model, tmp_path / "voices.safetensors", {"people": str(PEOPLE)})
    kept = load_voice_model(tmp_path / "voices.safetensors")
    assert np.allclose(kept.within, model.within, rtol=1e-3)
    embedding = clips()[3].embeddings[0, 4]
    assert np.allclose(kept.coordinates(embedding, 5), model.coordinates(embedding, 5), atol=0.05)


def test_a_window_with_a_pause_is_not_used() -> None:
    speech = np.ones(HOPS, np.float32)
    speech[10] = 0.0
    clip = VoiceClip("a", np.zeros((HOPS, 8, 256), np.float32), speech)
    assert len(clip.windows(1)) == HOPS - 1 and len(clip.windows(5)) == HOPS - 4 - 5


def test_another_room_keeps_the_length_and_changes_the_sound() -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    rng = np.random.default_rng(1)
    first, second = recorded(samples, rng), recorded(samples, rng)
    assert first.shape == samples.shape and first.dtype == np.float32
    assert np.abs(first).max() == 0.5 and not np.allclose(first, second)
