"""The soak test itself, on two minutes of media, and its synthetic source."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.source import due
from tests.benchmarks.soak import FEWEST_WINDOWS, Window, failures, soak
from tests.benchmarks.synthetic import PAUSE_SECONDS, SCENE_SECONDS, SUSPEND_EVERY, SUSPEND_SECONDS, SyntheticReader

FLAT = Window(1.0, 500.0, 8, 20, 4.0, 100.0, 160.0, 10.0, 0.98)


@pytest.fixture(scope="module")
def reader() -> SyntheticReader:
    return SyntheticReader(seed=1, scenes=1)


def test_two_minutes_leave_threads_and_files_as_they_were() -> None:
    try:
        windows = soak(120.0, seed=1, paced=False, scenes=1)
    except InputError as error:
        pytest.skip(str(error))
    assert len(windows) == FEWEST_WINDOWS or len(windows) == FEWEST_WINDOWS - 1
    reference, last = windows[1], windows[-1]
    assert last.threads <= reference.threads and last.files <= reference.files
    assert last.memory_mib < 1.1 * reference.memory_mib
    assert np.mean([window.identity for window in windows if window.identity is not None]) > 0.8


def test_a_paced_run_measures_latency_in_real_time() -> None:
    try:
        windows = soak(6.0, seed=1, paced=True, scenes=1)
    except InputError as error:
        pytest.skip(str(error))
    assert windows and all(window.latency_ms > 160.0 for window in windows), "the look-ahead at least"


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"memory_mib": 511.0}, "memory_mib: 1.022"),
        ({"latency_ms": 4.3}, "latency_ms: 1.075"),
        ({"threads": 9}, "threads: 1 more"),
        ({"files": 22}, "files: 2 more"),
        ({"new_ids": 900.0}, "new_ids: from 100.0"),
        ({"wrong_marks": 200.0}, "wrong_marks: from 10.0"),
    ],
)
def test_growth_is_reported(change: dict[str, float], reported: str) -> None:
    assert failures([FLAT] * 6) == []
    (found,) = failures([replace(FLAT, memory_mib=400.0), *[FLAT] * 4, replace(FLAT, **change)])  # type: ignore[arg-type]
    assert found.startswith(reported)


def test_media_come_in_order_with_gapless_audio(reader: SyntheticReader) -> None:
    items = list(islice(reader, 4000))
    assert all(due(a) <= due(b) for a, b in pairwise(items))
    frames = [item.time for item in items if isinstance(item, Frame)]
    audio = [item for item in items if isinstance(item, AudioChunk)]
    assert all(b.time == pytest.approx(a.time + 0.04) and len(a.samples) == 640 for a, b in pairwise(audio))
    gaps = np.diff(frames)
    assert gaps.min() > 0.03 and np.count_nonzero(gaps > 0.15) >= 3, "frame dropouts and the pause between scenes"


def test_scenes_restart_after_pauses_and_now_and_then_after_a_suspend(reader: SyntheticReader) -> None:
    starts = [reader._episode(number).start for number in range(2 * SUSPEND_EVERY + 1)]
    pauses = np.diff(starts) - SCENE_SECONDS
    assert np.count_nonzero(pauses > SUSPEND_SECONDS) == 2
    assert pauses.min() == pytest.approx(PAUSE_SECONDS[0])


@pytest.mark.parametrize("hours", [0, 3, 24])
def test_the_truth_at_any_hour_is_that_of_the_episode(reader: SyntheticReader, hours: int) -> None:
    """Whose turn it is while away is nobody's in view, and all of a scene's turns are there."""
    number = next(n for n in range(10_000) if reader._episode(n).start >= 3600 * hours)
    episode = reader._episode(number)
    turns = reader.turns(episode.start, episode.end)
    scene = reader._scenes[episode.scene]
    spoken = sum(turn.end - turn.start for turn in scene.turns)
    assert sum(turn.end - turn.start for turn in turns) == pytest.approx(spoken)
    away = [t for t in turns if episode.absence.holds((t.start + t.end) / 2 - episode.start)]
    assert episode.absent_tile not in {turn.tile for turn in away}
    assert reader.appearances(episode.start, episode.end) == 3
