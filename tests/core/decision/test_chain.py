"""The chain: equal to summing over all paths, a true distribution at every tick, and what it keeps of faces."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.chain import (
    AWAY_TICKS,
    MAX_PRIOR,
    Chain,
    ChainConstants,
    Posterior,
    VoiceCue,
    speech_weight,
)
from speakerlight.core.decision.lag import LAGS, RoomLag

ALONE = ChainConstants(nobody=0.7, pair=0.0, change=0.1, fade=0.3, join=0.0, leave=0.0, pair_gain=0.5, pair_bias=-0.2)
TWO = replace(ALONE, pair=0.05, join=0.02, leave=0.03, change=0.01)
CENTRE = len(LAGS) // 2


def gains(*faces: float) -> npt.NDArray[np.float64]:
    """Each face's log-odds at lag 0; nothing speaks for or against it at others."""
    out = np.zeros((len(faces), len(LAGS)))
    out[:, CENTRE] = faces
    return out


def test_a_pause_weighs_nothing() -> None:
    assert [speech_weight(0.2), speech_weight(0.8)] == [0.0, 0.8]
    assert speech_weight(np.array([0.2, 0.8], np.float32)).tolist() == pytest.approx([0.0, 0.8])


def follow(
    chain: Chain, ticks: int, ids: list[int], evidence: npt.NDArray[np.float64], speech: float = 1.0
) -> Posterior:
    for _ in range(ticks):
        posterior = chain.update(ids, evidence, speech)
    return posterior


def test_it_equals_the_sum_over_all_paths() -> None:
    rng, lag = np.random.default_rng(0), RoomLag(fixed_ticks=0.0)
    evidence, speech = rng.normal(0, 1.5, (3, 2, len(LAGS))), [1.0, 0.2, 0.8]
    chain = Chain(ALONE, lag)
    for tick in range(3):
        posterior = chain.update([4, 9], evidence[tick], speech[tick])

    lag_prior = lag.prior(np.zeros((2, len(LAGS))))
    share = min(MAX_PRIOR, 1 / (ALONE.nobody + 2))
    prior = np.concatenate([[1 - 2 * share], (share * lag_prior).ravel()])
    explained = [np.concatenate([[0.0], e.ravel()]) for e in evidence]
    total = np.zeros(len(prior))
    rates = [ALONE.fade if s < 0.35 else ALONE.change for s in speech]
    # Before the first tick no face speaks.
    for path in product(range(len(prior)), repeat=2):
        weight, before = 1.0, 0
        for tick, state in enumerate(path):
            weight *= (1 - rates[tick]) * (before == state) + rates[tick] * prior[state]
            weight *= np.exp(explained[tick][state])
            before = state
        last = rates[2] * prior.copy()
        last[before] += 1 - rates[2]
        total += weight * last * np.exp(explained[2])
    total /= total.sum()
    faces = total[1:].reshape(2, -1).sum(axis=1)
    assert posterior.nobody == pytest.approx(total[0])
    assert [posterior.faces[4], posterior.faces[9]] == pytest.approx(faces)


def test_probabilities_stay_a_distribution_with_pairs_and_pauses() -> None:
    rng, chain = np.random.default_rng(1), Chain(TWO, RoomLag())
    for tick in range(120):
        ids = [1, 2, 3] if tick % 50 < 30 else [2, 3]
        p = chain.update(ids, rng.normal(0, 1, (len(ids), len(LAGS))), float(rng.random()), 1 + tick % 4)
        assert all(0 <= value <= 1 + 1e-9 for value in [p.nobody, *p.faces.values(), *p.pairs.values()])
        # Pairs with a face out of view are in the faces' sums but not listed.
        assert sum(p.faces.values()) - sum(p.pairs.values()) + p.nobody <= 1 + 1e-9
        if len(ids) == 3 and tick < 30:
            assert sum(p.faces.values()) - sum(p.pairs.values()) + p.nobody == pytest.approx(1)


def test_who_fits_is_found_among_others_and_at_its_own_lag() -> None:
    evidence = np.full((3, len(LAGS)), -0.1)
    evidence[1, CENTRE + 4] = 0.5
    chain = Chain(TWO, RoomLag())
    assert follow(chain, 40, [1, 2, 3], evidence).faces[2] > 0.95
    assert int(np.argmax(chain.counts[1])) == CENTRE + 4


