"""A session: signals end it whole, a failing output ends alone, a caller's own outputs are fed like the built-in."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from speakerlight import session
from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, Percentiles, ScoresEvent, SessionEvent, SummaryEvent
from speakerlight.core.snapshot import Snapshot
from speakerlight.live import LiveReport, OverlayStatus
from speakerlight.output_factory import DemoAccuracy
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output, OutputError
from speakerlight.outputs.rttm import Rttm
from speakerlight.run_settings import RunSettings
from speakerlight.server.serve_settings import ServeSettings
from tests.stream.sources.conftest import Clip
from tests.stream.standin import stand_in


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Clip(times=tuple(number / 25 for number in range(10)), sound_seconds=0.4).write(tmp_path / "clip.mkv")


ENDINGS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@pytest.mark.parametrize("number", ENDINGS)
def test_signals_end_a_run_instead_of_breaking_it_off(number: signal.Signals) -> None:
    # Whoever runs the tests may ignore it, as nohup does.
    inherited = signal.signal(number, signal.default_int_handler)
    try:
        stop = threading.Event()
        with session._interrupts(stop):
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert stop.wait(1.0)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_under_nohup_a_closed_terminal_does_not_end_a_run() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = threading.Event()
        with session._interrupts(stop):
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("fast", [True, False])
def test_an_output_that_fails_is_named_and_the_others_are_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clip: Path, stand_ins: None, fast: bool
) -> None:
    def full(self: Rttm, snapshot: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Rttm, "snapshot", full)
    lines: list[str] = []
    events = tmp_path / "e.jsonl"
    with pytest.raises(OutputError, match="--rttm: lost or incomplete"):
        session.run(
            RunSettings(video=str(clip), fast=fast, window=False, rttm=tmp_path / "r.rttm", events=str(events)),
            notify=lines.append,
        )
    assert "--rttm stopped: no space left" in lines
    assert '"type":"summary"' in events.read_text().splitlines()[-1]


class Counting(Output):
    """Somebody's own output."""

    option = "counting"

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.is_closed = False

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("fast", [True, False])
def test_own_outputs_and_events_are_those_of_the_run(clip: Path, stand_ins: None, fast: bool) -> None:
    own, events = Counting(), list[Event]()
    summary = session.run(RunSettings(video=str(clip), fast=fast, window=False), [own], events.append)
    assert isinstance(events[0], SessionEvent) and events[-1] == summary
    assert isinstance(summary, SummaryEvent) and (summary.frames, summary.ticks) == (10, 10)
    assert [each.time for each in own.snapshots] == [e.time for e in events if isinstance(e, ScoresEvent)]
    assert own.is_closed


@pytest.mark.parametrize("fast", [True, False])
def test_an_exception_of_the_callback_ends_the_run_and_is_raised(clip: Path, stand_ins: None, fast: bool) -> None:
    own = Counting()

    def fail(event: Event) -> None:
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        session.run(RunSettings(video=str(clip), fast=fast, window=False), [own], fail)
    assert own.is_closed


def test_a_run_ends_when_stopped_from_another_thread(stand_ins: None) -> None:
    stop, begun, result = threading.Event(), threading.Event(), list[SummaryEvent]()

    def work() -> None:
        settings = RunSettings(video="demo:people=1", window=False, duration_seconds=60)
        result.append(session.run(settings, on_event=lambda event: begun.set(), stop=stop))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    stop.set()
    thread.join(10)
    assert result and result[0].duration < 50


def test_a_server_for_browsers_alone_takes_no_outputs() -> None:
    pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")
    with pytest.raises(InputError, match="name its video too"):
        session.run(RunSettings(serve=ServeSettings("127.0.0.1", 0)), [Counting()])


@pytest.mark.parametrize(("level", "unscored", "count"), [(0, 0.3, 2), (3, 0.0, 3), (0, 2.0, 3)])
def test_a_machine_that_is_too_slow_is_named_beside_the_demos_figures(level: int, unscored: float, count: int) -> None:
    lines: list[str] = []
    begin = SessionEvent("demo", "demo", "compact", "cpu")
    engine, verdict = stand_in(), DemoAccuracy(Demo(DemoSettings(people=1)))
    run = session._Run(
        RunSettings(video="demo"), engine, [], begin, OverlayStatus(), threading.Event(), lines.append, verdict
    )
    run._finished(OutputHub([], pytest.fail), LiveReport(Percentiles(), 0, level, 3.0, unscored))
    assert lines[0].startswith("3.0 s") and lines[-1].startswith("demo: ") and len(lines) == count
    assert ("too slow" in " ".join(lines)) == (count == 3)
    assert ("load was shed" in lines[-1]) == (level > 0)
