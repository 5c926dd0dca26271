from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from speakerlight.core.media import AudioChunk, Frame, cleaned


def test_media_carry_their_time_and_cannot_be_altered() -> None:
    frame = Frame(1.5, np.zeros((4, 6, 3), np.uint8))
    audio = AudioChunk(2.5, np.zeros(10, np.float32))
    assert frame.time == 1.5 and audio.time == 2.5
    with pytest.raises(FrozenInstanceError):
        frame.time = 0.0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        audio.time = 0.0  # type: ignore[misc]


def test_media_are_compared_by_identity_since_their_arrays_cannot_be() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    frame = Frame(1.5, image)
    assert frame == frame and frame != Frame(1.5, image)
    assert len({frame, Frame(1.5, image)}) == 2


def test_damaged_samples_become_silence_and_finite_ones_stay() -> None:
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 1e30, -3.0], np.float32)
    np.testing.assert_array_equal(cleaned(samples), np.array([0.5, 0, 0, 0, 0, -3.0], np.float32))
    assert cleaned(samples[:1]) is not None and np.isnan(samples[1])
    fine = samples[[0, 5]]
    assert cleaned(fine) is fine
    assert len(cleaned(samples[:0])) == 0
