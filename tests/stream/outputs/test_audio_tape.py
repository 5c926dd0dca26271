"""The audio tape: audio by its times, silence where there is none, in step however long the run."""

from __future__ import annotations

import numpy as np

from speakerlight.core.media import AudioChunk
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.outputs.audio_tape import TAPE_SECONDS, AudioTape


def tone(time: float, count: int, level: float = 0.5) -> AudioChunk:
    return AudioChunk(time, np.full(count, level, np.float32))


def test_audio_is_consumed_at_its_time() -> None:
    tape = AudioTape()
    tape.put(AudioChunk(0.1, np.linspace(-1, 1, 320, dtype=np.float32)))
    assert tape.end == 1920
    np.testing.assert_array_equal(tape.take(1600, 1920), np.linspace(-1, 1, 320, dtype=np.float32))
    np.testing.assert_array_equal(tape.take(0, 1600), 0)
    np.testing.assert_array_equal(tape.take(1920, 2000), 0)


def test_a_gap_is_silence_and_a_repeat_is_dropped() -> None:
    tape = AudioTape()
    tape.put(tone(0.0, 1600))
    tape.put(tone(0.5, 1600, 0.25))
    tape.put(tone(0.3, 4800, 0.75))
    assert tape.end == 9600
    np.testing.assert_array_equal(tape.take(1600, 8000), 0)
    np.testing.assert_allclose(tape.take(8000, 9600), 0.25)


def test_it_keeps_the_newest_and_stays_small() -> None:
    tape = AudioTape()
    tape.put(tone(0.0, SAMPLE_RATE))
    tape.put(tone(100.0, SAMPLE_RATE, 0.25))
    kept = tape.take(0, 101 * SAMPLE_RATE)
    assert not kept[: 100 * SAMPLE_RATE].any()
    np.testing.assert_allclose(kept[100 * SAMPLE_RATE :], 0.25)
    tape.put(tone(101.0, round((TAPE_SECONDS + 5) * SAMPLE_RATE), 0.75))
    np.testing.assert_allclose(tape.take(tape.end - 16000, tape.end), 0.75)
    assert not tape.take(0, 100 * SAMPLE_RATE).any()


def test_a_drifting_clock_is_followed_without_gaps() -> None:
    """A microphone that is 0.03 % fast: after 5 minutes its sample count alone would be 90 ms off."""
    tape = AudioTape()
    for k in range(300 * 50):
        tape.put(tone(k * 0.02 / 1.0003, 320))
    assert abs(tape.end - 300 * SAMPLE_RATE / 1.0003) < 0.005 * SAMPLE_RATE
    assert tape.take(tape.end - SAMPLE_RATE, tape.end).min() > 0.49, "no hole was cut"


def test_wild_samples_are_tamed() -> None:
    tape = AudioTape()
    tape.put(AudioChunk(0.0, np.array([np.nan, np.inf, -9.0, -3.0, 0.5], np.float32)))
    np.testing.assert_array_equal(tape.take(0, 5), [0.0, 0.0, 0.0, -1.0, 0.5])


def test_audio_from_before_the_session_is_dropped() -> None:
    tape = AudioTape()
    tape.put(tone(-0.05, 1600))
    assert tape.end == 800
    np.testing.assert_allclose(tape.take(0, 800), 0.5)
