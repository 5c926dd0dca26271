from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from speakerlight.core.grid import TickGrid
from speakerlight.core.media import Frame
from speakerlight.core.timebase import TICK_RATE

IMAGE = np.zeros((1, 1, 3), np.uint8)
HOUR = 3600.0


def ticks(times: Iterable[float], **settings: float) -> list[tuple[int, float]]:
    """Each tick that got a frame, with the frame's time."""
    return [(tick, time) for tick, time in all_ticks(times, **settings) if time is not None]


def all_ticks(times: Iterable[float], **settings: float) -> list[tuple[int, float | None]]:
    grid = TickGrid(**settings)
    return [(tick, frame.time if frame else None) for time in times for tick, frame in grid.push(Frame(time, IMAGE))]


def variable_times(seed: int, seconds: float) -> np.ndarray:
    """Frames as a phone takes them: 12 to 60 a second, never the same distance twice."""
    return np.cumsum(np.random.default_rng(seed).uniform(1 / 60, 1 / 12, int(seconds * 30)))


def assert_each_tick_has_the_nearest_frame(times: np.ndarray, unforeseen: float = 0.0) -> None:
    """``unforeseen``: share of ticks for which one that came sooner than those before it would have been nearer."""
    given = ticks(times)
    assert [tick for tick, _ in given] == list(range(given[0][0], given[0][0] + len(given)))
    nominal = np.array([tick for tick, _ in given]) / TICK_RATE
    away = np.abs(nominal - np.array([time for _, time in given]))
    after = np.searchsorted(times, nominal).clip(1, len(times) - 1)
    nearest = np.minimum(np.abs(times[after] - nominal), np.abs(times[after - 1] - nominal))
    # The first frame is not held back for one that may lie nearer.
    others = away[1:] > nearest[1:] + 1e-9
    assert others.mean() <= unforeseen
    # Even then the frame that it got was the nearest until just before the middle between the two.
    assert (away[1:] - nearest[1:]).max() < np.diff(times).max() / 2


@pytest.mark.parametrize("rate", [15, 24, 25, 30000 / 1001, 30, 50, 60])
def test_each_tick_gets_the_nearest_frame(rate: float) -> None:
    assert_each_tick_has_the_nearest_frame(np.arange(int(60 * rate)) / rate)


def test_nothing_drifts_in_an_hour() -> None:
    times = np.arange(int(HOUR * 30000 / 1001)) * 1001 / 30000
    given = ticks(times)
    assert [tick for tick, _ in given] == list(range(len(given)))
    assert abs(len(given) - HOUR * TICK_RATE) <= 2
    assert max(abs(tick / TICK_RATE - time) for tick, time in given) <= 1001 / 60000 + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_each_tick_gets_the_nearest_frame_of_variable_video(seed: int) -> None:
    assert_each_tick_has_the_nearest_frame(variable_times(seed, 300), unforeseen=0.01)


def test_at_25_frames_a_second_every_frame_is_a_tick() -> None:
    assert [tick for tick, _ in ticks(np.arange(1000) / 25)] == list(range(1000))


@pytest.mark.parametrize("seed", range(3))
def test_timestamps_rounded_to_milliseconds_change_nothing(seed: int) -> None:
    exact = np.arange(5000) / 25
    jittered = exact + np.random.default_rng(seed).uniform(-0.9e-3, 0.9e-3, len(exact))
    given = ticks(jittered)
    assert [tick for tick, _ in given][:-1] == list(range(len(given) - 1))
    assert [time for _, time in given] == jittered[: len(given)].tolist()
    assert len(given) >= len(exact) - 1


def test_camera_jitter_never_repeats_a_tick_nor_leaves_one_out() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(5000) / 30 + rng.uniform(-0.015, 0.015, 5000))
    assert_each_tick_has_the_nearest_frame(times[times > 0], unforeseen=0.02)


@pytest.mark.parametrize("rate", [8, 12.5, 15, 20, 24, 30, 60])
def test_of_even_video_a_tick_waits_no_longer_than_half_a_frame(rate: float) -> None:
    grid, decided = TickGrid(), -1
    for index in range(200):
        for tick, _ in grid.push(Frame(index / rate, IMAGE)):
            decided = tick
        if index > 10:
            assert (decided + 1) / TICK_RATE > (index + 0.5) / rate - 1e-9


