from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.people.voices import VoiceClusters, VoiceSettings

WINDOW_COSINES = (0.7, 0.8, 0.87, 0.9, 0.92, 0.94, 0.95, 0.96)
"""Of a window with its voice's profile, by length."""


class Talk:
    """Embeddings of people who speak one after the other."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        base = self.unit(256)
        # Voices of people are 0.5 from each other.
        self.profiles = [self.normal(0.71 * base + 0.71 * self.unit(256)) for _ in range(6)]
        self.clusters = VoiceClusters()

    def unit(self, count: int) -> npt.NDArray[np.float64]:
        return self.normal(self.rng.normal(size=count))

    @staticmethod
    def normal(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return vector / np.linalg.norm(vector)

    def speak(self, who: int, seconds: float) -> list[int | None]:
        """The number of the voice that is found to speak, hop by hop. Windows reach back over the change."""
        found = []
        for hop in range(round(seconds * 5)):
            windows = []
            for length, cosine in enumerate(WINDOW_COSINES):
                profile = self.profiles[who]
                share = min(1.0, (hop + 1) / (length + 1))  # the rest of the window is the voice before
                profile = self.normal(share * profile + (1 - share) * self.profiles[self.last])
                noise = self.unit(256)
                windows.append(self.normal(cosine * profile + np.sqrt(1 - cosine**2) * noise))
            self.clusters.update(np.array(windows, np.float32), 1.0)
            found.append(self.clusters.current)
        self.last = who
        return found

    last = 0

    def pause(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.clusters.update(np.zeros((8, 256), np.float32), 0.0)


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
    assert talk.speak(0, 1.2)[-1] == 1 and talk.speak(1, 1.2)[-1] == 2


def test_probabilities_are_some_of_1() -> None:
    talk = Talk()
    for who in (0, 1, 3):
        talk.speak(who, 2.0)
        assert min(talk.clusters.probabilities.values()) >= 0 and sum(talk.clusters.probabilities.values()) <= 1 + 1e-9


def test_whose_voice_it_is_adds_up() -> None:
    talk = Talk()
    for who in (0, 1, 0, 1):
        for _ in range(3):
            talk.speak(who, 1.0)
            for _ in range(25):
                talk.clusters.learn({7: 0.1 if who == 0 else -0.1, 8: -0.1 if who == 0 else 0.1})
    talk.speak(0, 2.0)
    owners, stranger = talk.clusters.owners([7, 8], talk.clusters.probabilities)
    assert owners[7] > 0.9 and owners[8] < 0.02 and stranger < 0.1
    assert talk.clusters.known_owners(talk.clusters.probabilities)[7] > 0.9
    # Out of view, it is still their voice.
    owners, _ = talk.clusters.owners([8], talk.clusters.probabilities)
    assert owners[7] > 0.9
    talk.clusters.merge(7, 5)
    assert talk.clusters.owners([5, 8], talk.clusters.probabilities)[0][5] > 0.9


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
    found, nobody = talk.clusters.matches([7, 8, 9])
    assert found[7] > 1 and found[8] < -0.5, "each has a voice of their own"
    assert abs(found[9]) < 0.3 and abs(nobody) < 1, "a person without a known voice may speak too"
    assert talk.clusters.matches([8])[1] > 0.3, "people out of view keep their voices"
    talk.pause(0.2)
    assert talk.clusters.matches([7, 8, 9]) == ({}, 0.0)


def test_an_unknown_voice_is_evidence_against_all_owners_of_voices() -> None:
    talk = two_owners()
    talk.speak(4, 0.8)
    found, nobody = talk.clusters.matches([7, 8])
    assert max(found.values()) < -0.5 < nobody


def test_a_new_voice_is_a_strangers_where_all_in_view_have_one_already() -> None:
    talk = two_owners()
    talk.speak(4, 2.0)
    _, stranger = talk.clusters.owners([7, 8], talk.clusters.probabilities)
    assert stranger > 0.9
    for _ in range(50):  # a listener whose lips happen to fit for two seconds
        talk.clusters.learn({7: 0.2, 8: -0.2})
    _, stranger = talk.clusters.owners([7, 8], talk.clusters.probabilities)
    assert stranger > 0.5, "a person has one voice"


def test_four_people_who_alternate_after_pauses_have_four_voices() -> None:
    """With 0.8 s windows alone, they became one voice."""
    talk = Talk()
    for who in (0, 1, 2, 3, 2, 1, 3, 0):
        talk.speak(who, 1.6)
        talk.pause(0.4)
    assert len(talk.clusters.numbers) == 4


def test_what_was_wrong_is_unlearnt() -> None:
    talk = Talk()
    talk.speak(0, 3.0)
    for gain in (0.3, -0.3):
        for _ in range(30 * 25):
            talk.clusters.learn({1: gain, 2: -gain})
    owners, _ = talk.clusters.owners([1, 2], talk.clusters.probabilities)
    assert owners[2] > 0.9


def test_an_unknown_voice_is_no_evidence_of_who_speaks() -> None:
    owners, stranger = VoiceClusters().owners([1, 2, 3], {})
    assert set(owners.values()) == {0.25} and stranger == 0.25


def test_memory_stays_bounded() -> None:
    talk = Talk()
    for seed in range(60):
        talk.profiles[0] = Talk(seed + 10).profiles[0]
        talk.speak(0, 2.0)
    assert len(talk.clusters.seconds) <= VoiceSettings().most_voices


def test_an_enrolled_voice_is_known_by_name_before_its_person_is_seen() -> None:
    talk = Talk()
    talk.clusters.enrol("Ada", talk.profiles[2].astype(np.float32))
    talk.speak(2, 3.0)
    voice = talk.clusters.current
    assert voice is not None and talk.clusters.name(voice) == "Ada" and talk.clusters.owner(voice) is None
    talk.clusters.meet("Ada", 4)
    assert talk.clusters.owner(voice) == 4
    kept = talk.clusters.voice_of(4)
    assert kept is not None and float(kept @ talk.profiles[2]) > 0.9 and talk.clusters.voice_of(5) is None
