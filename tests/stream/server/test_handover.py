"""Handover: what a room was comes out at the other end, and nothing else is taken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.core.people.enrolment import Enrolled
from speakerlight.core.people.recognition import FaceRecognizer, Person
from speakerlight.core.people.voice_owners import VoiceOwners
from speakerlight.core.people.voices import VoiceClusters
from speakerlight.server.handover import Handover

COMMANDS: list[dict[str, object]] = [
    {"type": "name", "id": 3, "name": "Ada"},
    {"type": "exclude", "id": 2, "on": True},
    {"type": "ignore", "region": [1.0, 2.0, 30.0, 40.0]},
    {"type": "pin", "id": 3},
    {"type": "hold", "seconds": None},
    {"type": "sensitivity", "score": 0.4},
    {"type": "view", "view": "speaker"},
    {"type": "lag", "milliseconds": 80.0},
]


def test_state_and_people_come_out_as_they_went_in() -> None:
    before, after = Control(), Control()
    for command in COMMANDS:
        before.execute(command)
    random = np.random.default_rng(0)
    looks, voice = random.normal(size=(2, 128)).astype(np.float32), random.normal(size=256).astype(np.float32)
    people = [Enrolled("Ada", looks, voice, 3), Enrolled("", looks[:1], None, 5)]
    sent = json.dumps(Handover(before.state.commands(0.0), people).to_json())
    taken = Handover.from_json(json.loads(sent))
    taken.apply(after)
    assert after.state == before.state
    assert [(each.id, each.name) for each in taken.people] == [(3, "Ada"), (5, "")]
    assert (taken.people[0].looks == looks).all() and taken.people[1].voice is None
    assert taken.people[0].voice is not None and (taken.people[0].voice == voice).all()


def test_a_hold_lasts_as_long_as_it_would_have() -> None:
    before, after = Control(), Control()
    before.at(10.0)
    before.execute({"type": "hold", "seconds": 5.0})
    Handover(before.state.commands(12.0)).apply(after)
    assert after.state.hold_until == pytest.approx(3.0)
    assert before.state.commands(15.0) == []


@pytest.mark.parametrize("content", [None, {}, {"commands": [], "people": [{}]}, {"commands": 3, "people": []}])
def test_what_is_no_handover_is_refused(content: object) -> None:
    with pytest.raises(InputError):
        Handover.from_json(content)


def test_people_keep_their_ids_and_voices() -> None:
    recognizer = FaceRecognizer(lambda crops: np.zeros((len(crops), 128), np.float32))
    recognizer.restore([Person(7, "Ada", [np.ones(128, np.float32)])])
    assert [(each.id, each.name) for each in recognizer.known] == [(7, "Ada")]
    voices, voice = VoiceClusters(), np.eye(256, dtype=np.float32)[0]
    voices.enrol(None, voice, 7)
    assert VoiceOwners(voices).owner(1) == 7
