from __future__ import annotations

import numpy as np
import pytest
import torch
from silero_vad import load_silero_vad

from speakerlight.core.demo.articulation import CONTROL_RATE, talk
from speakerlight.core.demo.person import cast
from speakerlight.core.demo.voice import LEVEL, Voice, cast_voices, speak
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE

CHUNK = 512
"""Samples in one input of silero-vad."""


def speech_probabilities(samples: Samples) -> np.ndarray:
    model = load_silero_vad()
    with torch.no_grad():
        chunks = torch.from_numpy(samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK))
        return np.array([model(chunk, SAMPLE_RATE).item() for chunk in chunks])


def test_a_voice_activity_detector_takes_it_for_speech() -> None:
    for person in cast(3, 4):
        rng = np.random.default_rng(0)
        speech = talk(5.0, person.voice.syllable_rate, rng)
        samples = speak(speech, person.voice, rng) + rng.normal(0, 4e-4, 5 * SAMPLE_RATE).astype(np.float32)
        chances = speech_probabilities(samples)
        middles = (np.arange(len(chances)) + 0.5) * CHUNK / SAMPLE_RATE
        voiced = np.interp(middles, np.arange(len(speech.voicing)) / CONTROL_RATE, speech.voicing) > 0.3
        assert np.mean(chances[voiced & (middles > 0.3)] > 0.5) > 0.9


def test_audio_is_as_long_and_as_loud_as_promised() -> None:
    rng = np.random.default_rng(1)
    samples = speak(talk(2.0, 4.5, rng), Voice(120, 1.0), rng)
    assert samples.dtype == np.float32 and samples.shape == (2 * SAMPLE_RATE,)
    assert samples.std() == pytest.approx(LEVEL, rel=1e-3) and np.abs(samples).max() < 1


@pytest.mark.parametrize("pitch_hz", [100.0, 200.0])
def test_the_pitch_is_the_speakers_own(pitch_hz: float) -> None:
    rng = np.random.default_rng(2)
    speech = talk(3.0, 4.5, rng)
    samples = speak(speech, Voice(pitch_hz, 1.0, breathiness=0.02), rng)
    loudest = int(np.argmax(speech.voicing * speech.lips[:, 0])) * SAMPLE_RATE // CONTROL_RATE
    piece = samples[loudest - 800 : loudest + 800]
    likeness = np.correlate(piece, piece, "full")[1600:]
    lag = 50 + int(np.argmax(likeness[50:230]))
    expected = SAMPLE_RATE / (pitch_hz * speech.pitch[loudest * CONTROL_RATE // SAMPLE_RATE])
    assert lag == pytest.approx(expected, rel=0.1)


def test_voices_of_a_cast_differ_in_every_trait_and_are_the_same_again() -> None:
    voices = cast_voices(5, np.random.default_rng(0))
    assert voices == cast_voices(5, np.random.default_rng(0))
    for name in Voice.__dataclass_fields__:
        assert len({getattr(voice, name) for voice in voices}) == 5, name


def spectrum_db(voice: Voice) -> np.ndarray:
    """Long-term spectrum in 500 Hz bands: dB relative to the mean."""
    rng = np.random.default_rng(3)
    samples = speak(talk(6.0, 4.5, rng), voice, rng)
    power = np.abs(np.fft.rfft(samples)) ** 2
    bands = 10 * np.log10(power[: len(power) // 16 * 16].reshape(16, -1).mean(axis=1))
    return np.asarray(bands - bands.mean())


@pytest.mark.parametrize(
    "trait",
    [{"brightness": 0.9}, {"breathiness": 0.3}, {"formant_scale": 1.14}, {"nasality": 0.9}, {"frontness": 1.18}],
)
def test_each_trait_is_audible(trait: dict[str, float]) -> None:
    """More than the 1 dB that a listener needs to tell two spectra apart."""
    least = {"formant_scale": 0.9, "brightness": 0.3, "breathiness": 0.02, "frontness": 0.84}
    plain, other = Voice(120.0, **least), Voice(120.0, **(least | trait))
    assert np.abs(spectrum_db(plain) - spectrum_db(other)).max() > 2.0
