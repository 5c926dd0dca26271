"""RTTM: each person's speaking segments, in the format that diarization scorers read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from speakerlight.core.segments import Segment, SpeakingSegments
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.files import RecordWriter, check_writable, open_output
from speakerlight.outputs.output import Output


def rttm_line(recording: str, segment: Segment, name: str) -> str:
    """One SPEAKER line: recording, channel 1, start, duration (seconds), name. Fields hold no white space."""
    fields = (
        "_".join(recording.split()) or "session",
        "1",
        f"{segment.start:.3f}",
        f"{segment.end - segment.start:.3f}",
    )
    return f"SPEAKER {' '.join(fields)} <NA> <NA> {'_'.join(name.split())} <NA> <NA>\n"


class Rttm(Output):
    """Writes a segment's line when the segment has ended, so that the file is whole at any moment.

    ``recording`` names the source in every line; ``names`` may name a person, others are ``person1``, ``person2``, ….
    """

    option = "--rttm"

    def __init__(
        self,
        path: Path,
        recording: str,
        names: Mapping[int, str] | None = None,
        sources: Sequence[str] = (),
        stop: threading.Event | None = None,
    ) -> None:
        check_writable(path, self.option, sources)
        self._path = path
        self._recording = recording
        self._names = names if names is not None else {}
        self._segments = SpeakingSegments()
        self._stop = stop
        self._writer: RecordWriter | None = None

    def snapshot(self, snapshot: Snapshot) -> None:
        self._write(self._segments.push(snapshot))

    def close(self) -> None:
        if self._writer is None:
            return
        try:
            self._write(self._segments.finish())
        finally:
            self._writer.close()

    def _write(self, segments: Iterable[Segment]) -> None:
        if self._writer is None:
            self._writer = RecordWriter(open_output(self._path, self._stop))
        for segment in segments:
            name = self._names.get(segment.id, f"person{segment.id}")
            self._writer.write(rttm_line(self._recording, segment, name).encode(errors="replace"))
