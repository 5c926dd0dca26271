"""Channel mixing, on numbers alone."""

from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.media import Samples
from speakerlight.sources.channels import ChannelMixer

RNG = np.random.default_rng(1)
VOICE = (0.2 * RNG.standard_normal(32_000)).astype(np.float32)
NOISE = (0.0005 * RNG.standard_normal((6, 32_000))).astype(np.float32)


def mixed(channels: list[Samples] | np.ndarray, piece: int = 640) -> Samples:
    mixer, block = ChannelMixer(), np.stack(list(channels)).astype(np.float32)
    return np.concatenate([mixer.mix(block[:, at : at + piece]) for at in range(0, block.shape[1], piece)])


def loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def test_channels_that_agree_are_averaged() -> None:
    np.testing.assert_allclose(mixed([VOICE, VOICE]), VOICE, atol=1e-6)
    other = (0.2 * RNG.standard_normal(32_000)).astype(np.float32)
    np.testing.assert_allclose(mixed([VOICE, other]), (VOICE + other) / 2, atol=1e-6)


@pytest.mark.parametrize("place", range(6))
def test_a_voice_in_one_channel_is_as_loud_as_alone(place: int) -> None:
    channels = NOISE.copy()
    channels[place] += VOICE
    assert loudness(mixed(channels)[1_000:]) == pytest.approx(loudness(VOICE), rel=0.02)


@pytest.mark.parametrize("share", [1.0, 0.9, 0.6])
def test_opposite_phases_leave_the_louder_channel(share: float) -> None:
    assert loudness(mixed([VOICE, -share * VOICE])) == pytest.approx(loudness(VOICE), rel=0.02)
    assert loudness(mixed([-share * VOICE, VOICE])) == pytest.approx(loudness(VOICE), rel=0.02)


def test_a_pause_of_the_voice_does_not_turn_to_the_noise_of_others() -> None:
    pause = np.concatenate([VOICE, np.zeros(160_000, np.float32), VOICE])
    noise = np.tile(NOISE[:1], 7)[:, : len(pause)]
    assert loudness(mixed([pause, noise[0]])[40_000:180_000]) < 1e-6


def test_damage_in_one_channel_stays_there() -> None:
    broken = VOICE.copy()
    broken[100:103] = np.nan
    out = mixed([broken, VOICE])
    assert np.isfinite(out).all() and loudness(out[1_000:] - VOICE[1_000:]) < 1e-6


def test_silence_and_no_samples_stay_as_they_are() -> None:
    assert not mixed(np.zeros((2, 1_280), np.float32)).any()
    assert len(ChannelMixer().mix(np.zeros((2, 0), np.float32))) == 0


def test_a_channel_that_is_not_there_is_reported_once_and_the_last_is_used() -> None:
    lines: list[str] = []
    mixer = ChannelMixer(4, report=lines.append)
    for _ in range(2):
        assert mixer.mix(np.array([[0.1], [0.2]], np.float32)).tolist() == [np.float32(0.2)]
    assert lines == ["--audio-channel 5: its audio has no more than 2; the last is used"]
