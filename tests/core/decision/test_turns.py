"""Turns: the gate, who is named from which probability on, and names that do not flicker."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from speakerlight.core.decision.chain import Posterior
from speakerlight.core.decision.settings import Settings
from speakerlight.core.decision.turns import Turn, Turns
from speakerlight.core.snapshot import SpeakingState

S = Settings()
TICK = 0.04


def posterior(*faces: float, pairs: dict[tuple[int, int], float] | None = None) -> Posterior:
    """Faces 1, 2, … with these probabilities, compared with the voice; the rest is off-screen."""
    pairs, each = pairs or {}, dict(enumerate(faces, start=1))
    return Posterior(each, pairs, max(0.0, 1 - sum(faces) + sum(pairs.values())), dict.fromkeys(each, -0.1))


class Talk:
    def __init__(self) -> None:
        self.turns, self.time = Turns(S), 0.0

    def go_on(self, seconds: float, speech: float, what: Posterior) -> list[Turn]:
        turns = []
        for _ in range(round(seconds / TICK)):
            turns.append(self.turns.update(self.time, speech, what))
            self.time += TICK
        return turns


def test_without_speech_it_is_silence_and_every_score_is_0() -> None:
    assert Talk().go_on(0.2, 0.1, posterior(0.9, 0.1))[-1] == Turn(
        SpeakingState.SILENCE, None, frozenset(), {1: 0.0, 2: 0.0}
    )


def test_the_gate_has_two_thresholds_and_holds_over_a_short_pause() -> None:
    talk = Talk()
    between = (S.speech_on + S.speech_off) / 2
    assert talk.go_on(1, between, posterior(0.9))[-1].state is SpeakingState.SILENCE
    assert talk.go_on(0.2, 0.9, posterior(0.9))[-1].primary == 1
    assert talk.go_on(1, between, posterior(0.9))[-1].primary == 1
    pause = talk.go_on(1, 0.0, posterior(0.9))
    held = sum(turn.state is SpeakingState.SPEAKING for turn in pause) * TICK
    assert abs(held - S.hold_seconds) <= TICK
    assert pause[-1].state is SpeakingState.SILENCE


def test_speech_of_an_unknown_voice_is_undecided_then_off_screen() -> None:
    talk = Talk()
    assert talk.go_on(0.2, 0.9, posterior(0.35, 0.35))[-1].state is SpeakingState.UNDECIDED
    assert talk.go_on(S.offscreen_seconds, 0.9, posterior(0.1, 0.1))[-1].state is SpeakingState.UNDECIDED, (
        "it may be a turn's beginning"
    )
    assert talk.go_on(0.2, 0.9, posterior(0.1, 0.1))[-1].state is SpeakingState.OFFSCREEN
    assert talk.go_on(0.2, 0.9, posterior(0.35, 0.3))[-1].state is SpeakingState.OFFSCREEN, "it does not flicker"
    assert talk.go_on(0.2, 0.9, posterior(0.25, 0.25, 0.25))[-1].state is SpeakingState.UNDECIDED


def test_without_faces_in_view_it_is_off_screen() -> None:
    turns = Talk().go_on(0.4, 0.9, posterior())
    assert turns[-1] == Turn(SpeakingState.OFFSCREEN, None, frozenset(), {})
    assert sum(turn.state is SpeakingState.UNDECIDED for turn in turns) * TICK == pytest.approx(S.unseen_seconds)


def test_while_a_new_face_is_not_compared_yet_the_voice_may_be_its_own() -> None:
    new = Posterior({1: 0.2}, {}, 0.8, {1: 0.0})
    states = [turn.state for turn in Talk().go_on(S.unseen_seconds, 0.9, new)]
    assert set(states) == {SpeakingState.UNDECIDED}


def test_after_a_cut_speech_is_undecided_until_new_faces_are_confirmed() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, posterior(0.9, 0.05))
    cut = talk.go_on(S.unseen_seconds - TICK, 0.9, posterior())
    assert {turn.state for turn in cut} == {SpeakingState.UNDECIDED}
    assert talk.go_on(TICK, 0.9, Posterior({5: 0.7}, {}, 0.3))[-1].primary == 5
    assert talk.go_on(0.4, 0.9, posterior())[-1].state is SpeakingState.OFFSCREEN


def test_a_challenger_must_be_clearly_more_probable() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, posterior(0.8, 0.1))
    assert talk.go_on(1, 0.9, posterior(0.45, 0.5))[-1].primary == 1
    assert talk.go_on(1, 0.9, posterior(0.15, 0.7))[-1].primary == 1
    assert talk.go_on(1, 0.9, posterior(0.13, 0.7))[-1].primary == 2


def test_a_name_stays_for_a_least_time_unless_another_is_certain() -> None:
    talk = Talk()
    talk.go_on(0.2, 0.9, posterior(0.6, 0.3))
    assert talk.go_on(TICK, 0.9, posterior(0.1, 0.7))[-1].primary == 1
    assert talk.go_on(S.min_dwell_seconds, 0.9, posterior(0.11, 0.7))[-1].primary == 2
    assert talk.go_on(TICK, 0.9, posterior(0.97, 0.02))[-1].primary == 1


def test_a_name_is_lost_when_nobody_in_view_is_clearly_more_probable() -> None:
    own = 0.9 / (1 + S.lost_odds)
    assert own > S.lost_below
    talk = Talk()
    talk.go_on(1, 0.9, posterior(0.8))
    assert talk.go_on(0.4, 0.9, posterior(own, 0.34, 0.34))[-1].primary == 1, "it is as likely as that nobody does"
    assert talk.go_on(TICK, 0.9, posterior(own))[-1].primary is None


def test_noise_around_a_threshold_does_not_flicker() -> None:
    talk, rng, names = Talk(), np.random.default_rng(0), []
    for _ in range(250):
        p = 0.5 + 0.06 * rng.normal()
        names.append(talk.go_on(TICK, 0.9, posterior(p, 0.95 - p))[-1].primary)
    changes = sum(a != b for a, b in pairwise(names))
    assert changes <= 20, "the raw argmax changes about 100 times"


def test_a_second_speaker_is_marked_only_where_the_pair_is_probable() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, posterior(0.9, 0.05))
    switching = talk.go_on(TICK, 0.9, posterior(0.65, 0.35, pairs={(1, 2): 0.02}))[-1]
    assert switching.speaking == {1}, "either, not both"
    both = posterior(0.9, 0.8, pairs={(1, 2): 0.7})
    assert talk.go_on(TICK, 0.9, both)[-1].speaking == {1, 2}
    fading = posterior(0.95, 0.45, pairs={(1, 2): 0.4})
    assert talk.go_on(TICK, 0.9, fading)[-1].speaking == {1, 2}
    assert talk.go_on(TICK, 0.9, posterior(0.9, 0.2, pairs={(1, 2): 0.1}))[-1].speaking == {1}


def test_of_two_at_once_the_first_stays_primary() -> None:
    talk = Talk()
    talk.go_on(1, 0.9, posterior(0.9, 0.05))
    assert talk.go_on(1, 0.9, posterior(0.7, 0.95, pairs={(1, 2): 0.65}))[-1].primary == 1
    assert talk.go_on(1, 0.9, posterior(0.1, 0.9, pairs={(1, 2): 0.05}))[-1].primary == 2


def test_the_state_speaks_of_a_primary_and_of_nothing_else() -> None:
    rng, talk = np.random.default_rng(3), Talk()
    for _ in range(400):
        p = rng.dirichlet([0.4, 0.4, 0.4])
        turn = talk.go_on(TICK, float(rng.random()), posterior(*p[:2].tolist()))[-1]
        assert (turn.primary is not None) == (turn.state is SpeakingState.SPEAKING)
        assert not turn.speaking or turn.primary in turn.speaking


def test_a_best_guess_is_named_but_not_marked_as_speaking() -> None:
    talk = Talk()
    guess = talk.go_on(1, 0.9, posterior(0.6, 0.25))[-1]
    assert guess.primary == 1 and guess.speaking == frozenset()
    assert talk.go_on(TICK, 0.9, posterior(0.85, 0.1))[-1].speaking == {1}
    assert talk.go_on(1, 0.9, posterior(0.65, 0.25))[-1].speaking == {1}, "it does not flicker"
    assert talk.go_on(1, 0.9, posterior(0.55, 0.25))[-1].speaking == frozenset()
