"""Lag curves by what changes from tick to tick are those that are computed anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS
from speakerlight.core.decision.lag_curves import LagCurves

SPAN, DIMENSIONS, TICKS = 40, 8, 160
WEIGHTS = np.stack([np.linspace(0.1, 1.0, SPAN), np.linspace(0.0, 1.0, SPAN) ** 4])

Vectors = npt.NDArray[np.float32]


def unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


class Talk:
    """People whose vectors are zero where they are not seen, and their sound; by tick from −SPAN − MAX_LAG_TICKS on."""

    first = -SPAN - MAX_LAG_TICKS

    def __init__(self, people: int) -> None:
        rng = np.random.default_rng(5)
        length = TICKS + MAX_LAG_TICKS - self.first
        self.faces = unit(rng.normal(size=(people, length, DIMENSIONS)))
        self.sound = unit(rng.normal(size=(length, DIMENSIONS)))
        self.faces[rng.random((people, length)) < 0.1] = 0
        self.faces[:, : -self.first] = 0
        self.sound[: -self.first] = np.nan

    def update(self, curves: LagCurves, ids: Sequence[int], tick: int, newest: int) -> npt.NDArray[np.float64]:
        lacks = curves.lacks(ids, tick)
        at = tick + 1 - self.first
        sounds = self.sound[at - lacks - MAX_LAG_TICKS : at + MAX_LAG_TICKS].copy()
        sounds[newest - (tick + 1 - lacks - MAX_LAG_TICKS) + 1 :] = np.nan
        faces = self.faces[list(ids)]
        seen = faces[:, at - SPAN : at].any(axis=2)
        return curves.update(ids, tick, faces[:, at - lacks : at], sounds, seen)

    def plainly(self, ids: Sequence[int], tick: int, newest: int) -> npt.NDArray[np.float64]:
        """By the definition, one cosine at a time."""
        averages = np.zeros((len(WEIGHTS), len(ids), len(LAGS)))
        for row, i in enumerate(ids):
            for column, lag in enumerate(LAGS):
                total, weight = np.zeros(len(WEIGHTS)), np.zeros(len(WEIGHTS))
                for past, counts in enumerate(WEIGHTS.T[::-1]):
                    face = self.faces[i, tick - past - self.first]
                    heard = tick - past + lag
                    if face.any() and 0 <= heard <= newest:
                        total += counts * float(face @ self.sound[heard - self.first])
                        weight += counts
                averages[:, row, column] = total / np.maximum(weight, 1e-9)
        return averages


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_they_are_what_the_definition_says(stride: int) -> None:
    talk, curves = Talk(3), LagCurves(WEIGHTS)
    for tick in range(0, 80, stride):
        given = talk.update(curves, [2, 0, 1], tick, newest=tick)
        if tick % 16 == 0:
            np.testing.assert_allclose(given, talk.plainly([2, 0, 1], tick, tick), atol=1e-6)


def test_who_comes_and_goes_and_how_far_the_sound_is_used_changes_nothing() -> None:
    rng = np.random.default_rng(7)
    talk, kept = Talk(4), LagCurves(WEIGHTS)
    tick, ids, later, computed = 0, [0, 1], 0, []
    while tick < TICKS:
        computed.append(kept.lacks(ids, tick))
        given = talk.update(kept, ids, tick, tick + later)
        anew = talk.update(LagCurves(WEIGHTS), ids, tick, tick + later)
        np.testing.assert_allclose(given, anew, atol=1e-6)
        tick += int(rng.choice([1, 1, 1, 2, 4, MAX_LAG_TICKS, MAX_LAG_TICKS + 3]))
        if rng.random() < 0.2:
            ids = rng.permutation(4)[: rng.integers(1, 5)].tolist()
        if rng.random() < 0.3:
            later = int(rng.integers(0, MAX_LAG_TICKS + 1))
    assert min(computed) == MAX_LAG_TICKS + 1 and max(computed) == SPAN


def test_where_nothing_is_heard_they_are_0() -> None:
    talk, curves = Talk(2), LagCurves(WEIGHTS)
    for tick in range(30):
        assert not talk.update(curves, [0, 1], tick, newest=-1).any()


def test_a_face_that_may_have_been_forgotten_is_compared_anew() -> None:
    talk, curves = Talk(1), LagCurves(WEIGHTS)
    talk.update(curves, [0], 20, newest=20)
    talk.faces[:] = 0  # away for so long that it began anew
    assert not talk.update(curves, [0], 21 + MAX_LAG_TICKS, newest=21 + MAX_LAG_TICKS).any()
