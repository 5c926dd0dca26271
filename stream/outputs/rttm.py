"""RTTM: each person's speaking stretches, in the format that diarization scorers read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from speakerlight.core.segments import Segment, SpeakingSegments
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output, check_writable


def rttm_line(recording: str, stretch: Segment, name: str) -> str:
    """One SPEAKER line: recording, channel 1, start, duration (seconds), name. Fields hold no white space."""
    fields = (
        "_".join(recording.split()) or "session",
        "1",
        f"{stretch.start:.3f}",
        f"{stretch.end - stretch.start:.3f}",
    )
    return f"SPEAKER {' '.join(fields)} <NA> <NA> {'_'.join(name.split())} <NA> <NA>\n"


class Rttm(Output):
    """Writes a stretch's line when the stretch has ended, so that the file is whole at any moment.

    ``recording`` names the source in every line; ``names`` may name a person, others are ``person1``, ``person2``, ….
    """

    option = "--rttm"

    def __init__(
        self, path: Path, recording: str, names: Mapping[int, str] | None = None, sources: Sequence[str] = ()
    ) -> None:
        check_writable(path, self.option, sources)
        self._path = path
        self._recording = recording
        self._names = names if names is not None else {}
        self._segments = SpeakingSegments()
        self._file: IO[str] | None = None

    def snapshot(self, snapshot: Snapshot) -> None:
        self._write(self._segments.push(snapshot))

    def close(self) -> None:
        if self._file is not None:
            self._write(self._segments.finish())
            self._file.close()

    def _write(self, segments: Iterable[Segment]) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
        for stretch in segments:
            name = self._names.get(stretch.id, f"person{stretch.id}")
            self._file.write(rttm_line(self._recording, stretch, name))
            self._file.flush()
