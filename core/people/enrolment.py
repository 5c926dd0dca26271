"""Enrolment: people who are known from one session to the next, as JSON of names and embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError

VERSION = 1

LOOK_NUMBERS, VOICE_NUMBERS = 128, 256

MOST_LOOKS = 16
"""Face embeddings kept for each person."""


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A person: looks [N, 128] of the face, the voice [256] where it is known.

    ``id``: in a session that is handed over, where ``name`` may be empty; else 0.
    """

    name: str
    looks: npt.NDArray[np.float32]
    voice: npt.NDArray[np.float32] | None = None
    id: int = 0


def to_json(people: Sequence[Enrolled]) -> str:
    """The file's content: names and embeddings, no images and no audio."""
    entries = [
        {
            "name": person.name,
            "looks": [_numbers(look) for look in person.looks],
            "voice": None if person.voice is None else _numbers(person.voice),
        }
        for person in people
    ]
    return json.dumps({"version": VERSION, "people": entries}, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str) -> list[Enrolled]:
    """The people in a file's content. Raises InputError with one line when it is no such file."""
    try:
        content = json.loads(text)
        if content["version"] != VERSION:
            raise InputError(f"the people's file has version {content['version']}, not {VERSION}")
        return [_person(entry) for entry in content["people"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("the people's file is damaged, or is another kind of file") from error


def joined(known: Sequence[Enrolled], met: Sequence[Enrolled]) -> list[Enrolled]:
    """Merge what a session learnt of the people it ``met`` into ``known``, matched by name; add the new ones."""
    people = {person.name: person for person in known}
    for person in met:
        before = people.get(person.name)
        if before is None:
            people[person.name] = person
            continue
        # The session's list of looks begins with the looks that it was given.
        looks = person.looks if len(person.looks) else before.looks
        people[person.name] = Enrolled(person.name, looks, before.voice if person.voice is None else person.voice)
    return [people[name] for name in sorted(people)]


def _person(entry: dict[str, object]) -> Enrolled:
    name, voice = entry["name"], entry["voice"]
    looks = np.array(entry["looks"], np.float32).reshape(-1, LOOK_NUMBERS)
    if not isinstance(name, str) or not name.strip() or len(looks) > MOST_LOOKS:
        raise ValueError("no name")
    embedding = None if voice is None else np.array(voice, np.float32).reshape(VOICE_NUMBERS)
    if not np.isfinite(looks).all() or (embedding is not None and not np.isfinite(embedding).all()):
        raise ValueError("not a number")
    return Enrolled(name, looks, embedding)


def _numbers(embedding: npt.NDArray[np.float32]) -> list[float]:
    return [round(float(value), 5) for value in embedding]
