"""The plot: every face's curve, who was primary, and memory that does not grow with the run."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.outputs.plot import (
    BIN_LIMIT,
    STATE_COLOURS,
    Plot,
    SignalHistory,
    import_matplotlib,
    plot_png,
    strip_colours,
)
from speakerlight.palette import colour
from tests.stream.outputs.made import snapshot


def without_speaker(time: float, state: SpeakingState) -> Snapshot:
    return Snapshot(round(time * 25), time, 0.9, (), state, None, Lag(0, 0))


def test_the_strip_shows_the_primary_speaker_or_the_state() -> None:
    history = SignalHistory()
    named = (snapshot(0.0), snapshot(0.04, [2]), snapshot(0.08, [1, 2]))
    unnamed = (without_speaker(0.12, SpeakingState.UNDECIDED), without_speaker(0.16, SpeakingState.OFFSCREEN))
    for each in named + unnamed:
        history.add(each)
    states = STATE_COLOURS
    expected = [states[SpeakingState.SILENCE], colour(2), colour(1)]
    expected += [states[SpeakingState.UNDECIDED], states[SpeakingState.OFFSCREEN]]
    assert [tuple(each) for each in strip_colours(history).tolist()] == expected


def test_memory_does_not_grow_with_the_run_and_means_stay_right() -> None:
    history = SignalHistory(limit=64)
    for k in range(25 * 400):
        history.add(snapshot(k / 25, [1] if k < 25 * 200 else [2]))
    assert len(history.primary) <= 64
    assert len(history.faces) <= 2 * 64 and len(history.speech) <= 64
    assert history.seconds * 64 >= 400
    middle = round(200 / history.seconds)
    assert history.primary[middle // 2].choice == 1
    assert history.primary[middle + middle // 2].choice == 2
    (first, bins, means), (second, _, _) = history.faces.means()
    assert (first, second) == (1, 2)
    np.testing.assert_allclose(means[bins < middle - 1], 0.9)
    np.testing.assert_allclose(means[bins > middle + 1], 0.1)
    assert history.faces._rows["count"].sum() == 2 * 25 * 400


def test_a_merged_person_has_one_curve() -> None:
    history = SignalHistory()
    history.add(snapshot(0.0, [2], people=[2]))
    history.add(replace(snapshot(0.04, [1], people=[1]), merges=(Merge(2, 1),)))
    ((person, bins, _),) = history.faces.means()
    assert (person, bins.tolist()) == (1, [0, 1])
    assert [vote.choice for vote in history.primary.values()] == [1, 1]


def test_what_is_not_a_number_is_dropped() -> None:
    history = SignalHistory()
    face = FaceScore(1, Box(0, 0, 1, 1), math.nan, False)
    history.add(Snapshot(0, 0.0, math.nan, (face,), SpeakingState.SILENCE, None, Lag(0, 0)))
    assert len(history.faces) == len(history.speech) == 0
    assert cv2.imdecode(np.frombuffer(plot_png(history, {}), np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_day_with_thousands_of_people_is_drawn_in_time() -> None:
    """In processor time, which other programs hardly change: 0.3 s."""
    history = SignalHistory()
    for k in range(BIN_LIMIT * 8):
        history.add(snapshot(42.0 * k / 8, [], people=[1 + k // 5 + n for n in range(10)]))
    import_matplotlib()  # done beforehand in a run, too
    begun = time.process_time()
    png = plot_png(history, {})
    assert time.process_time() - begun < 1.0
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_curve_is_drawn_when_only_every_fourth_tick_is_scored(tmp_path: Path) -> None:
    plot = Plot(tmp_path / "p.png")
    for k in range(0, 500, 4):
        plot.snapshot(snapshot(k / 25, [1], people=[1]))
    plot.close()
    image = cv2.imread(str(tmp_path / "p.png"))
    assert image is not None
    curves = image[:500, 100:1400]
    assert (curves == np.array(colour(1)[::-1])).all(axis=-1).sum() > 1000


@pytest.mark.parametrize("backend", ["nonsense", "module://missing", "TkAgg"])
def test_the_backend_of_the_caller_does_not_matter(tmp_path: Path, backend: str) -> None:
    code = f"""
from pathlib import Path
from speakerlight.outputs.plot import Plot
from tests.stream.outputs.made import snapshot
plot = Plot(Path({str(tmp_path / "p.png")!r}))
plot.snapshot(snapshot(0.0, [1]))
plot.close()
"""
    without_home = {"PATH": os.environ["PATH"], "MPLBACKEND": backend, "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=without_home, timeout=60)
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_the_image_has_every_faces_colour(tmp_path: Path) -> None:
    plot = Plot(tmp_path / "p.png")
    people = range(1, 10)
    for k in range(250):
        plot.snapshot(replace(snapshot(k / 25, [1 + k // 28], people=people), names={1: "Ada", 2: "$ _^"}))
    plot.close()
    image = cv2.imread(str(tmp_path / "p.png"))
    assert image is not None
    for person in people:
        assert (image == np.array(colour(person)[::-1])).all(axis=-1).sum() > 500, person


@pytest.mark.parametrize("name", ["\ud800", "$x^$", "$$", "_under", "Größe 名前", ""])
def test_any_name_is_drawn(name: str) -> None:
    history = SignalHistory()
    history.add(snapshot(0.0, [1]))
    image = np.frombuffer(plot_png(history, {1: name}), np.uint8)
    assert cv2.imdecode(image, cv2.IMREAD_COLOR) is not None


def test_a_run_without_a_tick_leaves_nothing(tmp_path: Path) -> None:
    Plot(tmp_path / "p.png").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/p.png", "p.jpg"])
def test_a_bad_place_is_reported_before_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="--plot"):
        Plot(tmp_path / name)
