"""An output in a thread of its own: in order, bounded, drained at the end, and never in the way."""

from __future__ import annotations

import threading
import time

import pytest

from speakerlight.core.events import Event, LoadEvent
from speakerlight.core.media import Frame
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.background import FRAME_LIMIT, OTHER_LIMIT, Background
from speakerlight.outputs.output import Output
from tests.stream.outputs.made import frame, snapshot


class Slow(Output):
    option = "--slow"
    takes_frames = True

    def __init__(self) -> None:
        self.go = threading.Event()
        self.seen: list[float] = []
        self.ticks: list[float] = []
        self.closed = False

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self.go.wait(10)
        self.seen.append(frame.time)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.ticks.append(snapshot.time)

    def close(self) -> None:
        self.closed = True


class Failing(Output):
    option = "--failing"
    closed = False

    def snapshot(self, snapshot: Snapshot) -> None:
        raise OSError("disk full")

    def close(self) -> None:
        self.closed = True


def test_a_stuck_output_costs_the_oldest_frames_and_no_time() -> None:
    slow = Slow()
    background = Background(slow)
    started = time.perf_counter()
    for k in range(100):
        background.frame(frame(k), None)
        background.snapshot(snapshot(k))
    assert time.perf_counter() - started < 2
    slow.go.set()
    background.close()
    assert slow.seen[-FRAME_LIMIT:] == list(range(100 - FRAME_LIMIT, 100)), "the newest are kept, in order"
    assert len(slow.seen) + background.dropped_frames == 100
    assert slow.ticks == list(range(100)), "only frames are dropped"
    assert background.missed_events == 0
    assert slow.closed
    assert background.takes_frames
    assert background.option == "--slow"


def test_a_failure_is_raised_where_the_output_is_fed() -> None:
    failing = Failing()
    background = Background(failing)
    with pytest.raises(OSError, match="disk full"):
        for _ in range(1000):
            background.snapshot(snapshot(0.0))
            time.sleep(0.005)
    with pytest.raises(OSError, match="disk full"):
        background.close()
    assert failing.closed


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    Background(Failing()).close()
    assert threading.active_count() == before


class SlowLog(Output):
    option = "--slow-log"

    def __init__(self) -> None:
        self.go = threading.Event()
        self.seen: list[float] = []

    def event(self, event: Event) -> None:
        self.go.wait(10)
        assert isinstance(event, LoadEvent)
        self.seen.append(event.time)


def test_events_that_a_stuck_output_misses_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = SlowLog()
    background = Background(log)
    count = OTHER_LIMIT + 100
    for k in range(count):
        background.event(LoadEvent(k, 0, 0, 0))
        background.snapshot(snapshot(k))  # which it ignores: not kept for it, and not missed
    log.go.set()
    background.close()
    assert log.seen[-OTHER_LIMIT:] == list(range(count - OTHER_LIMIT, count))
    assert len(log.seen) + background.missed_events == count
    assert background.dropped_frames == 0
    assert 0 < len(caplog.records) < 10 and "--slow-log is behind" in caplog.text
