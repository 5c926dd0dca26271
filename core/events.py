"""What a run tells other programs: the event schema, and how successive snapshots become events.

One event is one JSON line; file, stdout and WebSocket carry the same lines. Times are seconds of the session to the
millisecond, scores have 3 decimals, boxes 1. A number that is not finite goes out as ``null``, and a face without a
finite box not at all: no reader ever meets ``NaN``, which is not JSON.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import ClassVar

from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE

VERSION = 1
"""Of the schema. It rises when a reader of the old one could break."""

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


def _number(value: float | None, digits: int = 3) -> float | None:
    return (
        round(value, digits) + 0.0 if value is not None and math.isfinite(value) else None
    )  # + 0.0 turns -0.0 into 0.0


def _line(kind: str, fields: dict[str, Value]) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class SessionEvent:
    """The first event of a run: what goes in and what computes. ``audio`` is None for a run without sound."""

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
    """Who is speaking changed. ``id``: the primary speaker now, if any; ``previous``: the one before, if any."""

    type: ClassVar[str] = "speaker"
    time: float
    state: SpeakingState
    id: int | None
    previous: int | None

    def to_json(self) -> str:
        fields: dict[str, Value] = {"time": _number(self.time), "state": self.state.value}
        return _line(self.type, fields | {"id": self.id, "previous": self.previous})


@dataclass(frozen=True)
class LagEvent:
    """The room lag: ``milliseconds`` > 0 when the sound comes later than the picture; ``confidence`` in [0, 1]."""

    type: ClassVar[str] = "lag"
    time: float
    milliseconds: float
    confidence: float

    def to_json(self) -> str:
        fields: dict[str, Value] = {"time": _number(self.time), "milliseconds": _number(self.milliseconds, 1)}
        return _line(self.type, fields | {"confidence": _number(self.confidence)})


@dataclass(frozen=True)
class LoadEvent:
    """The engine changed how much work it sheds. ``level`` 0: none. The counts are those since the session began."""

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
class Percentiles:
    """Of the capture-to-overlay latency, in milliseconds; None where nothing was measured (``--fast``)."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class SummaryEvent:
    """The last event of a run. ``duration``: seconds of media; ``speakers``: (id, seconds spoken), most first."""

    type: ClassVar[str] = "summary"
    duration: float
    frames: int
    ticks: int
    speakers: tuple[tuple[int, float], ...]
    latency_ms: Percentiles = field(default_factory=Percentiles)

    def to_json(self) -> str:
        latency = self.latency_ms
        fields: dict[str, Value] = {"duration": _number(self.duration), "frames": self.frames, "ticks": self.ticks}
        fields["speakers"] = [{"id": person, "seconds": _number(seconds)} for person, seconds in self.speakers]
        fields["latency_ms"] = {
            "p50": _number(latency.p50, 1),
            "p95": _number(latency.p95, 1),
            "p99": _number(latency.p99, 1),
        }
        return _line(self.type, fields)


Event = SessionEvent | ScoresEvent | SpeakerEvent | LagEvent | LoadEvent | SummaryEvent


def _is_finite(box: Box) -> bool:
    return all(map(math.isfinite, (box.x, box.y, box.width, box.height)))


def _face(face: FaceScore) -> dict[str, Value]:
    box = face.box
    corners: list[Value] = [_number(value, 1) for value in (box.x, box.y, box.width, box.height)]
    return {"id": face.id, "box": corners, "score": _number(face.score), "speaking": face.speaking}


LAG_STEP_MS = 10.0
"""A room lag that moved this far since it was last told is told again: a quarter of what SyncNet forgives (±40 ms)."""

LAG_STEP_SECONDS = 1.0
"""…but not more often than this, lest a lag that is still being found fill the log."""

LAG_REFRESH_SECONDS = 5.0
"""A lag (or its confidence) that moved less is told again after this long."""


class EventStream:
    """Turns successive snapshots into events. Before the first snapshot the state is silence and no lag was told."""

    def __init__(self) -> None:
        self._state = SpeakingState.SILENCE
        self._primary: int | None = None
        self._lag: LagEvent | None = None

    def events(self, snapshot: Snapshot) -> list[Event]:
        """The events of one snapshot: always ``scores``; ``speaker`` on a change; ``lag`` when there is news of it."""
        events: list[Event] = [ScoresEvent(snapshot.time, snapshot.speech, snapshot.faces)]
        if (snapshot.state, snapshot.primary) != (self._state, self._primary):
            events.append(SpeakerEvent(snapshot.time, snapshot.state, snapshot.primary, self._primary))
            self._state, self._primary = snapshot.state, snapshot.primary
        if self._is_news(snapshot.time, snapshot.lag):
            self._lag = LagEvent(snapshot.time, snapshot.lag.milliseconds, snapshot.lag.confidence)
            events.append(self._lag)
        return events

    def _is_news(self, time: float, lag: Lag) -> bool:
        if not math.isfinite(lag.milliseconds):
            return False
        told = self._lag
        if told is None:
            return True
        since = time - told.time
        if abs(lag.milliseconds - told.milliseconds) >= LAG_STEP_MS:
            return since >= LAG_STEP_SECONDS
        return since >= LAG_REFRESH_SECONDS and lag != Lag(told.milliseconds, told.confidence)