def test_a_tick_is_decided_at_the_latest_when_a_frame_at_or_after_it_is_known() -> None:
    for times in (np.arange(200) / 60, np.arange(200) / 15, variable_times(1, 10)):
        grid = TickGrid()
        decided = -1
        for time in times:
            for tick, _ in grid.push(Frame(time, IMAGE)):
                decided = tick
            assert (decided + 1) / TICK_RATE > time


@pytest.mark.parametrize("late", [0.10, 0.05, 0.0])
def test_frames_that_come_late_are_ignored(late: float) -> None:
    on_time = [0.0, 0.04, 0.10, 0.14, 0.18]
    assert ticks([0.0, 0.04, 0.10, late, 0.14, 0.18]) == ticks(on_time)


@pytest.mark.parametrize(("start", "tick"), [(0.0, 0), (0.013, 0), (0.03, 1), (7.0, 175), (100.01, 2500)])
def test_the_first_frame_takes_the_tick_nearest_to_it(start: float, tick: int) -> None:
    assert all_ticks([start]) == [*((before, None) for before in range(tick)), (tick, start)]


def test_frames_before_the_session_give_no_ticks() -> None:
    assert ticks([-0.12, -0.08, -0.04, 0.0, 0.04]) == [(0, 0.0), (1, 0.04)]


def test_a_gap_is_bridged_by_the_frames_on_both_sides_of_it() -> None:
    given = dict(ticks([1.0, 1.8]))
    assert list(given) == list(range(25, 46))
    assert [given[tick] for tick in (25, 34, 36, 45)] == [1.0, 1.0, 1.8, 1.8]


def test_ticks_go_on_without_a_frame_through_a_long_gap() -> None:
    given = all_ticks([2.0, 2.04, 60.0, 60.04])
    assert [tick for tick, _ in given] == list(range(1502))
    shown = dict(ticks([2.0, 2.04, 60.0, 60.04]))
    assert list(shown) == [*range(50, 77), *range(1475, 1502)]
    assert max(abs(tick / TICK_RATE - time) for tick, time in shown.items()) <= 1.0 + 1e-9


def test_while_no_frame_comes_ticks_go_on_as_time_passes() -> None:
    grid = TickGrid()
    assert [tick for tick, frame in grid.pass_time(1.0) if frame is None] == list(range(25))
    assert [tick for tick, _ in grid.push(Frame(1.2, IMAGE))] == list(range(25, 31))
    # A frame may still come that is nearer than the last one, but not nearer than half of the time that has passed.
    assert [tick for tick, frame in grid.pass_time(2.01) if frame is not None] == list(range(31, 41))
    gone = [(tick, frame is None) for tick, frame in grid.pass_time(10.01)]
    assert [tick for tick, _ in gone] == list(range(41, 226))
    assert not any(is_none for tick, is_none in gone if tick < 55) and all(is_none for tick, is_none in gone[15:])
    assert [tick for tick, _ in grid.push(Frame(9.9, IMAGE))] == list(range(226, 248))
    assert [tick for tick, _ in grid.finish(10.2)] == list(range(248, 255))


def test_the_ticks_of_a_gap_are_the_same_whether_time_passes_or_the_next_frame_decides_them() -> None:
    times = [0.0, 0.04, 3.0, 3.04, 4.5, 20.0]
    grid, passed = TickGrid(), []
    for before, time in pairwise([0.0, *times]):
        for moment in np.arange(before, time, 0.02):
            passed += [(tick, frame.time if frame else None) for tick, frame in grid.pass_time(moment)]
        passed += [(tick, frame.time if frame else None) for tick, frame in grid.push(Frame(time, IMAGE))]
    assert passed == all_ticks(times)


def test_a_damaged_time_costs_no_memory() -> None:
    assert len(all_ticks([0.0, 1e9])) < 5


def test_ticks_only_ever_increase() -> None:
    times = np.random.default_rng(3).uniform(0, 20, 500)
    given = [tick for tick, _ in ticks(times)]
    assert all(a < b for a, b in pairwise(given))
