"""The event log: whole lines, live, to a file or to stdout, whatever becomes of the reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.events import LoadEvent
from speakerlight.outputs.eventlog import EventLog
from tests.files import size

# A process that is started in a shell's background ignores Ctrl-C, and so do its children, until they say otherwise.
ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from speakerlight.core.events import LoadEvent
from speakerlight.outputs.eventlog import EventLog
log = EventLog({target!r})
try:
    for k in range({count}):
        log.event(LoadEvent(k / 25, 0, k, 0))
except KeyboardInterrupt:
    pass
finally:
    log.close()
"""


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_there_as_soon_as_it_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(str(path))
    for k in range(3):
        log.event(LoadEvent(k / 25, 0, k, 0))
        assert [line["dropped_frames"] for line in lines(path)] == list(range(k + 1))
    log.close()
    assert path.read_text().endswith("\n")


def test_nothing_is_made_before_the_first_event(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("of an earlier run")
    EventLog(str(path)).close()
    assert path.read_text() == "of an earlier run"


def test_an_unwritable_place_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--events"):
        EventLog(str(tmp_path / "missing" / "e.jsonl"))


def test_stdout_takes_the_lines(capfd: pytest.CaptureFixture[str]) -> None:
    log = EventLog("-")
    log.event(LoadEvent(0.0, 0, 1, 0))
    log.close()
    assert json.loads(capfd.readouterr().out)["dropped_frames"] == 1
    print("stdout is still open")
    assert "still open" in capfd.readouterr().out


def test_a_reader_that_leaves_does_no_harm() -> None:
    code = ENDLESS.format(target="-", count=20_000)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout and run.stderr
        assert json.loads(run.stdout.readline())["type"] == "load"
        run.stdout.close()
        assert run.wait(timeout=20) == 0
        assert run.stderr.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_every_line_is_whole_after_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with subprocess.Popen([sys.executable, "-c", ENDLESS.format(target=str(path), count=10**9)]) as run:
        try:
            while size(path) < 10_000:
                assert run.poll() is None
            run.send_signal(signal.SIGINT)
            assert run.wait(timeout=20) == 0
        finally:
            run.kill()
    assert [line["dropped_frames"] for line in lines(path)] == list(range(len(lines(path))))


no_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def read_all(path: Path, seconds: float, got: list[bytes]) -> threading.Thread:
    """A reader that opens a pipe after so many seconds and reads it to the end."""

    def read() -> None:
        time.sleep(seconds)
        got.append(path.read_bytes())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@no_pipes
def test_a_reader_that_comes_late_gets_every_line(tmp_path: Path) -> None:
    path, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(path)
    reader = read_all(path, 0.3, got)
    log = EventLog(str(path))
    for k in range(2000):  # more than the pipe holds
        log.event(LoadEvent(k / 25, 0, k, 0))
    log.close()
    reader.join(10)
    assert [json.loads(line)["dropped_frames"] for line in got[0].splitlines()] == list(range(2000))
    assert log.missed_events == 0


@no_pipes
def test_after_a_reader_left_the_next_gets_whole_lines_and_the_others_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = EventLog(str(path))
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.event(LoadEvent(0.0, 0, 1, 0))
    assert b'"dropped_frames":1' in os.read(first, 1000)
    os.close(first)
    log.event(LoadEvent(0.04, 0, 2, 0))
    log.event(LoadEvent(0.08, 0, 3, 0))
    second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.event(LoadEvent(0.12, 0, 4, 0))
    log.close()
    assert [json.loads(line)["dropped_frames"] for line in os.read(second, 1000).splitlines()] == [4]
    os.close(second)
    assert log.missed_events == 2


def test_closed_standard_output_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(InputError, match="standard output is closed"):
        EventLog("-")


STUCK = """
import threading
from speakerlight.core.events import LoadEvent
from speakerlight.outputs import files
from speakerlight.outputs.eventlog import EventLog
files.STALLED_SECONDS = 0.2
stop = threading.Event()
threading.Timer(0.5, stop.set).start()
log = EventLog("-", stop=stop)
try:
    for k in range(10**6):
        log.event(LoadEvent(k / 25, 0, k, 0))
except files.NoReaderError:
    print("ended", file=__import__("sys").stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a pipe cannot be opened anew here")
def test_a_reader_of_stdout_that_takes_nothing_does_not_keep_a_run_from_ending() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.wait(timeout=30) == 0
        assert run.stderr and run.stderr.read() == "ended\n"
