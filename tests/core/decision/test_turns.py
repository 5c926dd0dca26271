from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from speakerlight.core.decision.settings import BeliefSettings, TurnSettings
from speakerlight.core.decision.turns import Turn, Turns
from speakerlight.core.snapshot import SpeakingState

TICK = 0.04
S = TurnSettings()
SURE, NOT = 20.0, -20.0
"""Evidence, in log-odds a second."""


class Talk:
    """Turns, tick by tick."""

    def __init__(self) -> None:
        self.turns = Turns(S, BeliefSettings())
        self.tick = 0

    def step(self, speech: float, people: Mapping[int, float], ticks: int = 1) -> Turn:
        turn = self.turns.update(self.tick * TICK, speech, people)
        self.tick += ticks
        return turn

    def go_on(self, seconds: float, speech: float, people: Mapping[int, float]) -> list[Turn]:
        return [self.step(speech, people) for _ in range(round(seconds / TICK))]


def primaries(turns: list[Turn]) -> list[int | None]:
    return [turn.primary for turn in turns]


def changes(turns: list[Turn]) -> int:
    who = primaries(turns)
    return sum(a != b for a, b in pairwise(who))


def test_in_silence_nobody_speaks_whatever_the_lips_do() -> None:
    for turn in Talk().go_on(3, 0.1, {1: SURE, 2: SURE}):
        assert turn == Turn(SpeakingState.SILENCE, None, frozenset(), {1: 0.0, 2: 0.0})


def test_a_turn_begins_soon() -> None:
    talk = Talk()
    talk.go_on(1, 0.0, {1: NOT})
    turns = talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    begun = primaries(turns).index(1)
    assert begun * TICK <= 0.2
    assert all((turn.state, turn.primary, turn.speaking) == (SpeakingState.SPEAKING, 1, {1}) for turn in turns[begun:])


def test_where_there_is_no_evidence_nobody_is_named() -> None:
    for people in ({1: 0.0}, {1: 0.0, 2: 0.0}, {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}):
        assert Talk().step(0.9, people).primary is None


def test_a_click_is_no_turn() -> None:
    talk = Talk()
    for k in range(100):
        turn = talk.step(0.9 if k % 50 == 49 else 0.0, {1: NOT, 2: NOT})
        assert turn.primary is None


def test_speech_must_be_clear_to_begin_and_may_be_less_so_to_go_on() -> None:
    between = (S.speech_on + S.speech_off) / 2
    talk = Talk()
    assert all(turn.state is SpeakingState.SILENCE for turn in talk.go_on(1, between, {1: SURE}))
    talk.go_on(1, 0.9, {1: SURE})
    assert all(turn.primary == 1 for turn in talk.go_on(2, between, {1: SURE}))


def test_a_short_pause_is_no_silence_and_a_long_one_is() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE})
    pause = talk.go_on(S.hold_seconds + 1, 0.0, {1: NOT})
    held = sum(turn.state is SpeakingState.SPEAKING for turn in pause) * TICK
    assert held == pytest.approx(S.hold_seconds, abs=TICK)
    assert (pause[-1].state, pause[-1].primary) == (SpeakingState.SILENCE, None)


def test_another_takes_over_after_a_moment_and_once() -> None:
    talk = Talk()
    talk.go_on(5, 0.9, {1: SURE, 2: NOT})
    turns = talk.go_on(1, 0.9, {1: NOT, 2: SURE})
    taken = primaries(turns).index(2)
    assert 0 < taken * TICK <= 0.3
    assert set(primaries(turns[:taken])) == {1} and set(primaries(turns[taken:])) == {2}


@pytest.mark.parametrize("ticks", [1, 2])
def test_noise_that_alternates_does_not_flicker(ticks: int) -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    turns = []
    for k in range(200):
        first = k // ticks % 2 == 0
        turns.append(talk.step(0.9, {1: 5.0 if first else -5.0, 2: -5.0 if first else 5.0}))
    assert changes(turns) == 0


