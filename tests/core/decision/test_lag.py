from __future__ import annotations

import numpy as np
import pytest
from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS, RoomLag
from speakerlight.core.decision.settings import LagSettings

TICK = 1 / 25


def curves(lag_ticks: float, speaker: int, rng: np.random.Generator, faces: int = 4) -> np.ndarray:
    """One face's curve peaks at ``lag_ticks`` as SyncNet's do, the others are flat and rough."""
    out = rng.normal(0, 0.03, (faces, len(LAGS)))
    out[speaker] += 0.35 * np.exp(-0.5 * ((LAGS - lag_ticks) / 1.2) ** 2)
    return out - np.median(out, axis=1, keepdims=True)


def follow(lag: RoomLag, seconds: float, begin: float, end: float | None = None, seed: int = 0) -> None:
    """People take turns of two seconds while the lag goes from ``begin`` to ``end`` ticks."""
    rng, ticks = np.random.default_rng(seed), round(seconds * 25)
    for tick, at in enumerate(np.linspace(begin, begin if end is None else end, ticks)):
        speaker = tick // 50 % 4
        lag.update([1, 2, 3, 4], curves(at, speaker, rng), speaker, TICK)


def test_before_anybody_spoke_sound_and_picture_are_taken_to_agree() -> None:
    lag = RoomLag(LagSettings())
    assert lag.ticks == 0 and lag.value().milliseconds == 0
    assert lag.value().confidence < 0.5
    weights = lag.weights([1])[0]
    assert weights.argmax() == MAX_LAG_TICKS and weights.min() > 0


@pytest.mark.parametrize("milliseconds", [-200, -80, 0, 60, 120, 200, 400])
def test_a_lag_is_found_within_ten_seconds(milliseconds: float) -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 10.0, milliseconds / 40)
    assert lag.value().milliseconds == pytest.approx(milliseconds, abs=25)
    assert lag.value().confidence > 0.8
    assert lag.ticks == pytest.approx(milliseconds / 40, abs=0.75)


def test_slow_drift_is_followed() -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 10.0, 0.0)
    follow(lag, 60.0, 0.0, 4.0)
    assert lag.value().milliseconds == pytest.approx(160, abs=40)


def test_a_few_words_of_another_lag_do_not_move_the_rooms() -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 20.0, 2.0)
    follow(lag, 0.5, -10.0)
    assert lag.value().milliseconds == pytest.approx(80, abs=25)


def listen(lag: RoomLag, seconds: float, at: float) -> None:
    """As the scorer does: whose lips fit best by the lag that is believed is taken for the speaker."""
    rng = np.random.default_rng(3)
    for tick in range(round(seconds * 25)):
        rise = curves(at, tick // 50 % 4, rng)
        lag.update([1, 2, 3, 4], rise, int((rise * lag.weights([1, 2, 3, 4])).sum(axis=1).argmax()), TICK)


@pytest.mark.parametrize("slip", [-12, -8, 6, 8, 12])
def test_a_slip_is_followed_within_four_seconds_of_speech(slip: int) -> None:
    lag = RoomLag(LagSettings())
    listen(lag, 20.0, 1.0)
    listen(lag, 4.0, 1.0 + slip)
    assert lag.ticks == pytest.approx(1.0 + slip, abs=1)
    assert LAGS[lag.weights([1, 2, 3, 4]).argmax(axis=1)] == pytest.approx(4 * [1.0 + slip], abs=1)


def test_a_tile_far_from_the_others_is_no_slip() -> None:
    lag, rng = RoomLag(LagSettings()), np.random.default_rng(4)
    for tick in range(2000):
        speaker = tick // 100 % 4
        rise = curves(-7.0 if speaker == 3 else 0.0, speaker, rng)
        lag.update([1, 2, 3, 4], rise, speaker, TICK)
        assert tick < 500 or lag.ticks == pytest.approx(0, abs=1)


def test_a_lag_set_by_hand_is_held() -> None:
    lag = RoomLag(LagSettings(), fixed_ms=-120)
    follow(lag, 10.0, 5.0)
    assert lag.ticks == -3
    assert (lag.value().milliseconds, lag.value().confidence) == (-120, 1)


@pytest.mark.parametrize(("milliseconds", "ticks"), [(-5000, -15), (-600, -15), (10, 0), (599, 15), (5000, 15)])
def test_a_lag_set_by_hand_may_lie_between_ticks_or_beyond_them(milliseconds: float, ticks: int) -> None:
    lag = RoomLag(LagSettings(), fixed_ms=milliseconds)
    assert lag.ticks == ticks
    assert np.isfinite(lag.weights([1])).all()


def test_without_speech_nothing_moves() -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 10.0, 3.0)
    before = lag.value(), lag.weights([1, 2])
    rng = np.random.default_rng(1)
    for _ in range(250):
        lag.update([1, 2, 3, 4], curves(-8.0, 0, rng), 0, 0.0)
    assert lag.value() == before[0]
    np.testing.assert_array_equal(lag.weights([1, 2]), before[1])


def test_a_face_may_have_a_lag_of_its_own_near_the_rooms() -> None:
    lag, rng = RoomLag(LagSettings()), np.random.default_rng(2)
    for tick in range(750):
        speaker = tick // 50 % 3
        lag.update([1, 2, 3], curves([0.0, 0.0, 4.0][speaker], speaker, rng, faces=3), speaker, TICK)
    assert lag.ticks == 0
    first, second, third = LAGS[lag.weights([1, 2, 3]).argmax(axis=1)].tolist()
    assert (first, second) == (0, 0) and third == pytest.approx(4, abs=1)


def test_a_stranger_is_taken_to_have_the_rooms_lag() -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 20.0, 5.0)
    weights = lag.weights([99])[0]
    assert LAGS[weights.argmax()] == pytest.approx(5, abs=1)


def test_weights_are_shares_of_belief() -> None:
    lag = RoomLag(LagSettings())
    follow(lag, 5.0, -5.0)
    weights = lag.weights([1, 7, 3])
    assert weights.shape == (3, len(LAGS)) and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert lag.weights([]).shape == (0, len(LAGS))


def test_ticks_that_were_not_scored_weigh_as_much_as_those_that_were() -> None:
    every, fourth = RoomLag(LagSettings()), RoomLag(LagSettings())
    flat = np.zeros((1, len(LAGS)))
    peak = flat + np.exp(-0.5 * ((LAGS - 3) / 1.2) ** 2) * 0.35
    for tick in range(100):
        every.update([1], peak, 0, TICK)
        if tick % 4 == 0:
            fourth.update([1], peak, 0, 4 * TICK)
    assert fourth.value().milliseconds == pytest.approx(every.value().milliseconds, abs=2)
    assert fourth.value().confidence == pytest.approx(every.value().confidence, abs=0.02)


def test_forgotten_faces_take_no_room() -> None:
    lag, peak = RoomLag(LagSettings()), np.zeros((2, len(LAGS)))
    for person in range(1000):
        lag.update([person, person + 1], peak, 0, TICK)
    assert len(vars(lag)["_faces"]) == 2
