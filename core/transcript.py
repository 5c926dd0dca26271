"""Transcript formats: who spoke when (and said what) as JSON, CSV, WebVTT, SRT and plain text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from speakerlight.core.segments import Segment
from speakerlight.core.talk import talk_of

VERSION = 1
"""Version of the JSON format; increased when a reader of the previous one could break."""

CSV_COLUMNS = ("start", "end", "duration", "id", "name", "text")


@dataclass(frozen=True)
class Line:
    """Person ``id`` (None: unknown) spoke from ``start`` to ``end``, in seconds. ``text``: what was said, if known."""

    id: int | None
    start: float
    end: float
    text: str = ""


@dataclass(frozen=True)
class Transcript:
    """A session for export. ``names``: of persons who have one. ``about``: additional fields of the JSON format."""

    lines: Sequence[Line]
    names: Mapping[int, str] = field(default_factory=dict)
    duration: float = 0.0
    about: Mapping[str, object] = field(default_factory=dict)

    def name(self, person: int | None) -> str:
        """The displayed name, on one line."""
        if person is None:
            return "Unknown"
        return " ".join(self.names.get(person, "").split()) or f"Person {person}"


def transcript_of(
    segments: Sequence[Segment], names: Mapping[int, str], duration: float, about: Mapping[str, object]
) -> Transcript:
    """A transcript without text: one line for each segment."""
    lines = [Line(segment.id, segment.start, segment.end) for segment in segments]
    return Transcript(lines, names, duration, about)


def to_json(transcript: Transcript) -> str:
    """``people`` with their talk time, longest first, and ``turns`` in order. Seconds have three decimals."""
    talk = talk_of(Segment(line.id, line.start, line.end) for line in transcript.lines if line.id is not None)
    total = sum(each.seconds for each in talk.values())
    people = [
        {
            "id": person,
            "name": transcript.names.get(person),
            "seconds": round(each.seconds, 3),
            "share": round(each.seconds / total, 4) if total else 0.0,
            "turns": each.turns,
            "longest": round(each.longest_seconds, 3),
            "interruptions": each.interruptions,
        }
        for person, each in talk.items()
    ]
    turns = []
    for line in transcript.lines:
        turn: dict[str, object] = {"id": line.id, "name": transcript.names.get(line.id) if line.id else None}
        turn |= {"start": round(line.start, 3), "end": round(line.end, 3)}
        turns.append(turn | ({"text": line.text} if line.text else {}))
    whole = {"type": "transcript", "version": VERSION, **transcript.about, "duration": round(transcript.duration, 3)}
    return encodable(json.dumps(whole | {"people": people, "turns": turns}, ensure_ascii=False, indent=1) + "\n")


def to_csv(transcript: Transcript) -> str:
    """CSV (RFC 4180): a header, then one row for each line."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for line in transcript.lines:
        times = f"{line.start:.3f}", f"{line.end:.3f}", f"{line.end - line.start:.3f}"
        writer.writerow([*times, "" if line.id is None else line.id, transcript.name(line.id), line.text])
    return encodable(file.getvalue())


def to_vtt(transcript: Transcript) -> str:
    """WebVTT; each cue has a voice tag."""
    cues = ["WEBVTT"]
    for number, (line, text) in enumerate(_cues(transcript), 1):
        speaker = _escaped(transcript.name(line.id))
        times = f"{_clock(line.start, '.')} --> {_clock(line.end, '.')}"
        cues.append(f"{number}\n{times}\n<v {speaker}>{_escaped(text)}")
    return encodable("\n\n".join(cues) + "\n")


def to_srt(transcript: Transcript) -> str:
    """SubRip."""
    cues = [
        f"{number}\n{_clock(line.start, ',')} --> {_clock(line.end, ',')}\n{text}\n"
        for number, (line, text) in enumerate(_cues(transcript), 1)
    ]
    return encodable("\n".join(cues))


def to_text(transcript: Transcript) -> str:
    """Plain text, one line each: start time, speaker, text."""
    return encodable("".join(f"[{_clock(line.start, '.')}] {text}\n" for line, text in _cues(transcript)))


FORMATS: dict[str, Callable[[Transcript], str]] = {
    ".json": to_json,
    ".csv": to_csv,
    ".vtt": to_vtt,
    ".srt": to_srt,
    ".txt": to_text,
}
"""Writers by the suffix of the file's name."""


def _cues(transcript: Transcript) -> list[tuple[Line, str]]:
    """Lines longer than a millisecond, their text preceded by "Ada:"."""
    shown = [line for line in transcript.lines if round(line.end, 3) > round(line.start, 3)]
    return [(line, f"{transcript.name(line.id)}: {' '.join(line.text.split())}".rstrip()) for line in shown]


def _clock(seconds: float, point: str) -> str:
    milliseconds = max(round(seconds * 1000), 0)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encodable(text: str) -> str:
    """Replace what UTF-8 cannot encode: bytes of a file name that are not UTF-8."""
    return text.encode(errors="replace").decode()