def test_rough_evidence_does_not_flicker() -> None:
    rng = np.random.default_rng(0)
    talk = Talk()
    turns = [talk.step(0.9, {1: rng.normal(5, 8), 2: rng.normal(-5, 8)}) for _ in range(500)]
    assert changes(turns[10:]) == 0


def test_speech_that_fits_nobody_comes_from_out_of_view() -> None:
    talk = Talk()
    turns = talk.go_on(3, 0.9, {1: -3.0, 2: -3.0})
    states = [turn.state for turn in turns]
    assert states[0] is SpeakingState.UNDECIDED and states[-1] is SpeakingState.OFFSCREEN
    assert 0.2 <= states.index(SpeakingState.OFFSCREEN) * TICK <= 1.5
    assert {turn.primary for turn in turns} == {None}


def test_an_empty_picture_with_speech_is_off_screen() -> None:
    assert Talk().go_on(1, 0.9, {})[-1] == Turn(SpeakingState.OFFSCREEN, None, frozenset(), {})


def test_somebody_in_view_who_takes_over_from_off_screen_is_named() -> None:
    talk = Talk()
    talk.go_on(3, 0.9, {1: NOT})
    turns = talk.go_on(2, 0.9, {1: SURE})
    assert turns[-1].primary == 1
    assert primaries(turns).index(1) * TICK <= 0.7
    assert {turn.state for turn in turns} == {SpeakingState.OFFSCREEN, SpeakingState.SPEAKING}


def test_a_voice_from_out_of_view_ends_with_silence() -> None:
    talk = Talk()
    talk.go_on(3, 0.9, {1: NOT})
    assert talk.go_on(1, 0.0, {1: NOT})[-1].state is SpeakingState.SILENCE
    assert talk.step(0.9, {1: SURE}).state is not SpeakingState.OFFSCREEN


def test_two_may_speak_at_once_and_the_first_stays_primary() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT, 3: NOT})
    both = talk.go_on(2, 0.9, {1: SURE, 2: SURE + 1, 3: NOT})
    assert {turn.primary for turn in both} == {1}
    assert both[-1].speaking == {1, 2} and min(both[-1].likely[1], both[-1].likely[2]) > 0.9


def test_who_is_not_likely_in_earnest_does_not_speak_beside_the_primary() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    assert talk.go_on(1, 0.9, {1: SURE, 2: 0.0})[-1].speaking == {1}


def test_the_primary_is_always_one_of_those_who_speak() -> None:
    rng = np.random.default_rng(1)
    talk = Talk()
    for _ in range(2000):
        people = {int(i): float(rng.normal(0, 30)) for i in rng.choice(6, rng.integers(0, 5), replace=False)}
        turn = talk.step(float(rng.uniform() ** 0.5), people)
        assert (turn.primary is not None) == (turn.state is SpeakingState.SPEAKING) == bool(turn.speaking)
        assert turn.primary is None or turn.primary in turn.speaking
        assert set(turn.likely) == set(people) and all(0 <= p <= 1 + 1e-9 for p in turn.likely.values())


def test_a_primary_who_left_the_picture_is_let_go_at_once() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    turns = talk.go_on(2, 0.9, {2: NOT})
    assert set(primaries(turns)) == {None}
    assert turns[-1].state is SpeakingState.OFFSCREEN


def test_when_the_primary_left_another_may_take_over() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    assert talk.go_on(0.6, 0.9, {2: SURE})[-1].primary == 2


def test_after_silence_everybody_begins_alike() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, {1: SURE, 2: NOT})
    talk.go_on(1, 0.0, {1: NOT, 2: NOT})
    turns = talk.go_on(0.5, 0.9, {1: 3.0, 2: 9.0})
    assert turns[-1].primary == 2 and 1 not in primaries(turns)


def test_a_turn_takes_as_long_when_load_is_shed() -> None:
    often, seldom = Talk(), Talk()
    until = {}
    for talk, ticks in ((often, 1), (seldom, 4)):
        while talk.step(0.9, {1: 4.0, 2: -4.0}, ticks).likely[1] < 0.9:
            pass
        until[ticks] = talk.tick * TICK
    assert until[4] == pytest.approx(until[1], abs=2 * 4 * TICK)
