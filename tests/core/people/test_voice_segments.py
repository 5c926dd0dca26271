from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.people.voice_segments import ClusteringSettings, Segments, clustered, linked

VOICES = np.random.default_rng(1).normal(size=(3, 16))
TURNS = (0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2)


def spoken(turns: tuple[int, ...] = TURNS, noise: float = 0.2) -> Segments:
    rng = np.random.default_rng(2)
    coordinates = VOICES[list(turns)] + noise * rng.normal(size=(len(turns), 16))
    count = len(turns)
    return Segments(coordinates, np.full((count, 16), noise**2), np.ones(count), np.zeros(count))


@pytest.mark.parametrize("guessed", [3, 5, 8])
def test_voices_are_found_whatever_the_first_guess(guessed: int) -> None:
    segments = spoken()
    shares = linked(segments.coordinates, guessed)
    found = clustered(segments, np.ones(16), shares, np.zeros_like(shares), ClusteringSettings())
    labels = found.shares.argmax(axis=1)
    assert len({(turn, label) for turn, label in zip(TURNS, labels.tolist(), strict=True)}) == 3
    assert np.allclose(found.shares.sum(axis=1), 1.0)


def test_one_voice_stays_one() -> None:
    segments = spoken((0,) * 12)
    shares = linked(segments.coordinates, 8)
    found = clustered(segments, np.ones(16), shares, np.zeros_like(shares), ClusteringSettings())
    assert len(set(found.shares.argmax(axis=1).tolist())) == 1


def test_the_bound_rises_with_every_round() -> None:
    segments = spoken(noise=1.0)
    shares = linked(segments.coordinates, 6)
    bounds = [
        clustered(segments, np.ones(16), shares, np.zeros_like(shares), ClusteringSettings(rounds=rounds)).bound
        for rounds in range(1, 7)
    ]
    assert (np.diff(bounds) >= -1e-6).all()


def test_a_known_voice_is_kept_against_the_likelihood() -> None:
    segments = spoken((0, 0, 0, 0))
    shares = np.full((4, 2), 0.5)
    fixed = np.zeros((4, 2))
    fixed[0, 1] = fixed[1, 0] = -1e3
    found = clustered(segments, np.ones(16), shares, fixed, ClusteringSettings())
    assert found.shares[0, 0] > 0.99 and found.shares[1, 1] > 0.99


def test_linking_joins_what_is_nearest() -> None:
    segments = spoken()
    labels = linked(segments.coordinates, 3).argmax(axis=1)
    assert len({(turn, label) for turn, label in zip(TURNS, labels.tolist(), strict=True)}) == 3
    assert linked(segments.coordinates[:2], 8).shape == (2, 2), "never more clusters than segments"
