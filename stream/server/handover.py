"""Handover (migration of a room to another host), as JSON: the commands that restore its state, the people known."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.core.people.enrolment import LOOK_NUMBERS, VOICE_NUMBERS, Enrolled

DAMAGED = "the handover is damaged"


@dataclass(frozen=True)
class Handover:
    """``commands``: as ``Control.execute`` takes them. ``people``: with their ids."""

    commands: Sequence[Mapping[str, object]] = ()
    people: Sequence[Enrolled] = ()

    def to_json(self) -> dict[str, Any]:
        """A value for ``json.dumps``."""
        return {"commands": list(self.commands), "people": [_written(person) for person in self.people]}

    @classmethod
    def from_json(cls, content: Any) -> Handover:
        """The inverse of ``to_json``. Raises InputError."""
        try:
            return cls(tuple(content["commands"]), tuple(_read(each) for each in content["people"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(DAMAGED) from error

    def apply(self, control: Control) -> None:
        """Execute the commands again. Raises InputError."""
        for command in self.commands:
            control.execute(command)


def _written(person: Enrolled) -> dict[str, object]:
    voice = None if person.voice is None else _text(person.voice)
    return {"id": person.id, "name": person.name, "looks": _text(person.looks), "voice": voice}


def _read(entry: Mapping[str, Any]) -> Enrolled:
    looks = _numbers(entry["looks"]).reshape(-1, LOOK_NUMBERS)
    voice = None if entry["voice"] is None else _numbers(entry["voice"]).reshape(VOICE_NUMBERS)
    return Enrolled(str(entry["name"]), looks, voice, int(entry["id"]))


def _text(numbers: npt.NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, "<f4").tobytes()).decode()


def _numbers(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
