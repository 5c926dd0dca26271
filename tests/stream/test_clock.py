from __future__ import annotations

import threading

import numpy as np
import pytest

from speakerlight.clock import DeviceClock, SessionClock


def test_session_time_starts_at_zero_and_follows_the_monotonic_clock() -> None:
    monotonic = iter([100.0, 100.0, 102.5])
    clock = SessionClock(lambda: next(monotonic))
    assert clock.now() == 0.0
    assert clock.now() == 2.5


def test_waiting_ends_at_the_moment_or_when_stopped() -> None:
    clock, stop = SessionClock(), threading.Event()
    assert clock.wait_until(clock.now() + 0.02, stop)
    assert clock.now() >= 0.02
    stop.set()
    assert not clock.wait_until(clock.now() + 60, stop)


def deliveries(seconds: float, drift_ppm: float, late: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of 10 ms of a device that runs ``drift_ppm`` slow and was opened at 5 s; each up to ``late`` s late."""
    device = np.arange(1, int(seconds * 100)) * 0.01
    true = 5.0 + device * (1 + drift_ppm * 1e-6)
    return device, true + np.random.default_rng(seed).exponential(late / 5, len(device)).clip(0, late)


@pytest.mark.parametrize("drift_ppm", [-50.0, 0.0, 10.0, 50.0])
def test_late_deliveries_and_an_hour_of_drift_move_session_time_by_less_than_three_milliseconds(
    drift_ppm: float,
) -> None:
    clock = DeviceClock()
    device, arrivals = deliveries(3600, drift_ppm, late=0.1)
    errors = []
    for moment, arrival in zip(device, arrivals, strict=True):
        clock.observe(moment, arrival)
        errors.append(clock.session_time(moment) - (5.0 + moment * (1 + drift_ppm * 1e-6)))
    settled = np.abs(errors[300:])
    assert settled.max() < 0.003


def test_a_stall_of_the_machine_does_not_move_the_line() -> None:
    clock = DeviceClock()
    device, arrivals = deliveries(20, 0, late=0.0)
    stalled = (arrivals > 15) & (arrivals < 17)
    arrivals[stalled] = 17.0
    for moment, arrival in zip(device, arrivals, strict=True):
        clock.observe(moment, arrival)
    assert clock.session_time(10.0) == pytest.approx(15.0, abs=0.002)


def test_samples_lost_without_notice_lay_the_line_anew_within_four_seconds() -> None:
    clock = DeviceClock()
    device, arrivals = deliveries(20, 0, late=0.01)
    device[arrivals > 15] -= 0.5
    for moment, arrival in zip(device, arrivals, strict=True):
        if arrival < 19.1:
            clock.observe(moment, arrival)
    assert clock.session_time(10.0) == pytest.approx(15.5, abs=0.005)


def test_samples_lost_with_notice_lay_it_anew_at_once() -> None:
    clock = DeviceClock()
    clock.observe(1.0, 6.0)
    clock.resync()
    assert not clock.running
    with pytest.raises(RuntimeError):
        clock.session_time(1.0)
    clock.observe(1.1, 6.7)
    assert clock.session_time(1.1) == pytest.approx(6.7)


def test_an_early_delivery_counts_at_once() -> None:
    clock = DeviceClock()
    for step in range(500):
        clock.observe(step * 0.01, step * 0.01 + 1.0)
    clock.observe(5.0, 5.8)
    assert clock.session_time(5.0) == pytest.approx(5.8)


@pytest.mark.parametrize("stopped", [5.0, 900.0])
def test_a_time_in_which_the_process_stood_still_is_dropped(stopped: float) -> None:
    hand = 100.0
    clock = SessionClock(lambda: hand)
    for _ in range(50):
        hand += 0.1
        clock.now()
    hand += stopped
    assert clock.now() == pytest.approx(5.0)
    hand += 0.5
    assert clock.now() == pytest.approx(5.5)


def test_a_busy_second_is_not_dropped() -> None:
    hand = 0.0
    clock = SessionClock(lambda: hand)
    for _ in range(4):
        hand += 2.0
        clock.now()
    assert clock.now() == 8.0
