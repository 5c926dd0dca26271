"""Event schema, and the conversion of successive snapshots to events.

One event is one JSON line; file, stdout and WebSocket carry the same lines. Times are seconds of the session to the
millisecond, scores have 3 decimals, boxes 1. A number that is not finite is written as ``null``; a face without a
finite box is dropped. The output never holds ``NaN``, which is not JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, cast

from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.talk import Talk
from speakerlight.core.timebase import TICK_RATE

VERSION = 2
"""Version of the schema; rises when a reader of the previous one could break. 2: state ``undecided``."""

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


def _number(value: float | None, digits: int = 3) -> float | None:
    return (
        round(value, digits) + 0.0 if value is not None and math.isfinite(value) else None
    )  # + 0.0 turns -0.0 into 0.0


def _line(kind: str, fields: dict[str, Value]) -> str:
    line = json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A file name that is not UTF-8 has surrogates, which cannot be encoded: as JSON escapes they can.
    return line.encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class SessionEvent:
    """First event of a run: its inputs, model and device. ``audio`` is None for a run without audio."""

    type: ClassVar[str] = "session"
    video: str
    audio: str | None
    model: str
    device: str

    def to_json(self) -> str:
        fields: dict[str, Value] = {"version": VERSION, "video": self.video, "audio": self.audio, "model": self.model}
        return _line(self.type, fields | {"device": self.device, "rate": TICK_RATE})


@dataclass(frozen=True)
class ScoresEvent:
    """One tick: the probability of speech and every face in view. Units as in ``Snapshot``."""

    type: ClassVar[str] = "scores"
    time: float
    speech: float
    faces: tuple[FaceScore, ...]

    def to_json(self) -> str:
        faces: list[Value] = [_face(face) for face in self.faces if _is_finite(face.box)]
        return _line(self.type, {"time": _number(self.time), "speech": _number(self.speech), "faces": faces})


@dataclass(frozen=True)
class SpeakerEvent:
    """Change of state or primary speaker. ``id``: the primary speaker, or the known person who speaks out of view, if
    any; ``previous``: the one before, if any."""

    type: ClassVar[str] = "speaker"
    time: float
    state: SpeakingState
    id: int | None
    previous: int | None

    def to_json(self) -> str:
        fields: dict[str, Value] = {"time": _number(self.time), "state": self.state.value}
        return _line(self.type, fields | {"id": self.id, "previous": self.previous})


@dataclass(frozen=True)
class PersonEvent:
    """A person is in view for the first time, or has a new name. ``name``: None without one."""

    type: ClassVar[str] = "person"
    time: float
    id: int
    name: str | None

    def to_json(self) -> str:
        return _line(self.type, {"time": _number(self.time), "id": self.id, "name": self.name})


@dataclass(frozen=True)
class MergeEvent:
    """Two ids turned out to be one person: whatever was reported of ``id`` is of ``into``."""

    type: ClassVar[str] = "merge"
    time: float
    id: int
    into: int

    def to_json(self) -> str:
        return _line(self.type, {"time": _number(self.time), "id": self.id, "into": self.into})


@dataclass(frozen=True)
class LagEvent:
    """The room lag: ``milliseconds`` > 0 when the audio is later than the video; ``confidence`` in [0, 1]."""

    type: ClassVar[str] = "lag"
    time: float
    milliseconds: float
    confidence: float

    def to_json(self) -> str:
        fields: dict[str, Value] = {"time": _number(self.time), "milliseconds": _number(self.milliseconds, 1)}
        return _line(self.type, fields | {"confidence": _number(self.confidence)})


@dataclass(frozen=True)
class LoadEvent:
    """Change of the load-shedding level; 0 sheds nothing. Both counts run from the start of the session."""

    type: ClassVar[str] = "load"
    time: float
    level: int
    dropped_frames: int
    audio_overflows: int

    def to_json(self) -> str:
        fields: dict[str, Value] = {"time": _number(self.time), "level": self.level}
        return _line(
            self.type, fields | {"dropped_frames": self.dropped_frames, "audio_overflows": self.audio_overflows}
        )


@dataclass(frozen=True)
class ControlEvent:
    """A command that was carried out. ``command``: as it was given, of the schema of ``core.decision.commands``."""

    type: ClassVar[str] = "control"
    time: float
    command: dict[str, object]

    def to_json(self) -> str:
        return _line(self.type, {"time": _number(self.time), "command": cast(Value, self.command)})


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of the capture-to-overlay latency in milliseconds; None where nothing was measured (``--fast``)."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class SummaryEvent:
    """Last event of a run. ``duration``: seconds of media; ``speakers``: (id, seconds spoken), longest first,
    a negative id for a voice without a person; ``names``: of those who have one; ``talk``: more of each, by id."""

    type: ClassVar[str] = "summary"
    duration: float
    frames: int
    ticks: int
    speakers: tuple[tuple[int, float], ...]
    latency_ms: Percentiles = field(default_factory=Percentiles)
    names: Mapping[int, str] = field(default_factory=dict, hash=False)
    talk: Mapping[int, Talk] = field(default_factory=dict, hash=False)

    def to_json(self) -> str:
        latency = self.latency_ms
        fields: dict[str, Value] = {"duration": _number(self.duration), "frames": self.frames, "ticks": self.ticks}
        fields["speakers"] = [self._speaker(person, seconds) for person, seconds in self.speakers]
        fields["latency_ms"] = {
            "p50": _number(latency.p50, 1),
            "p95": _number(latency.p95, 1),
            "p99": _number(latency.p99, 1),
        }
        return _line(self.type, fields)

    def _speaker(self, person: int, seconds: float) -> dict[str, Value]:
        fields: dict[str, Value] = {"id": person if person > 0 else None, "seconds": _number(seconds)}
        if (talk := self.talk.get(person)) is not None:
            fields |= {"turns": talk.turns, "longest": _number(talk.longest_seconds)}
            fields |= {"interruptions": talk.interruptions}
        return fields | ({"name": self.names[person]} if person in self.names else {})


Event = (
    SessionEvent
    | ScoresEvent
    | SpeakerEvent
    | PersonEvent
    | MergeEvent
    | LagEvent
    | LoadEvent
    | ControlEvent
    | SummaryEvent
)


def _is_finite(box: Box) -> bool:
    return all(map(math.isfinite, (box.x, box.y, box.width, box.height)))


def _face(face: FaceScore) -> dict[str, Value]:
    box = face.box
    corners: list[Value] = [_number(value, 1) for value in (box.x, box.y, box.width, box.height)]
    return {"id": face.id, "box": corners, "score": _number(face.score), "speaking": face.speaking}


LAG_STEP_MS = 10.0
"""Change of the room lag that is reported: a quarter of what SyncNet tolerates (±40 ms)."""

LAG_STEP_SECONDS = 1.0
"""Least time between two reports of a changed lag: one that is still being estimated must not fill the log."""

LAG_REFRESH_SECONDS = 5.0
"""Time after which a smaller change of lag or confidence is reported."""


_UNREPORTED = object()


class EventStream:
    """Converts successive snapshots to events. The initial state is silence, without a reported lag."""

    def __init__(self) -> None:
        self._state = SpeakingState.SILENCE
        self._speaker: int | None = None
        self._persons: dict[int, str | None] = {}
        self._lag: LagEvent | None = None

    def events(self, snapshot: Snapshot) -> list[Event]:
        """The events of one snapshot: always ``scores``; ``person`` and ``merge`` on news of the people in view;
        ``speaker`` on a change; ``lag`` when it is due."""
        events: list[Event] = [ScoresEvent(snapshot.time, snapshot.speech, snapshot.faces)]
        events += self._of_people(snapshot)
        speaker = snapshot.primary
        if snapshot.state is SpeakingState.OFFSCREEN:
            speaker = snapshot.offscreen if snapshot.offscreen is not None and snapshot.offscreen > 0 else None
        if (snapshot.state, speaker) != (self._state, self._speaker):
            events.append(SpeakerEvent(snapshot.time, snapshot.state, speaker, self._speaker))
            self._state, self._speaker = snapshot.state, speaker
        if self._is_due(snapshot.time, snapshot.lag):
            self._lag = LagEvent(snapshot.time, snapshot.lag.milliseconds, snapshot.lag.confidence)
            events.append(self._lag)
        return events

    def _of_people(self, snapshot: Snapshot) -> list[Event]:
        events: list[Event] = []
        for merge in snapshot.merges:
            # An id that was never reported needs no merge.
            if self._persons.pop(merge.id, _UNREPORTED) is not _UNREPORTED:
                events.append(MergeEvent(snapshot.time, merge.id, merge.into))
            if self._speaker == merge.id:
                self._speaker = merge.into
        for face in snapshot.faces:
            name = snapshot.names.get(face.id)
            if self._persons.get(face.id, _UNREPORTED) != name:
                events.append(PersonEvent(snapshot.time, face.id, name))
                self._persons[face.id] = name
        return events

    def _is_due(self, time: float, lag: Lag) -> bool:
        if not math.isfinite(lag.milliseconds):
            return False
        reported = self._lag
        if reported is None:
            return True
        since = time - reported.time
        if abs(lag.milliseconds - reported.milliseconds) >= LAG_STEP_MS:
            return since >= LAG_STEP_SECONDS
        return since >= LAG_REFRESH_SECONDS and lag != Lag(reported.milliseconds, reported.confidence)