def test_lags_that_are_forgotten_are_learnt_anew() -> None:
    lag = RoomLag()
    chain = Chain(TWO, lag)
    late = np.full((2, len(LAGS)), -0.1)
    late[1, CENTRE + 4] = 0.5
    follow(chain, 100, [1, 2], late)
    assert lag.ticks == 4
    lag.set(None)
    chain.forget_lags()
    early = late[:, ::-1]
    follow(chain, 60, [1, 2], early)
    assert lag.ticks == -4


def test_evidence_against_all_leaves_no_active_speaker() -> None:
    assert follow(Chain(TWO, RoomLag()), 40, [1, 2], np.full((2, len(LAGS)), -0.3)).nobody > 0.9


def test_two_who_both_fit_are_a_pair_and_one_is_not() -> None:
    constants = replace(TWO, pair_gain=1.0, pair_bias=-0.1)
    both = follow(Chain(constants, RoomLag()), 60, [1, 2, 3], gains(0.6, 0.6, -1.0))
    assert both.pairs[1, 2] > 0.9 and both.faces[1] > 0.9 and both.faces[2] > 0.9
    one = follow(Chain(constants, RoomLag()), 60, [1, 2, 3], gains(0.6, -0.6, -1.0))
    assert one.faces[1] > 0.9 and max(one.pairs.values()) < 0.1


def test_a_pause_fades_what_is_known_and_does_not_forget_it_at_once() -> None:
    chain = Chain(replace(TWO, fade=0.04), RoomLag())
    before = follow(chain, 40, [1, 2], gains(0.5, -0.5)).faces[1]
    short = follow(chain, 5, [1, 2], gains(0.0, 0.0), speech=0.0).faces[1]
    long = follow(chain, 100, [1, 2], gains(0.0, 0.0), speech=0.0).faces
    assert 0.6 < short < before
    assert long[1] == pytest.approx(long[2], abs=0.02)


def test_speech_at_a_faces_lag_counts_though_the_room_lag_has_a_pause() -> None:
    heard, nothing = np.zeros((2, len(LAGS))), np.zeros((2, len(LAGS)))
    heard[0, CENTRE - 7] = 1.0
    found, silent = (follow(Chain(TWO, RoomLag()), 20, [1, 2], e, speech=0.1).faces for e in (heard, nothing))
    assert found[1] > 1.5 * silent[1] and found[2] < silent[2]


def test_a_lag_that_slips_is_found_again() -> None:
    chain = Chain(TWO, RoomLag())
    at_first, later = np.full((2, len(LAGS)), -0.2), np.full((2, len(LAGS)), -0.2)
    at_first[0, CENTRE], later[0, CENTRE + 8] = 0.4, 0.4
    follow(chain, 300, [1, 2], at_first)
    after = [follow(chain, 1, [1, 2], later).faces[1] for _ in range(25)]
    assert min(after) > 0.7, "in the middle of the turn, before the name is lost"
    assert after[-1] > 0.95


def test_a_face_that_returns_keeps_its_state_and_its_lag() -> None:
    evidence = np.full((2, len(LAGS)), -0.2)
    evidence[0, CENTRE + 3] = 0.5
    chain = Chain(TWO, RoomLag())
    before = follow(chain, 60, [1, 2], evidence).faces[1]
    away = follow(chain, 10, [2], evidence[1:])
    assert away.nobody > 0.5, "whoever spoke goes on out of view"
    assert chain.update([1, 2], np.zeros((2, len(LAGS))), 1.0).faces[1] > 0.5 * before
    follow(chain, 2 * AWAY_TICKS, [2], np.zeros((1, len(LAGS))))
    chain.update([1, 2], np.zeros((2, len(LAGS))), 1.0)
    assert int(np.argmax(chain.counts[0])) == CENTRE + 3, "also long after"


def test_ids_may_come_in_any_order() -> None:
    orders = ([1, 2, 3], [3, 1, 2])
    found = []
    for order in orders:
        chain = Chain(TWO, RoomLag())
        evidence = gains(0.1, 0.4, -0.3)
        for tick in range(30):
            ids = order if tick % 2 else [1, 2, 3]
            posterior = chain.update(ids, evidence[[i - 1 for i in ids]], 0.9)
        found.append([posterior.faces[i] for i in (1, 2, 3)])
    assert found[0] == pytest.approx(found[1])


