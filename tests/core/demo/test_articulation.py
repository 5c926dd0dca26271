from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter1d

from speakerlight.core.demo.articulation import (
    CONTROL_RATE,
    LEAD_SECONDS,
    MOUTHED,
    SPOKEN,
    Curve,
    Lips,
    chew,
    grin,
    keep_still,
    lips_at,
    smoothed,
    talk,
)

OPENING, PRESS = Lips._fields.index("opening"), Lips._fields.index("press")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_talk_lasts_as_long_as_asked_and_stays_in_range() -> None:
    speech = talk(3.0, 4.5, rng())
    assert speech.lips.shape == (3 * CONTROL_RATE, len(Lips._fields))
    assert speech.lips.min() >= 0 and speech.lips.max() <= 1
    assert speech.pitch.min() > 0.5 and speech.pitch.max() < 1.6


def test_talk_begins_and_ends_with_a_shut_mouth_and_no_audio() -> None:
    for seed in range(5):
        speech = talk(2.5, 5.0, rng(seed))
        assert speech.lips[[0, -1], OPENING].max() < 0.1
        assert speech.voicing[[0, -1]].max() < 0.05


def test_audio_fills_the_time_but_for_the_lead() -> None:
    for seed in range(5):
        received = np.flatnonzero((talk(3.0, 4.0, rng(seed)).voicing + talk(3.0, 4.0, rng(seed)).frication) > 0.05)
        assert received[0] / CONTROL_RATE < LEAD_SECONDS + 0.12
        assert received[-1] / CONTROL_RATE > 3.0 - LEAD_SECONDS - 0.12


def test_lips_that_are_pressed_are_shut_and_open_vowels_are_voiced() -> None:
    speech = talk(20.0, 4.5, rng())
    assert speech.lips[speech.lips[:, PRESS] > 0.98, OPENING].max() < 0.02
    assert speech.voicing[speech.lips[:, OPENING] > 0.7].mean() > 0.7


def test_mouthed_talk_pauses_more_than_spoken_talk() -> None:
    shut = [np.mean(talk(30.0, 4.5, rng(), phrasing).lips[:, OPENING] < 0.05) for phrasing in (SPOKEN, MOUTHED)]
    assert shut[1] > shut[0] + 0.1


def test_syllables_come_at_a_natural_rate() -> None:
    voicing = talk(30.0, 4.5, rng()).voicing
    rises = np.count_nonzero((voicing[1:] > 0.62) & (voicing[:-1] <= 0.62))
    assert 2.0 < rises / 30 < 6.0


@pytest.mark.parametrize("idle", [chew, grin, keep_still])
def test_idle_mouths_begin_and_end_at_rest(idle) -> None:  # type: ignore[no-untyped-def]
    lips: Curve = idle(3.0, rng())
    assert lips.shape == (3 * CONTROL_RATE, len(Lips._fields))
    assert np.abs(lips[[0, -1]]).max() < 0.01 and lips.max() <= 1


def test_lips_between_two_points_are_interpolated_and_held_beyond_the_ends() -> None:
    curve = np.zeros((3, len(Lips._fields)), np.float32)
    curve[1:, OPENING] = 0.5, 1.0
    assert lips_at(curve, 0.5 / CONTROL_RATE).opening == pytest.approx(0.25)
    assert lips_at(curve, -1.0).opening == 0.0 and lips_at(curve, 9.0).opening == pytest.approx(1.0)


@pytest.mark.parametrize(("beyond", "mode"), [("symmetric", "reflect"), ("edge", "nearest"), ("wrap", "wrap")])
@pytest.mark.parametrize("shape", [(40,), (500,), (500, 6)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_smoothed_curve_is_scipys(
    beyond: Literal["symmetric", "edge", "wrap"], mode: str, shape: tuple[int, ...], dtype: type[np.floating]
) -> None:
    curve: npt.NDArray[np.float64] = rng().normal(0, 1, shape).astype(dtype)
    made = smoothed(curve, 12.5, beyond)
    assert made.dtype == dtype
    assert np.allclose(made, gaussian_filter1d(curve, 12.5, axis=0, mode=mode), atol=1e-6)
