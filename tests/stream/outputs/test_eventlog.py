"""The event log: whole lines, live, to a file or to stdout, whatever becomes of the reader."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
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


def test_each_event_is_there_as_soon_as_it_is_told(tmp_path: Path) -> None:
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


def test_an_unwritable_place_is_said_at_once(tmp_path: Path) -> None:
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
