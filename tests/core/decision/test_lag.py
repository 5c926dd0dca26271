"""The lag of the room and of each face: found, refined, set by hand, found again after a slip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS, RoomLag

COUNT = len(LAGS)


def explained(faces: int, speaker: int, lag: int) -> npt.NDArray[np.float64]:
    """A tick at which ``speaker`` explains the audio, mostly at ``lag``."""
    out = np.full((faces, COUNT), 0.1 / (faces * COUNT))
    out[speaker, lag + MAX_LAG_TICKS] += 0.9
    return out


def learn(
    room: RoomLag, counts: npt.NDArray[np.float64], ticks: int, speaker: int, lag: int
) -> npt.NDArray[np.float64]:
    for _ in range(ticks):
        counts = room.learnt(counts, explained(len(counts), speaker, lag), 1.0, 1)
    return counts


def test_at_first_the_lag_is_expected_around_none_and_little_is_known() -> None:
    room = RoomLag()
    assert room.ticks == 0 and room.value().milliseconds == pytest.approx(0, abs=1e-6)
    assert room.value().confidence < 0.7
    prior = room.prior(np.zeros((2, COUNT)))
    np.testing.assert_allclose(prior.sum(axis=1), 1)
    assert prior[0, 0] > 1e-4, "no lag is ruled out"


@pytest.mark.parametrize("lag", [-10, 0, 3, 12])
def test_the_room_lag_is_found_within_two_seconds(lag: int) -> None:
    room = RoomLag()
    learn(room, np.zeros((3, COUNT)), 50, 1, lag)
    assert room.ticks == lag
    assert room.value().milliseconds == pytest.approx(40 * lag, abs=10)
    assert room.value().confidence > 0.6


def test_a_face_that_has_not_spoken_is_expected_at_the_rooms_lag() -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((2, COUNT)), 100, 0, 6)
    prior = room.prior(counts)
    assert int(np.argmax(prior[1])) == 6 + MAX_LAG_TICKS
    assert prior[0].max() > prior[1].max(), "of the face itself more is known"


def test_each_face_keeps_a_lag_of_its_own() -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((2, COUNT)), 75, 0, 0)
    counts = learn(room, counts, 75, 1, 6)
    assert np.argmax(room.prior(counts), axis=1).tolist() == [MAX_LAG_TICKS, 6 + MAX_LAG_TICKS]


def test_a_slip_is_followed_within_some_seconds() -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((1, COUNT)), 1500, 0, 0)
    learn(room, counts, 325, 0, 8)
    assert room.ticks == 8


@pytest.mark.parametrize("slip", [8, -5])
def test_a_slip_at_one_face_moves_the_lags_of_all_within_two_seconds(slip: int) -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((2, COUNT)), 200, 0, 0)
    counts = learn(room, counts, 200, 1, 3)
    counts = learn(room, counts, 40, 0, slip)
    assert np.argmax(room.prior(counts), axis=1).tolist() == [slip + MAX_LAG_TICKS, 3 + slip + MAX_LAG_TICKS]
    counts = learn(room, counts, 50, 1, 3 + slip)
    assert int(np.argmax(room.prior(counts)[0])) == slip + MAX_LAG_TICKS, "one slip counts once"


def test_a_new_face_with_a_lag_of_its_own_is_no_slip() -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((2, COUNT)), 200, 0, 0)
    counts = learn(room, counts, 60, 1, 6)
    assert int(np.argmax(room.prior(counts)[0])) == MAX_LAG_TICKS


def test_a_lag_set_by_hand_stays() -> None:
    room = RoomLag(fixed_ticks=-3.0)
    counts = learn(room, np.zeros((1, COUNT)), 300, 0, 5)
    assert room.ticks == -3 and room.value().milliseconds == pytest.approx(-120) and room.value().confidence == 1
    assert int(np.argmax(room.prior(counts)[0])) == MAX_LAG_TICKS - 3


def test_a_lag_set_while_it_is_estimated_counts_at_once_and_can_be_estimated_again() -> None:
    room = RoomLag()
    counts = learn(room, np.zeros((1, COUNT)), 100, 0, 5)
    room.set(-3.0)
    assert room.ticks == -3 and int(np.argmax(room.prior(counts)[0])) == MAX_LAG_TICKS - 3
    room.set(None)
    assert room.ticks == 0
    learn(room, counts, 50, 0, 5)
    assert room.ticks == 5
