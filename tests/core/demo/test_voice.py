from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from silero_vad import load_silero_vad

from speakerlight.core.demo.articulation import CONTROL_RATE, talk
from speakerlight.core.demo.voice import LEVEL, VOICES, Microphone, Voice, cast_voices, speak
from speakerlight.core.media import Samples
from speakerlight.core.people.voice_encoder import VoiceEncoder, VoiceStream
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.model_files import VOICE_ENCODER
from tests.core.people.encoders import model_file

CHUNK = 512
"""Samples in one input of silero-vad."""


def speech_probabilities(samples: Samples) -> np.ndarray:
    model = load_silero_vad()
    with torch.no_grad():
        chunks = torch.from_numpy(samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK))
        return np.array([model(chunk, SAMPLE_RATE).item() for chunk in chunks])


def test_a_voice_activity_detector_takes_it_for_speech() -> None:
    for voice in VOICES:
        rng = np.random.default_rng(0)
        speech = talk(5.0, voice.syllable_rate, rng)
        samples = speak(speech, voice, rng) + rng.normal(0, 4e-4, 5 * SAMPLE_RATE).astype(np.float32)
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


def test_voices_of_a_cast_differ_and_are_the_same_again() -> None:
    voices = cast_voices(26, np.random.default_rng(0))
    assert voices == cast_voices(26, np.random.default_rng(0))
    assert len(set(voices)) == 26 and set(voices[: len(VOICES)]) == set(VOICES)


def test_a_speaker_encoder_separates_the_voices() -> None:
    """Cosines of 1 s windows with a voice's mean: own ones as high as of people, others' as low."""
    encoder = VoiceEncoder(model_file(VOICE_ENCODER))
    windows = []
    for voice in VOICES:
        rng = np.random.default_rng(7)
        windows.append(
            np.stack(VoiceStream(encoder).push(speak(talk(4.0, voice.syllable_rate, rng), voice, rng)))[5:, 4]
        )
    means = np.stack([mean / np.linalg.norm(mean) for mean in (each.mean(axis=0) for each in windows)])
    between = (means @ means.T)[np.triu_indices(len(VOICES), 1)]
    assert between.max() < 0.72 and between.mean() < 0.64
    assert min(np.mean(own @ mean) for own, mean in zip(windows, means, strict=True)) > 0.85


def spectrum_db(voice: Voice) -> np.ndarray:
    """Long-term spectrum in 500 Hz bands: dB relative to the mean."""
    rng = np.random.default_rng(3)
    samples = speak(talk(6.0, 4.5, rng), voice, rng)
    power = np.abs(np.fft.rfft(samples)) ** 2
    bands = 10 * np.log10(power[: len(power) // 16 * 16].reshape(16, -1).mean(axis=1))
    return np.asarray(bands - bands.mean())


@pytest.mark.parametrize(
    "trait",
    [
        {"brightness": 0.9},
        {"breathiness": 0.3},
        {"formant_scale": 1.14},
        {"nasality": 0.9},
        {"frontness": 1.18},
        {"openness": 1.12},
        {"overtones": 1.15},
        {"damping": 2.2},
        {"open_share": 0.9},
        {"microphone": Microphone(lowest_hz=400)},
        {"microphone": Microphone(highest_hz=4500)},
        {"microphone": Microphone(peak_db=6)},
    ],
    ids=str,
)
def test_each_trait_is_audible(trait: dict[str, Any]) -> None:
    """More than the 1 dB that a listener needs to tell two spectra apart."""
    least: dict[str, Any] = {"formant_scale": 0.9, "brightness": 0.3, "breathiness": 0.02, "frontness": 0.84}
    plain, other = Voice(120.0, **least), Voice(120.0, **(least | trait))
    assert np.abs(spectrum_db(plain) - spectrum_db(other)).max() > 1.0
