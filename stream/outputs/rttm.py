"""RTTM writer: each person's speaking segments, in the format that diarization scorers read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from speakerlight.core.segments import Identities, Segment, SpeakingSegments
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.transcript import encodable
from speakerlight.outputs.files import RecordWriter, check_writable, open_output, write_whole
from speakerlight.outputs.output import Output

NAME_FIELD = 7
"""Index of the person's name in a line."""


def rttm_line(recording: str, segment: Segment, name: str) -> str:
    """One SPEAKER line: recording, channel 1, start, duration (seconds), name. Fields hold no white space."""
    times = f"{segment.start:.3f} {segment.end - segment.start:.3f}"
    return f"SPEAKER {field_of(recording) or 'session'} 1 {times} <NA> <NA> {field_of(name)} <NA> <NA>\n"


def field_of(text: str) -> str:
    """``text`` as one field: without white space, and without what UTF-8 cannot express."""
    return "_".join(encodable(text).split())


class Rttm(Output):
    """Writes a segment's line when the segment has ended, so that the file is whole at any moment.

    ``recording`` names the source in every line; persons without a name are ``person1``, ``person2``, …. When ids
    were merged or a name was set later, a regular file is rewritten at the end.
    """

    option = "--rttm"

    def __init__(
        self, path: Path, recording: str, sources: Sequence[str] = (), stop: threading.Event | None = None
    ) -> None:
        check_writable(path, self.option, sources)
        self._path = path
        self._recording = recording
        self._segments = SpeakingSegments()
        self._identities = Identities()
        self._ids: dict[str, int] = {}  # segments by the name that was written
        self._stop = stop
        self._writer: RecordWriter | None = None

    def snapshot(self, snapshot: Snapshot) -> None:
        self._identities.update(snapshot)
        self._write(self._segments.push(snapshot))

    def close(self) -> None:
        if self._writer is None:
            return
        try:
            self._write(self._segments.finish())
        finally:
            self._writer.close()
        if self._path.is_file() and any(self._name(person) != name for name, person in self._ids.items()):
            self._rewrite()

    def _write(self, segments: Iterable[Segment]) -> None:
        if self._writer is None:
            self._writer = RecordWriter(open_output(self._path, self._stop))
        for segment in segments:
            name = self._name(segment.id)
            self._ids.setdefault(name, segment.id)
            self._writer.write(rttm_line(self._recording, segment, name).encode())

    def _name(self, person: int) -> str:
        person = self._identities.final(person)
        return field_of(self._identities.names.get(person, "")) or f"person{person}"

    def _rewrite(self) -> None:
        lines = []
        for line in self._path.read_text(encoding="utf-8").split("\n")[:-1]:
            fields = line.split(" ")
            fields[NAME_FIELD] = self._name(self._ids[fields[NAME_FIELD]])
            lines.append(" ".join(fields) + "\n")
        write_whole(self._path, "".join(lines).encode())
