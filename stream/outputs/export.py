"""Session export: who spoke when, as JSON, CSV, WebVTT, SRT or text by the file's suffix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, SessionEvent, SummaryEvent
from speakerlight.core.segments import SessionRecord
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE
from speakerlight.core.transcript import FORMATS, transcript_of
from speakerlight.outputs.files import check_writable, write_whole
from speakerlight.outputs.output import Output

SAVE_SECONDS = 60.0
"""Interval of session time at which the file is rewritten; a crash loses no more than this."""


class Export(Output):
    """Writes the session so far once a minute, and the complete session at the end, each time as a whole file."""

    option = "--export"

    def __init__(self, path: Path, sources: Sequence[str] = ()) -> None:
        if path.suffix.lower() not in FORMATS:
            hint = "; RTTM is --rttm FILE" if path.suffix.lower() == ".rttm" else ""
            raise InputError(f"{self.option} {path}: give it a name that ends in {', '.join(FORMATS)}{hint}")
        check_writable(path, self.option, sources)
        self._path = path
        self._record = SessionRecord()
        self._about: dict[str, object] = {}
        self._end = self._saved = 0.0
        self._has_begun = False

    def event(self, event: Event) -> None:
        if isinstance(event, SessionEvent):
            self._about = {"video": event.video, "audio": event.audio, "model": event.model}
        elif isinstance(event, SummaryEvent):
            self._end = max(self._end, event.duration)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._has_begun = True
        self._record.push(snapshot)
        self._end = max(self._end, snapshot.time + 1 / TICK_RATE)
        if snapshot.time >= self._saved + SAVE_SECONDS:
            self._saved = snapshot.time
            self._save()

    def close(self) -> None:
        if self._has_begun:
            self._record.finish()
            self._save()

    def _save(self) -> None:
        transcript = transcript_of(self._record.segments(), self._record.names, self._end, self._about)
        write_whole(self._path, FORMATS[self._path.suffix.lower()](transcript).encode())
