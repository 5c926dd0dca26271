from __future__ import annotations

import numpy as np

from speakerlight.core.people.voice_owners import VoiceOwners
from speakerlight.core.people.voices import VoiceClusters
from tests.core.people.talk import Talk


def test_whose_voice_it_is_adds_up() -> None:
    talk = Talk()
    for who in (0, 1, 0, 1):
        for _ in range(3):
            talk.speak(who, 1.0)
            for _ in range(25):
                talk.clusters.learn({7: 0.1 if who == 0 else -0.1, 8: -0.1 if who == 0 else 0.1})
    talk.speak(0, 2.0)
    owners, stranger = talk.owners.owners([7, 8], talk.clusters.probabilities)
    assert owners[7] > 0.9 and owners[8] < 0.02 and stranger < 0.1
    assert talk.owners.known_owners(talk.clusters.probabilities)[7] > 0.9
    # Out of view, it is still their voice.
    owners, _ = talk.owners.owners([8], talk.clusters.probabilities)
    assert owners[7] > 0.9
    talk.clusters.merge(7, 5)
    assert talk.owners.owners([5, 8], talk.clusters.probabilities)[0][5] > 0.9


def two_owners() -> Talk:
    """Persons 7 and 8 with voices 0 and 1, which lip sync has confirmed."""
    talk = Talk()
    for who in (0, 1, 0, 1):
        talk.speak(who, 2.0)
        for _ in range(50):
            talk.clusters.learn({7: 0.2 - 0.4 * who, 8: 0.4 * who - 0.2})
        talk.pause(0.4)
    return talk


def test_a_voice_is_a_match_of_its_owner_alone() -> None:
    talk = two_owners()
    talk.speak(0, 0.8)
    found, nobody = talk.owners.matches([7, 8, 9])
    assert found[7] > 1 and found[8] < -0.5, "each has a voice of their own"
    assert abs(found[9]) < 0.3 and abs(nobody) < 1, "a person without a known voice may speak too"
    assert talk.owners.matches([8])[1] > 0.3, "people out of view keep their voices"
    talk.pause(0.2)
    assert talk.owners.matches([7, 8, 9]) == ({}, 0.0)


def test_an_unknown_voice_is_evidence_against_all_owners_of_voices() -> None:
    talk = two_owners()
    talk.speak(4, 0.8)
    found, nobody = talk.owners.matches([7, 8])
    assert max(found.values()) < -0.5 < nobody


def test_a_new_voice_is_a_strangers_where_all_in_view_have_one_already() -> None:
    talk = two_owners()
    talk.speak(4, 2.0)
    _, stranger = talk.owners.owners([7, 8], talk.clusters.probabilities)
    assert stranger > 0.9
    for _ in range(50):  # a listener whose lips happen to fit for two seconds
        talk.clusters.learn({7: 0.2, 8: -0.2})
    _, stranger = talk.owners.owners([7, 8], talk.clusters.probabilities)
    assert stranger > 0.5, "a person has one voice"


def test_what_was_wrong_is_unlearnt() -> None:
    talk = Talk()
    talk.speak(0, 3.0)
    for gain in (0.3, -0.3):
        for _ in range(30 * 25):
            talk.clusters.learn({1: gain, 2: -gain})
    owners, _ = talk.owners.owners([1, 2], talk.clusters.probabilities)
    assert owners[2] > 0.9


def test_an_unknown_voice_is_no_evidence_of_who_speaks() -> None:
    owners, stranger = VoiceOwners(VoiceClusters()).owners([1, 2, 3], {})
    assert set(owners.values()) == {0.25} and stranger == 0.25


def test_an_enrolled_voice_is_known_by_name_before_its_person_is_seen() -> None:
    talk = Talk()
    talk.clusters.enrol("Ada", talk.embedding(talk.voices[2]))
    talk.speak(2, 3.0)
    voice = talk.clusters.current
    assert voice is not None and talk.clusters.name(voice) == "Ada" and talk.owners.owner(voice) is None
    talk.clusters.meet("Ada", 4)
    assert talk.owners.owner(voice) == 4
    kept = talk.owners.voice_of(4)
    assert (
        kept is not None
        and float(kept @ talk.embedding(talk.voices[2])) > 0.9 * float(np.linalg.norm(talk.embedding(talk.voices[2])))
        and talk.owners.voice_of(5) is None
    )
