"""JSON schema of events, and of the messages that a server adds to them in a room.

Fields may be added to an event; a reader passes over what it does not know. The session's ``version`` increases when a
reader of the previous one could break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from speakerlight.core.events import VERSION
from speakerlight.core.snapshot import SpeakingState
from speakerlight.core.timebase import TICK_RATE

Schema = Mapping[str, Any]

_ID = {"type": "integer", "minimum": 1}
_ID_OR_NULL = {"type": ["integer", "null"], "minimum": 1}
_NUMBER = {"type": "number"}
_NUMBER_OR_NULL = {"type": ["number", "null"], "description": "null: not a finite number"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_COMMAND = {"type": "object", "required": ["type"], "description": "A command of this schema."}


def _object(optional: Mapping[str, Schema] | None = None, **required: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list(items: Schema, count: int | None = None) -> dict[str, Any]:
    bounds = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": items, **bounds}


def _event(kind: str, description: str, **required: Schema) -> dict[str, Any]:
    return {"description": description, **_object(None, type={"const": kind}, **required)}


_FACE = _object(None, id=_ID, box=_list(_NUMBER, 4), score=_NUMBER_OR_NULL, speaking={"type": "boolean"})
_SPEAKER = _object(
    {"name": _TEXT, "turns": _COUNT, "longest": _NUMBER, "interruptions": _COUNT}, id=_ID_OR_NULL, seconds=_NUMBER
)

EVENTS: Sequence[Schema] = (
    _event(
        "session",
        "First event of a run: its inputs, model and device.",
        version={"const": VERSION},
        video=_TEXT,
        audio=_TEXT_OR_NULL,
        model=_TEXT,
        device=_TEXT,
        rate={"const": TICK_RATE, "description": "Ticks a second."},
    ),
    _event(
        "scores",
        "One tick: the probability of speech, and every face in view with its box [x, y, width, height] in pixels and"
        " the probability that this person speaks.",
        time=_NUMBER_OR_NULL,
        speech=_NUMBER_OR_NULL,
        faces=_list(_FACE),
    ),
    _event(
        "speaker",
        "Change of state or active speaker.",
        time=_NUMBER_OR_NULL,
        state={"enum": [state.value for state in SpeakingState]},
        id=_ID_OR_NULL,
        previous=_ID_OR_NULL,
    ),
    _event("person", "A person is new or has another name.", time=_NUMBER_OR_NULL, id=_ID, name=_TEXT_OR_NULL),
    _event("merge", "Two ids are one person, who has the id into.", time=_NUMBER_OR_NULL, id=_ID, into=_ID),
    _event(
        "lag",
        "The room lag: milliseconds > 0 when the audio is later than the video; confidence from 0 to 1.",
        time=_NUMBER_OR_NULL,
        milliseconds=_NUMBER_OR_NULL,
        confidence=_NUMBER_OR_NULL,
    ),
    _event(
        "load",
        "Change of the load-shedding level; 0 sheds nothing. Counts run from the start of the session.",
        time=_NUMBER_OR_NULL,
        level=_COUNT,
        dropped_frames=_COUNT,
        audio_overflows=_COUNT,
    ),
    _event("control", "A command that was carried out.", time=_NUMBER_OR_NULL, command=_COMMAND),
    _event(
        "summary",
        "Last event of a run: seconds spoken by each person, longest first (id null: a voice without a person).",
        duration=_NUMBER_OR_NULL,
        frames=_COUNT,
        ticks=_COUNT,
        speakers=_list(_SPEAKER),
        latency_ms=_object(None, p50=_NUMBER_OR_NULL, p95=_NUMBER_OR_NULL, p99=_NUMBER_OR_NULL),
    ),
)
"""Events of a run: in files, on standard output and in rooms."""

MESSAGES: Sequence[Schema] = (
    _event("names", "All names by id, after one has changed.", names={"type": "object", "additionalProperties": _TEXT}),
    _event("pinned", "Who is pinned, after that has changed.", id=_ID_OR_NULL),
    _event("picture", "Size of the video in pixels.", width=_COUNT, height=_COUNT),
    _event("ack", "Reply to a command that was carried out.", time=_NUMBER, command=_COMMAND),
    _event("pong", "Reply to a ping: the number sent, and the time of the session.", sent=_NUMBER, time=_NUMBER),
    _event("error", "Reply to what is no command, or the end of a room that failed.", message=_TEXT),
    _event("moved", "The room is on another server now: connect again."),
)
"""What a server sends in a room beside its events."""

EVENT_SCHEMA: Schema = {"title": "Speakerlight events", "oneOf": [*EVENTS, *MESSAGES]}
"""JSON schema of whatever a listener receives."""
