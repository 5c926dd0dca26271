"""The event log: JSON Lines in a file or on stdout, every line whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from speakerlight.core.events import Event
from speakerlight.outputs.output import Output, check_writable

STDOUT = "-"


class EventLog(Output):
    """Writes each event as one line and hands it over at once, so that a reader sees it live.

    ``target``: a file's name or ``-`` for stdout. When stdout's reader has gone (``… | head``) the rest is dropped
    silently: the reader had what it wanted, and the run's other outputs go on.
    """

    option = "--events"

    def __init__(self, target: str, sources: Sequence[str] = ()) -> None:
        self._target = target
        self._file: IO[bytes] | None = None
        self._reader_gone = False
        if target != STDOUT:
            check_writable(Path(target), self.option, sources)

    def event(self, event: Event) -> None:
        if self._reader_gone:
            return
        if self._file is None:
            self._file = self._open()
        try:
            # Through a buffer: the rest of a write that a signal cut short goes out with the next; lines stay whole.
            self._file.write(event.to_json().encode() + b"\n")
            self._file.flush()
        except BrokenPipeError:
            self._reader_gone = True

    def close(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except BrokenPipeError:
            self._reader_gone = True

    def _open(self) -> IO[bytes]:
        # The descriptor, not sys.stdout: what is left in sys.stdout's buffer would break the pipe again at exit.
        return open(1, "wb", closefd=False) if self._target == STDOUT else Path(self._target).open("wb")
