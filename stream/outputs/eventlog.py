"""Event log: JSON Lines in a file, a pipe or on standard output, every line whole and written at once."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.core.events import Event
from speakerlight.outputs.files import (
    RecordWriter,
    Report,
    check_is_no_input,
    check_writable,
    is_pipe,
    open_output,
    open_stdout,
)
from speakerlight.outputs.output import Output

logger = logging.getLogger(__name__)

STDOUT = "-"
STDOUT_PATH = Path("/dev/stdout")


class EventLog(Output):
    """Writes each event as one line and flushes it, so that a reader sees it live.

    ``target``: the name of a file or pipe, or ``-`` for standard output. A named pipe waits for its first reader, until
    ``stop`` is set, and ``report`` receives a line about it; when a reader leaves, the next one gets the events from
    then on, and the others count as ``missed_events``. When the reader of standard output leaves (``… | head``), the
    rest is dropped and does not count as missed.
    """

    option = "--events"

    def __init__(
        self,
        target: str,
        sources: Sequence[str] = (),
        stop: threading.Event | None = None,
        report: Report = logger.warning,
    ) -> None:
        self._target = target
        self._path = Path(target)
        self._stop = stop or threading.Event()
        self._report = report
        self._writer: RecordWriter | None = None
        self._has_begun = False
        self._is_stdout_closed = False
        self.missed_events = 0
        if target != STDOUT:
            check_writable(self._path, self.option, sources)
        elif sys.__stdout__ is None:
            raise InputError(f"{self.option} {STDOUT}: standard output is closed; give the name of a file")
        elif STDOUT_PATH.is_file():
            check_is_no_input(STDOUT_PATH, f"{self.option} {STDOUT}", sources)

    def event(self, event: Event) -> None:
        if self._is_stdout_closed or not self._open():
            return
        assert self._writer is not None
        try:
            self._writer.write(event.to_json().encode() + b"\n")
        except BrokenPipeError:
            self._lose_reader()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> bool:
        """Whether the target is open for writing."""
        if self._writer is not None:
            return True
        if self._target == STDOUT:
            self._writer = RecordWriter(open_stdout(self._stop))
        elif not self._has_begun:
            self._has_begun = True
            self._writer = RecordWriter(open_output(self._path, self._stop, self._report))
        else:
            try:  # does not wait for a reader that left
                self._writer = RecordWriter(open_output(self._path, self._stop, wait=False))
            except OSError:
                self.missed_events += 1
        return self._writer is not None

    def _lose_reader(self) -> None:
        self.close()
        if self._target == STDOUT or not is_pipe(self._path):
            self._is_stdout_closed = True
            return
        self.missed_events += 1
        logger.warning("%s: the reader left", self._target)
