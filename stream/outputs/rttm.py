"""RTTM writer: each person's speaking segments, in the format that diarization scorers read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from speakerlight.core.segments import Segment, SessionRecord
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.transcript import encodable
from speakerlight.outputs.files import RecordWriter, Report, check_writable, open_output, write_whole
from speakerlight.outputs.output import Output

logger = logging.getLogger(__name__)


def rttm_line(recording: str, segment: Segment, name: str) -> str:
    """One SPEAKER line: recording, channel 1, start, duration (seconds), name. Fields hold no white space."""
    times = f"{segment.start:.3f} {segment.end - segment.start:.3f}"
    return f"SPEAKER {field_of(recording) or 'session'} 1 {times} <NA> <NA> {field_of(name)} <NA> <NA>\n"


def field_of(text: str) -> str:
    """``text`` as one field: without white space, and without what UTF-8 cannot express."""
    return "_".join(encodable(text).split())


class Rttm(Output):
    """Writes a segment's line when the segment is complete, so that the file is whole at any moment.

    ``recording`` names the source in every line; persons without a name are ``person1``, ``person2``, …. When
    later merges or names change a line, a regular file is rewritten at the end.
    """

    option = "--rttm"

    def __init__(
        self,
        path: Path,
        recording: str,
        sources: Sequence[str] = (),
        stop: threading.Event | None = None,
        report: Report = logger.warning,
    ) -> None:
        check_writable(path, self.option, sources)
        self._path = path
        self._recording = recording
        self._record = SessionRecord()
        self._stop = stop
        self._report = report
        self._writer: RecordWriter | None = None

    def snapshot(self, snapshot: Snapshot) -> None:
        self._write(self._record.push(snapshot))

    def close(self) -> None:
        if self._writer is None:
            return
        try:
            self._write(self._record.finish())
        finally:
            self._writer.close()
        if self._path.is_file():
            lines = [self._line(segment) for segment in self._record.segments()]
            if sorted(lines) != sorted(self._path.read_bytes().splitlines(keepends=True)):
                write_whole(self._path, b"".join(lines))

    def _write(self, segments: Iterable[Segment]) -> None:
        if self._writer is None:
            self._writer = RecordWriter(open_output(self._path, self._stop, self._report))
        for segment in segments:
            self._writer.write(self._line(segment))

    def _line(self, segment: Segment) -> bytes:
        name = field_of(self._record.names.get(segment.id, "")) or f"person{segment.id}"
        return rttm_line(self._recording, segment, name).encode()
