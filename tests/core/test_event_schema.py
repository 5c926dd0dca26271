"""The schema of events fits every event, refuses what is none, and knows every kind."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import pytest

from speakerlight.core.event_schema import EVENT_SCHEMA, EVENTS
from speakerlight.core.events import (
    ControlEvent,
    Event,
    LagEvent,
    LoadEvent,
    MergeEvent,
    Percentiles,
    PersonEvent,
    ScoresEvent,
    SessionEvent,
    SpeakerEvent,
    SummaryEvent,
)
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, SpeakingState
from speakerlight.core.talk import Talk

FACE = FaceScore(3, Box(1.0, 2.0, 30.0, 40.0), 0.4, True)
SAMPLES: list[Event] = [
    SessionEvent("demo", None, "compact", "cpu"),
    ScoresEvent(1.24, math.nan, (FACE, FaceScore(4, Box(0, 0, 1, 1), math.inf, False))),
    *(SpeakerEvent(1.0, state, None, 2) for state in SpeakingState),
    PersonEvent(1.0, 3, None),
    PersonEvent(1.0, 3, "Ada"),
    MergeEvent(1.0, 3, 1),
    LagEvent(2.0, -40.0, 0.5),
    LoadEvent(2.0, 1, 7, 2),
    ControlEvent(2.0, {"type": "release"}),
    SummaryEvent(10.0, 300, 250, ((3, 4.5), (-1, 2.0)), Percentiles(8.0), {3: "Ada"}, {3: Talk(4.5, 2, 3.0, 1)}),
    SummaryEvent(10.0, 0, 0, ()),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_every_event_fits(event: Event) -> None:
    jsonschema.validate(json.loads(event.to_json()), EVENT_SCHEMA)


def test_every_kind_of_event_is_there_with_a_sample() -> None:
    kinds = {event.type for event in get_args(Event)}
    assert {each["properties"]["type"]["const"] for each in EVENTS} == kinds == {event.type for event in SAMPLES}


def test_the_schema_is_one_and_names_each_kind_once() -> None:
    jsonschema.Draft202012Validator.check_schema(dict(EVENT_SCHEMA))
    kinds = [each["properties"]["type"]["const"] for each in EVENT_SCHEMA["oneOf"]]
    assert len(kinds) == len({*kinds})


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_an_event_without_one_of_its_fields_is_refused(event: Event) -> None:
    whole: dict[str, Any] = json.loads(event.to_json())
    for missing in whole:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in whole.items() if key != missing}, EVENT_SCHEMA)
