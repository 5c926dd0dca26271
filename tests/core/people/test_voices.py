from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.people.voices import VoiceClusters, VoiceSettings
from tests.core.people.talk import Talk


@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_each_voice_is_found_again(pause: float) -> None:
    talk = Talk()
    last: list[int | None] = []
    for who in (0, 1, 2, 0, 2, 1, 0, 1, 2):
        found = talk.speak(who, 3.0)
        talk.pause(pause)
        last.append(found[-1])
        assert len(set(found[10:])) == 1, "a voice stays the same through a turn"
    assert last == [1, 2, 3, 1, 3, 2, 1, 2, 3]


def test_a_change_is_found_soon() -> None:
    talk = Talk()
    for who in (0, 1, 0, 1):
        talk.speak(who, 3.0)
    assert talk.speak(0, 1.0)[-1] == 1 and talk.speak(1, 1.0)[-1] == 2


def test_after_a_pause_a_known_voice_is_found_at_once() -> None:
    """A window of 0.2 s tells known voices apart, mostly."""
    talk, right = Talk(), 0
    for who in (0, 1, 2, 0, 1, 2):
        talk.speak(who, 3.0)
        talk.pause(0.4)
    for turn in range(30):
        right += talk.speak(turn * 2 % 3, 0.2) == [turn * 2 % 3 + 1]
        talk.pause(0.4)
    assert right > 24


def test_probabilities_are_some_of_1() -> None:
    talk = Talk()
    for who in (0, 1, 3):
        talk.speak(who, 2.0)
        assert min(talk.clusters.probabilities.values()) >= 0 and sum(talk.clusters.probabilities.values()) <= 1 + 1e-9


def test_four_people_who_alternate_after_pauses_have_four_voices() -> None:
    talk = Talk()
    for who in (0, 1, 2, 3, 2, 1, 3, 0, 2, 0, 3, 1):
        talk.speak(who, 1.6)
        talk.pause(0.4)
    assert len(talk.clusters.numbers) == 4


def test_two_voices_that_became_one_come_apart() -> None:
    """Alike voices are one while little was said; by more of it they are told apart, and what was learnt of the first
    is divided between the two."""
    talk, numbers = Talk(alike=0.6), []
    for turn in range(24):
        talk.speak(turn % 2, 1.0 if turn < 2 else 2.0)
        talk.pause(0.4)
        numbers.append(len(talk.clusters.numbers))
    assert numbers[4] == 1 and numbers[-1] == 2
    assert list(talk.clusters.seconds.values()) == pytest.approx([23.0, 23.0], abs=1.0)


def test_evidence_follows_segments_to_their_voice() -> None:
    talk = Talk()
    talk.speak(0, 1.0)
    for _ in range(10):
        talk.clusters.learn({7: 0.5})
    talk.speak(0, 2.0)
    assert talk.clusters.clusters[0].evidence == {7: pytest.approx(5.0)}


def test_short_speech_teaches_nothing() -> None:
    talk = Talk()
    for _ in range(10):
        talk.speak(0, 0.2)
        talk.pause(0.4)
    assert not talk.clusters.numbers


def test_memory_stays_bounded_and_voices_are_kept() -> None:
    talk = Talk(people=3)
    for turn in range(150):
        talk.speak(turn % 3, 3.0)
    clusters = talk.clusters
    assert len(clusters._segments) <= VoiceSettings().most_segments
    assert len(clusters.numbers) == 3 and [talk.speak(who, 2.0)[-1] for who in range(3)] == [1, 2, 3]


def test_there_are_never_more_voices_than_allowed() -> None:
    talk = Talk(people=60)
    talk.clusters = VoiceClusters(VoiceSettings(most_voices=8, most_segments=60))
    for who in range(60):
        talk.speak(who, 2.0)
    assert len(talk.clusters.numbers) <= 8


def test_enrolled_voices_stay_apart_and_keep_their_numbers() -> None:
    talk = Talk()
    for who in range(3):
        talk.clusters.enrol(f"person {who}", talk.embedding(talk.voices[who]))
    for who in (2, 0, 1, 2):
        assert talk.speak(who, 2.0)[-1] == who + 1
        talk.pause(0.4)
    assert [talk.clusters.name(number) for number in (1, 2, 3)] == ["person 0", "person 1", "person 2"]
    talk.clusters.enrol("the same", talk.embedding(talk.voices[0]))
    assert len(talk.clusters.numbers) == 4, "two enrolled people are two, however alike"


def test_more_people_are_enrolled_than_new_voices_are_kept() -> None:
    talk = Talk(people=40)
    for who in range(30):
        talk.clusters.enrol(f"person {who}", talk.embedding(talk.voices[who]))
    for who in (29, 35, 3):
        talk.speak(who, 2.0)
        talk.pause(0.4)
    assert talk.clusters.current == 4 and set(range(1, 31)) <= talk.clusters.numbers
    talk.clusters.meet("person 29", 7)
    assert talk.owners.owner(30) == 7


def test_forgotten_voices_do_not_come_back() -> None:
    talk = Talk()
    talk.speak(0, 3.0)
    talk.clusters.forget()
    assert not talk.clusters.numbers and talk.speak(0, 3.0)[-1] == 2


def test_the_same_speech_has_the_same_result() -> None:
    first, second = Talk(), Talk()
    for talk in (first, second):
        for who in (0, 1, 2, 0):
            talk.speak(who, 2.0)
    assert first.clusters.probabilities == second.clusters.probabilities
    assert np.array_equal(first.clusters.clusters[0].mean, second.clusters.clusters[0].mean)
