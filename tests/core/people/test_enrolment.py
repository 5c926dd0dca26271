from __future__ import annotations

import json

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.people.enrolment import Enrolled, from_json, joined, to_json

RNG = np.random.default_rng(0)


def person(name: str, looks: int = 2, *, voice: bool = True) -> Enrolled:
    return Enrolled(
        name,
        RNG.normal(size=(looks, 128)).astype(np.float32),
        RNG.normal(size=256).astype(np.float32) if voice else None,
    )


def test_people_are_as_they_were() -> None:
    people = [person("Ada"), person("Grace Hopper", 0, voice=False), person("Зоя")]
    for before, after in zip(people, from_json(to_json(people)), strict=True):
        assert after.name == before.name
        np.testing.assert_allclose(after.looks, before.looks, atol=1e-5)
        assert (after.voice is None) == (before.voice is None)


def test_only_names_and_numbers_are_kept() -> None:
    (entry,) = json.loads(to_json([person("Ada")]))["people"]
    assert set(entry) == {"name", "looks", "voice"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version":1}',
        '{"version":2,"people":[]}',
        '{"version":1,"people":[{"name":"","looks":[],"voice":null}]}',
        '{"version":1,"people":[{"name":"A","looks":[[1,2]],"voice":null}]}',
        '{"version":1,"people":[{"name":"A","looks":[],"voice":[1]}]}',
        '{"version":1,"people":[{"name":"A","looks":[[' + "NaN," * 127 + 'NaN]],"voice":null}]}',
        '{"version":1,"people":["Ada"]}',
    ],
)
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="people's file"):
        from_json(text)


def test_what_a_session_learnt_is_added() -> None:
    known = [person("Ada"), person("Bob")]
    met = [person("Ada", 5, voice=False), person("Carl"), person("Bob", 0)]
    people = {p.name: p for p in joined(known, met)}
    assert list(people) == ["Ada", "Bob", "Carl"]
    assert len(people["Ada"].looks) == 5 and people["Ada"].voice is known[0].voice
    assert len(people["Bob"].looks) == 2 and people["Bob"].voice is met[2].voice
