"""The plot: every face's curve, who was primary, and memory that does not grow with the run."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.outputs.plot import (
    OFFSCREEN_COLOUR,
    SILENCE_COLOUR,
    UNDECIDED_COLOUR,
    Plot,
    SignalHistory,
    strip_colours,
)
from speakerlight.palette import colour

from tests.stream.outputs.made import snapshot


def nobody_named(time: float, state: SpeakingState) -> Snapshot:
    return Snapshot(round(time * 25), time, 0.9, (), state, None, Lag(0, 0))


def test_the_strip_shows_the_primary_speaker_or_the_state() -> None:
    history = SignalHistory()
    named = (snapshot(0.0), snapshot(0.04, [2]), snapshot(0.08, [1, 2]))
    unnamed = (nobody_named(0.12, SpeakingState.UNDECIDED), nobody_named(0.16, SpeakingState.OFFSCREEN))
    for each in named + unnamed:
        history.add(each)
    expected = [SILENCE_COLOUR, colour(2), colour(1), UNDECIDED_COLOUR, OFFSCREEN_COLOUR]
    assert [tuple(each) for each in strip_colours(history).tolist()] == expected


def test_memory_does_not_grow_with_the_run_and_means_stay_right() -> None:
    history = SignalHistory(limit=64)
    for k in range(25 * 400):
        history.add(snapshot(k / 25, [1] if k < 25 * 200 else [2]))
    assert len(history.primary) <= 64
    assert all(len(curve) <= 64 for curve in history.faces.values())
    assert history.seconds * 64 >= 400
    middle = round(200 / history.seconds)
    assert history.primary[middle // 2].choice == 1
    assert history.primary[middle + middle // 2].choice == 2
    curve = history.faces[1]
    assert curve[middle // 2].total / curve[middle // 2].count == pytest.approx(0.9)
    assert sum(mean.count for mean in curve.values()) == 25 * 400


def test_what_is_not_a_number_is_left_out() -> None:
    history = SignalHistory()
    face = FaceScore(1, Box(0, 0, 1, 1), math.nan, False)
    history.add(Snapshot(0, 0.0, math.nan, (face,), SpeakingState.SILENCE, None, Lag(0, 0)))
    assert history.faces == {}
    assert history.speech == {}


def test_the_picture_has_every_faces_colour(tmp_path: Path) -> None:
    plot = Plot(tmp_path / "p.png", {1: "Ada"})
    people = range(1, 10)
    for k in range(250):
        plot.snapshot(snapshot(k / 25, [1 + k // 28], people=people))
    plot.close()
    picture = cv2.imread(str(tmp_path / "p.png"))
    assert picture is not None
    for person in people:
        assert (picture == np.array(colour(person)[::-1])).all(axis=-1).sum() > 500, person


def test_a_run_without_a_tick_leaves_nothing(tmp_path: Path) -> None:
    Plot(tmp_path / "p.png").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/p.png", "p.jpg"])
def test_a_bad_place_is_said_before_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="--plot"):
        Plot(tmp_path / name)
