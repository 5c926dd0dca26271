from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.chain import NO_VOICE
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.identities import Identities, Merge
from speakerlight.core.media import Samples
from speakerlight.core.people.enrolment import Enrolled
from speakerlight.core.people.voices import HOP_TICKS
from speakerlight.core.people.who import WhoIsWho
from tests.core.people.talk import WINDOWS, Talk

HOP_SAMPLES = HOP_TICKS * 640


class Voices:
    """The voice of the person whose number the samples are."""

    def __init__(self) -> None:
        talk = Talk()
        self.windows = [
            np.array([talk.embedding(voice, hops) for hops in range(1, WINDOWS + 1)]) for voice in talk.voices
        ]
        self.hops: deque[npt.NDArray[np.float32]] = deque()

    def push(self, samples: Samples) -> None:
        self.hops.extend(self.windows[int(value)] for value in samples[::HOP_SAMPLES])

    def take(self) -> npt.NDArray[np.float32] | None:
        return self.hops.popleft() if self.hops else None


class Session:
    def __init__(self) -> None:
        self.who = WhoIsWho(Voices())
        self.tick = 0
        self.changed = 0.0

    def speak(self, person: int, seconds: float, in_view: Mapping[int, float]) -> None:
        """``person`` speaks; ``in_view``: what lip sync tells of those in view, log-odds a tick."""
        ticks = round(seconds * 25)
        self.who.push_audio(np.full(ticks * 640, person, np.float32))
        for _ in range(ticks):
            self.cue = self.who.cue(self.tick - 5, list(in_view), lambda _: 1.0)
            self.changed = max(self.cue.changed, self.changed)
            self.who.learn(in_view, 0.0)
            self.tick += 1


def identities(tick: int, persons: Mapping[int, int], *merges: Merge) -> FrameTracks:
    return FrameTracks(tick, tick / 25, (), (), False, Identities(persons, merges))


def test_identities_are_those_of_the_tick() -> None:
    who = WhoIsWho()
    who.push_tracks([identities(0, {5: 1}), identities(1, {5: 1}), identities(2, {7: 2})])
    assert [dict(who.identities(tick).persons) for tick in (0, 1, 2, 3)] == [{5: 1}, {5: 1}, {7: 2}, {7: 2}]


def test_a_merge_at_a_tick_that_is_not_scored_is_not_lost() -> None:
    who = WhoIsWho()
    who.push_tracks([identities(0, {1: 4}), identities(1, {1: 2}, Merge(4, 2)), identities(2, {1: 2})])
    assert who.identities(0).merges == ()
    assert who.identities(2).merges == (Merge(4, 2),)
    assert who.identities(3).merges == ()


def test_without_voices_there_is_no_prior() -> None:
    who = WhoIsWho()
    who.push_audio(np.zeros(16000, np.float32))
    assert who.cue(20, [1, 2], lambda _: 1.0) is NO_VOICE and who.offscreen([1]) is None


def test_a_known_voice_is_evidence_for_its_person() -> None:
    session = Session()
    for person in (0, 1, 0, 1):
        session.speak(person, 4.0, {1: 0.2 - 0.4 * person, 2: 0.4 * person - 0.2})
    session.speak(0, 3.0, {1: 0.0, 2: 0.0})
    gains = session.cue.gains
    assert gains[1] > 0 > gains[2] and gains[1] > session.cue.nobody_gain + 0.1
    assert session.who.offscreen([1, 2]) is None


def test_a_known_voice_of_a_person_out_of_view_is_theirs() -> None:
    session = Session()
    for person in (0, 1, 0, 1):
        session.speak(person, 4.0, {1: 0.2 - 0.4 * person, 2: 0.4 * person - 0.2})
    session.speak(0, 0.4, {2: -0.2})
    assert session.who.offscreen([2]) is None, "not before the voice since then is known to be theirs"
    session.speak(0, 2.6, {2: -0.2})
    assert session.cue.nobody_gain > 0 > session.cue.gains[2]
    assert session.who.offscreen([2]) == 1


@pytest.mark.parametrize("next_speaker", [0, 1])
def test_a_change_of_voice_is_reported_as_one(next_speaker: int) -> None:
    session = Session()
    for person in (0, 1, 0):
        session.speak(person, 4.0, {1: 0.2 - 0.4 * person, 2: 0.4 * person - 0.2})
    session.changed = 0.0
    session.speak(next_speaker, 1.0, {1: 0.0, 2: 0.0})
    assert (session.changed > 0.3) == (next_speaker == 1)


def test_a_speaker_who_comes_into_view_is_a_change() -> None:
    session = Session()
    for person in (0, 1, 0):
        session.speak(person, 4.0, {1: 0.2 - 0.4 * person, 2: 0.4 * person - 0.2})
    session.speak(0, 2.0, {2: -0.2})
    session.changed = 0.0
    session.speak(0, 0.04, {1: 0.0, 2: 0.0})
    assert session.changed > 0.5


def test_a_voice_without_a_person_is_numbered_and_may_become_one() -> None:
    session = Session()
    session.speak(0, 3.0, {1: -0.2})
    assert session.who.offscreen([1]) == -1
    assert dict(session.who.identities(session.tick).names) == {-1: "voice 1"}
    session.speak(0, 4.0, {1: -0.2, 2: 0.3})
    now = session.who.identities(session.tick)
    assert now.merges == (Merge(-1, 2),) and dict(now.names) == {}


def test_a_reset_forgets_whose_voice_it_is_from_its_tick_on() -> None:
    session = Session()
    for person in (0, 1, 0, 1):
        session.speak(person, 4.0, {1: 0.2 - 0.4 * person, 2: 0.4 * person - 0.2})
    reset = session.tick + 10
    session.who.push_tracks(
        [
            FrameTracks(tick, tick / 25, (), (), identities=Identities(resets=int(tick >= reset)))
            for tick in (session.tick, reset)
        ]
    )
    session.who.identities(reset - 1)
    assert session.who.voice_of(1) is not None
    session.who.identities(reset)
    assert session.who.voice_of(1) is None and session.who.voice_of(2) is None
    session.speak(0, 3.0, {3: -0.2})
    assert session.who.offscreen([3]) == -3, "a new voice, with a number that was not used before"
    session.who.push_tracks([FrameTracks(reset + 1, 0.0, (), ())])
    session.who.identities(reset + 1)
    assert session.who.offscreen([3]) == -3, "a tick without a frame is no reset"


def test_an_enrolled_voice_outlasts_a_reset() -> None:
    who = WhoIsWho(known=[Enrolled("Ada", np.zeros((0, 128), np.float32), Voices().windows[0][4])])
    for resets in (0, 1):
        names = {5 + resets: "Ada"}
        who.push_tracks([FrameTracks(resets, 0.0, (), (), identities=Identities(names=names, resets=resets))])
        who.identities(resets)
        assert who.voice_of(5 + resets) is not None and who.voice_of(6 - resets) is None
