from __future__ import annotations

import numpy as np
import pytest
import torch
from silero_vad import load_silero_vad
from speakerlight.core.demo.articulation import CONTROL_RATE, talk
from speakerlight.core.demo.person import cast
from speakerlight.core.demo.voice import LEVEL, Voice, speak
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE

CHUNK = 512
"""Samples that silero-vad looks at."""


def speech_probabilities(sound: Samples) -> np.ndarray:
    model = load_silero_vad()
    with torch.no_grad():
        chunks = torch.from_numpy(sound[: len(sound) // CHUNK * CHUNK].reshape(-1, CHUNK))
        return np.array([model(chunk, SAMPLE_RATE).item() for chunk in chunks])


def test_a_voice_activity_detector_takes_it_for_speech() -> None:
    for person in cast(3, 4):
        rng = np.random.default_rng(0)
        speech = talk(5.0, person.voice.syllable_rate, rng)
        sound = speak(speech, person.voice, rng) + rng.normal(0, 4e-4, 5 * SAMPLE_RATE).astype(np.float32)
        chances = speech_probabilities(sound)
        middles = (np.arange(len(chances)) + 0.5) * CHUNK / SAMPLE_RATE
        voiced = np.interp(middles, np.arange(len(speech.voicing)) / CONTROL_RATE, speech.voicing) > 0.3
        assert np.mean(chances[voiced & (middles > 0.3)] > 0.5) > 0.9


def test_sound_is_as_long_and_as_loud_as_promised() -> None:
    rng = np.random.default_rng(1)
    sound = speak(talk(2.0, 4.5, rng), Voice(120, 1.0, 4.5, 0.1), rng)
    assert sound.dtype == np.float32 and sound.shape == (2 * SAMPLE_RATE,)
    assert sound.std() == pytest.approx(LEVEL, rel=1e-3) and np.abs(sound).max() < 1


@pytest.mark.parametrize("pitch_hz", [100.0, 200.0])
def test_the_pitch_is_the_speakers_own(pitch_hz: float) -> None:
    rng = np.random.default_rng(2)
    speech = talk(3.0, 4.5, rng)
    sound = speak(speech, Voice(pitch_hz, 1.0, 4.5, 0.02), rng)
    loudest = int(np.argmax(speech.voicing * speech.lips[:, 0])) * SAMPLE_RATE // CONTROL_RATE
    piece = sound[loudest - 800 : loudest + 800]
    likeness = np.correlate(piece, piece, "full")[1600:]
    lag = 50 + int(np.argmax(likeness[50:230]))
    expected = SAMPLE_RATE / (pitch_hz * speech.pitch[loudest * CONTROL_RATE // SAMPLE_RATE])
    assert lag == pytest.approx(expected, rel=0.1)