def test_every_second_tick_counts_for_two() -> None:
    every, second = Chain(TWO, RoomLag()), Chain(TWO, RoomLag())
    often = follow(every, 40, [1, 2], gains(0.2, 0.0)).faces[1]
    for _ in range(20):
        seldom = second.update([1, 2], gains(0.2, 0.0), 1.0, steps=2).faces[1]
    assert seldom == pytest.approx(often, abs=0.03)


def test_a_voice_that_changes_hands_over_to_whose_it_is() -> None:
    chain = Chain(TWO, RoomLag())
    follow(chain, 50, [1, 2, 3], gains(0.5, -0.5, -0.5))
    voice = VoiceCue(changed=0.95, prior={1: 0.1, 2: 4.0})
    after = chain.update([1, 2, 3], np.zeros((3, len(LAGS))), 1.0, voice=voice).faces
    assert after[2] > 0.6 and after[2] > after[3] > after[1]
    nobody = VoiceCue(changed=1.0, prior_nobody=50.0)
    assert chain.update([1, 2, 3], np.zeros((3, len(LAGS))), 1.0, voice=nobody).nobody > 0.8


def test_a_voice_that_has_surely_changed_leaves_a_distribution() -> None:
    """Found by the soak test: rates that summed to more than 1 made negative weights, and NaN from then on."""
    chain = Chain(TWO, RoomLag())
    follow(chain, 30, [1, 2], gains(2.0, 1.5))
    for changed in (0.999, 1.0, 1.0, 0.99, 1.0, 0.0):
        posterior = chain.update([1, 2], gains(3.0, -3.0), 1.0, steps=4, voice=VoiceCue(changed, {1: 0.01, 2: 2.0}))
        values = [posterior.nobody, *posterior.faces.values(), *posterior.pairs.values()]
        assert np.isfinite([*values, *posterior.evidence.values()]).all()
        assert min(values) >= 0 and posterior.nobody + sum(posterior.faces.values()) <= 2 + 1e-9


def test_a_single_face_of_which_nothing_is_known_is_not_expected_to_speak() -> None:
    assert follow(Chain(TWO, RoomLag()), 300, [1], gains(0.0)).faces[1] <= MAX_PRIOR + 1e-9


def test_no_face_in_view_and_the_first_face() -> None:
    chain = Chain(TWO, RoomLag())
    empty = np.zeros((0, len(LAGS)))
    alone = follow(chain, 20, [], empty)
    assert alone.nobody == pytest.approx(1) and alone.faces == {} and alone.pairs == {}
    assert 0 < chain.update([7], gains(0.0), 1.0).faces[7] < 0.1


def test_a_known_voice_separates_faces_that_lip_sync_cannot() -> None:
    chain = Chain(TWO, RoomLag())
    unknown = np.zeros((3, len(LAGS)))
    for _ in range(25):
        known = chain.update([1, 2, 3], unknown, 1.0, voice=VoiceCue(gains={2: 0.2, 3: -0.2}))
    assert known.faces[2] > 0.5 > 0.2 > known.faces[1] > known.faces[3]
    for _ in range(25):
        absent = chain.update([1, 3], unknown[:2], 1.0, voice=VoiceCue(gains={2: 0.2, 3: -0.2}, nobody_gain=0.1))
    assert absent.nobody > 0.8


def test_lips_that_fit_overrule_a_voice_assigned_to_another_person() -> None:
    chain = Chain(TWO, RoomLag())
    follow(chain, 25, [1, 2], gains(0.6, -0.6))
    for _ in range(25):
        after = chain.update([1, 2], gains(0.6, -0.6), 1.0, voice=VoiceCue(gains={1: -0.2, 2: 0.2}))
    assert after.faces[1] > 0.9


def test_beside_somebody_who_left_a_face_counts_as_alone() -> None:
    chain = Chain(replace(TWO, pair_gain=1.0), RoomLag(fixed_ticks=0.0))
    follow(chain, 40, [1, 2], gains(1.5, 1.5))
    together = chain.update([1, 2], gains(1.5, 1.5), 1.0)
    assert together.pairs[1, 2] > 0.9
    left = chain.update([1], gains(1.5), 1.0)
    assert left.faces[1] > 0.95 and left.pairs == {}
    assert left.faces[1] + left.nobody == pytest.approx(1)
