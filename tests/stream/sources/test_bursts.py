"""Bursts of frames, on numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from speakerlight.sources.bursts import MOST_PACKETS, spread


def spread_times(times: Sequence[float | None], rate: float = 25.0) -> list[float | None]:
    placed = list(spread(zip(times, range(len(times)), strict=True), rate))
    assert [item for _, item in placed] == list(range(len(times))), "all, in their order"
    return [time for time, _ in placed]


def test_even_times_stay() -> None:
    times: list[float | None] = [*(np.arange(50) / 25), 5.0, 5.02, 4.98]
    assert spread_times(times) == times


def test_a_second_of_frames_with_one_time_is_spread_to_the_next() -> None:
    times: list[float | None] = [float(n // 25) for n in range(75)]
    np.testing.assert_allclose(np.array(spread_times(times), float), np.arange(75) / 25)


def test_two_frames_with_one_time_share_it_and_nothing_after_them_moves() -> None:
    assert spread_times([0.0, 0.04, 0.04, 0.08, 0.12]) == pytest.approx([0.0, 0.04, 0.06, 0.08, 0.12])


def test_a_burst_before_a_pause_has_the_usual_rate() -> None:
    np.testing.assert_allclose(np.array(spread_times([0.0] * 10 + [60.0]), float), [*(np.arange(10) / 25), 60.0])


@pytest.mark.parametrize("rate", [1.0, 25.0, 12_800.0])
def test_a_file_of_one_time_alone_goes_on(rate: float) -> None:
    times = [time or 0.0 for time in spread_times([3.0] * (MOST_PACKETS - 1), rate)]
    assert times[0] == 3.0 and np.diff(times).min() >= 1 / 25 - 1e-9


def test_a_packet_without_a_time_passes() -> None:
    assert spread_times([0.0, 0.0, None, 0.2]) == pytest.approx([0.0, 0.04, None, 0.2])


def test_a_high_frame_rate_is_no_burst() -> None:
    times = [*(np.arange(1000) / 1000), 1.04]
    np.testing.assert_allclose(np.array(spread_times(times), float)[:900], times[:900], atol=0.001)
