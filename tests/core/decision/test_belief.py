from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from speakerlight.core.decision.belief import FORGOTTEN, Belief
from speakerlight.core.decision.settings import BeliefSettings

S = BeliefSettings()
TICK = 0.04
FOR, AGAINST = 20.0, -5.0


def after(ticks: int, evidence: Sequence[float], belief: Belief | None = None, seconds: float = TICK) -> list[float]:
    belief = belief or Belief(S)
    ids = range(1, len(evidence) + 1)
    return [list(belief.update(seconds, ids, np.array(evidence, float)).values()) for _ in range(ticks)][-1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 25])
def test_at_first_all_are_as_likely_and_one_is_no_likelier_than_one_of_three(count: int) -> None:
    belief = Belief(S)
    first = after(1, [0.0] * count, belief)
    assert first == pytest.approx([first[0]] * count)
    assert first[0] <= S.most_at_first + S.two_at_once
    single = first[0] - (S.two_at_once * 2 / count if count > 1 else 0)
    assert belief.nobody == pytest.approx(1 - count * single - S.two_at_once * (count > 1))
    assert belief.nobody >= S.nobody_in_view - 1e-9


def test_evidence_adds_up_however_often_it_is_told() -> None:
    often, seldom = after(20, [3.0, -3.0, -3.0]), after(5, [3.0, -3.0, -3.0], seconds=4 * TICK)
    assert often == pytest.approx(seldom, abs=0.03)
    assert after(5, [3.0, -3.0, -3.0])[0] < often[0]


def test_as_bayes_has_it_for_one_face() -> None:
    """By hand: odds of the prior, times what a tick of evidence adds."""
    odds = S.most_at_first / (1 - S.most_at_first) * np.exp(FOR * TICK)
    assert after(1, [FOR]) == pytest.approx([odds / (1 + odds)])


def test_another_must_make_up_for_what_was_believed() -> None:
    belief = Belief(S)
    after(50, [FOR, AGAINST, AGAINST], belief)
    ticks = 0
    while after(1, [AGAINST, FOR, AGAINST], belief)[1] < 0.5:
        ticks += 1
    assert 2 <= ticks <= 12


def test_a_turn_long_believed_ends_as_soon_as_a_short_one() -> None:
    """Who may speak next is never ruled out, however long somebody has spoken."""

    def ticks_to_change(spoken_ticks: int) -> int:
        belief = Belief(S)
        after(spoken_ticks, [FOR, AGAINST], belief)
        return next(k for k in range(100) if after(1, [AGAINST, FOR], belief)[1] > 0.5)

    assert ticks_to_change(5000) <= ticks_to_change(50) + 1


def test_two_who_both_fit_both_speak_and_else_only_one() -> None:
    both = after(50, [FOR, AGAINST, FOR])
    assert min(both[0], both[2]) > 0.9 and both[1] < 0.05
    assert sorted(after(50, [FOR, AGAINST, AGAINST]))[1] < 0.05


def test_where_nobody_fits_nobody_in_view_speaks() -> None:
    belief = Belief(S)
    after(100, [AGAINST, AGAINST, AGAINST], belief)
    assert belief.nobody > 0.9


def test_who_leaves_goes_on_out_of_view_and_the_others_are_no_likelier_for_it() -> None:
    belief = Belief(S)
    belief.update(1.0, [7, 8, 9], np.array([FOR, AGAINST, AGAINST]))
    left = belief.update(TICK, [8, 9], np.zeros(2))
    assert max(left.values()) < 0.1 and belief.nobody > 0.8


def test_who_comes_back_is_no_stranger() -> None:
    belief, told = Belief(S), np.array([FOR, AGAINST])
    belief.update(1.0, [7, 8], told)
    for _ in range(15):
        belief.update(TICK, [8], told[1:])
    assert belief.update(TICK, [7, 8], np.zeros(2))[7] > 0.5


def test_who_stays_away_is_forgotten_and_what_is_remembered_is_bounded() -> None:
    belief = Belief(S)
    for i in range(1000):
        belief.update(TICK, [i, i + 1], np.array([FOR, AGAINST]))
    assert len(belief._likely) < 2 / FORGOTTEN


def test_faces_keep_their_belief_in_whatever_order_they_come() -> None:
    one, other = Belief(S), Belief(S)
    evidence = {7: FOR, 8: AGAINST, 9: FOR / 2}
    for order in ([7, 8, 9], [9, 7, 8], [8, 9, 7]):
        usual = one.update(TICK, list(evidence), np.array(list(evidence.values())))
        changed = other.update(TICK, order, np.array([evidence[i] for i in order]))
        assert list(changed) == order and changed == pytest.approx(usual)


def test_after_a_reset_everybody_begins_alike() -> None:
    belief = Belief(S)
    after(50, [FOR, AGAINST], belief)
    belief.reset()
    assert after(1, [0.0, 0.0], belief) == pytest.approx(after(1, [0.0, 0.0]))


def test_an_empty_picture_and_extreme_evidence_are_survived() -> None:
    belief = Belief(S)
    assert after(3, [], belief) == [] and belief.nobody == 1
    for evidence in ([1e4, -1e4], [-1e4, -1e4], [1e4, 1e4], [0.0, 0.0]):
        likely = after(10, evidence, belief)
        assert np.isfinite(likely).all() and min(likely) >= 0 and max(likely) <= 1 + 1e-9
    assert min(after(20, [0.0, 40.0], belief)[1:]) > 0.5
