"""The decision benchmark's arithmetic on cases that can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.decision.calibration import Calibration
from speakerlight.core.decision.lag import LAGS
from speakerlight.core.geometry import Box
from tests.benchmarks.decision import (
    Tick,
    bounds,
    expected_calibration_error,
    fitted,
    from_events,
    judged,
    main,
    one_voice,
    row,
)

TILES = (Box(0, 0, 100, 100), Box(100, 0, 100, 100))
TRUTH = {
    "tiles": [[tile.x, tile.y, tile.width, tile.height] for tile in TILES],
    "turns": [
        {"tile": 0, "start": 0.0, "end": 2.0},
        {"tile": 1, "start": 3.0, "end": 5.0},
        {"tile": 2, "start": 6.0, "end": 8.0},
    ],
}


def tick(time: float, named: int | None, marked: set[int], state: str = "speaking") -> Tick:
    return Tick(time, [(k, 0.9 if k == named else 0.1, k in marked) for k in (0, 1)], named, state)


def test_identity_second_delay_and_off_screen_are_counted() -> None:
    times = [k / 25 for k in range(200)]
    ticks = []
    for time in times:
        if time < 3.4:
            ticks.append(tick(time, 0, {0}))
        elif time < 6:
            ticks.append(tick(time, 1, {0, 1}))
        else:
            ticks.append(tick(time, None, set(), "offscreen" if time >= 7 else "undecided"))
    tally = judged(ticks, TRUTH)
    assert tally.right == tally.timed == 74, "1.5 s each, after the collar"
    assert tally.second == 37 and tally.single == 74
    assert tally.delays == pytest.approx([0.0, 0.4])
    assert (tally.away, tally.left, tally.told) == (37, 37, 25)
    assert tally.names == [0, 1]
    assert "1.000" in row("this", [tally])


def test_calibration_error_is_the_distance_of_stated_and_true() -> None:
    honest = [(0.75, k % 4 != 0) for k in range(400)] + [(0.05, k % 20 == 0) for k in range(400)]
    assert expected_calibration_error(honest) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error([(0.95, False)] * 10) == pytest.approx(0.95)


def test_the_calibration_is_found_again_that_scores_lack() -> None:
    """Three faces; who speaks is drawn as the calibrated scores say."""
    rng, asked = np.random.default_rng(0), Calibration(sharpness=2.0, floor=0.05, nobody=0.5)
    ticks = []
    for _ in range(4000):
        *scores, nobody = rng.dirichlet([0.7] * 4)
        singles, _, _ = asked(np.array(scores), np.zeros((3, 3)), nobody)
        speaker = int(rng.choice(4, p=[*singles, 1 - singles.sum()]))
        ticks.append([(score, face == speaker) for face, score in enumerate(scores)])
    found = fitted(ticks)
    assert found.sharpness == pytest.approx(asked.sharpness, rel=0.1)
    assert found.nobody == pytest.approx(asked.nobody, rel=0.15)
    assert found.floor == pytest.approx(asked.floor, abs=0.02)


def test_ticks_with_one_voice_teach_the_calibration() -> None:
    both = {"tiles": TRUTH["tiles"], "turns": [{"tile": 0, "start": 0, "end": 2}, {"tile": 1, "start": 1, "end": 2}]}
    shown = [tick(0.5, 0, {0}), tick(1.5, 0, {0}), Tick(0.6, [(0, 0.0, False)], None, "silence")]
    assert one_voice(shown, both) == [[(0.9, True), (0.1, False)]]


def test_events_of_another_release_are_read(tmp_path: Path) -> None:
    faces = [{"id": 7, "box": [110, 10, 50, 50], "score": 0.8, "speaking": True}]
    lines = [
        {"type": "session", "version": 1},
        {"type": "speaker", "time": 0.04, "state": "speaking", "id": 7, "previous": None},
        {"type": "scores", "time": 0.04, "speech": 0.9, "faces": faces},
        {"type": "speaker", "time": 0.08, "state": "silence", "id": None, "previous": 7},
        {"type": "scores", "time": 0.08, "speech": 0.1, "faces": faces},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    assert list(from_events(log, TILES)) == [
        Tick(0.04, [(1, 0.8, True)], 1, "speaking"),
        Tick(0.08, [(1, 0.8, True)], None, "silence"),
    ]


def test_bounds_are_1_where_the_speaker_fits_best_at_its_own_lag() -> None:
    cosines = np.full((2, len(LAGS), 200), 0.2, np.float32)
    cosines[0, 18, :50] = 0.6
    cosines[1, 12, 75:125] = 0.6
    assert bounds(cosines, TRUTH) == (1.0, 1.0)


def test_a_folder_without_galleries_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
