"""The emission's features: running means that are right from the first tick, and what is unknown counts for nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.emission import FAST_TICKS, FEATURES, MAX_GAIN, EmissionFeatures, EmissionWeights
from speakerlight.core.decision.lag import LAGS

COUNT = len(LAGS)
ALL = np.ones((1, COUNT), np.bool_)
STILL, FRESH = np.zeros(1, np.float32), np.ones(1, np.float32)
HEARD = np.ones(COUNT, np.float32)


def made(scale: float = 1.0, centre: float = 0.0) -> EmissionFeatures:
    return EmissionFeatures(scale, centre)


def curve(peak: float, base: float = 0.2) -> npt.NDArray[np.float32]:
    out = np.full((1, COUNT), base, np.float32)
    out[0, COUNT // 2] = peak
    return out


def test_the_fast_mean_is_the_exponential_mean() -> None:
    features, values = made(), [0.5, 0.1, 0.9]
    for value in values:
        seen = features.update([1], curve(value), ALL, STILL, FRESH, HEARD)
    weights = np.exp(-np.arange(3)[::-1] / FAST_TICKS)
    fast = weights @ values / weights.sum()
    elsewhere = 0.2
    assert seen[0, COUNT // 2, 2] == pytest.approx(fast - (fast + (COUNT - 1) * elsewhere) / COUNT, abs=1e-5)


def test_a_level_that_all_lags_share_is_no_peak() -> None:
    features = made()
    for _ in range(10):
        seen = features.update([1], np.full((1, COUNT), 0.6, np.float32), ALL, STILL, FRESH, HEARD)
    assert np.abs(seen[0, :, :4]).max() < 1e-5
    assert seen[0, 0, 4] == pytest.approx(0.6, abs=1e-5)


def test_a_tick_that_is_unknown_changes_no_mean() -> None:
    once, twice = made(), made()
    for _ in range(20):
        once.update([1], curve(0.7), ALL, STILL, FRESH, HEARD)
        twice.update([1], curve(0.7), ALL, STILL, FRESH, HEARD)
    garbage = np.full((1, COUNT), 9.0, np.float32)
    twice.update([1], garbage, ~ALL, STILL, FRESH, HEARD)
    first, second = (f.update([1], curve(0.7), ALL, STILL, FRESH, HEARD) for f in (once, twice))
    np.testing.assert_allclose(first[..., :6], second[..., :6], atol=0.02)


def test_speech_weighs_more_than_a_pause() -> None:
    features = made()
    features.update([1], curve(0.9), ALL, STILL, FRESH, HEARD)
    seen = features.update([1], curve(0.1), ALL, STILL, FRESH, 0 * HEARD)
    assert seen[0, COUNT // 2, 1] > 0.5 * (0.9 - 0.22), "the pause hardly counts"


def test_a_pause_is_one_of_the_audio_at_each_lag() -> None:
    features, heard = made(), np.zeros(COUNT, np.float32)
    heard[: COUNT // 2] = 1.0
    features.update([1], np.full((1, COUNT), 0.9, np.float32), ALL, STILL, FRESH, HEARD)
    seen = features.update([1], np.full((1, COUNT), 0.1, np.float32), ALL, STILL, FRESH, heard)
    assert seen[0, 0, 3] < -0.15 < 0.15 < seen[0, -1, 3], "where there is speech, the mean has followed it"
    assert seen[0, :, 7].tolist() == heard.tolist()


def several(features: EmissionFeatures, ids: list[int], cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    nothing, all_fresh = np.zeros(len(ids), np.float32), np.ones(len(ids), np.float32)
    return features.update(ids, cosines, np.repeat(ALL, len(ids), 0), nothing, all_fresh, HEARD)


def test_faces_keep_their_means_in_any_order_and_new_ones_begin_empty() -> None:
    features = made()
    first, second = curve(0.9), curve(0.3)
    for _ in range(5):
        before = several(features, [1, 2], np.concatenate([first, second]))
    after = several(features, [2, 7, 1], np.concatenate([second, curve(0.2), first]))
    np.testing.assert_allclose(after[2, :, 2], before[0, :, 2], atol=0.02)
    np.testing.assert_allclose(after[0, :, 2], before[1, :, 2], atol=0.02)
    assert after[1, 0, 6] < after[0, 0, 6], "of a new face less is known"


def test_a_lag_is_compared_with_the_best_of_its_face_and_with_those_around_it() -> None:
    cosines = curve(0.8)
    cosines[0, COUNT // 2 - 5] = 0.6
    seen = made().update([1], cosines, ALL, STILL, FRESH, HEARD)
    for feature in (11, 12):
        assert seen[0, [COUNT // 2, COUNT // 2 - 5, 0], feature] == pytest.approx([0.0, -0.2, -0.6])
    peak, flank = seen[0, [COUNT // 2, COUNT // 2 + 2], 13]
    assert peak == pytest.approx(0.6) and flank == pytest.approx(-0.15)


def test_a_face_is_compared_with_the_best_of_the_others_that_are_found() -> None:
    features, mouths = made(), np.array([4.0, -2.0, 6.0], np.float32)
    cosines, known = np.concatenate([curve(0.7), curve(0.5), curve(0.9)]), np.repeat(ALL, 3, 0)
    known[2] = False
    for _ in range(2):
        seen = features.update([1, 2, 3], cosines, known, mouths, np.ones(3, np.float32), HEARD)
    at_peak, elsewhere = seen[:2, COUNT // 2], seen[:2, 0]
    assert at_peak[:, 14] == pytest.approx([0.2, -0.2]) and elsewhere[:, 14] == pytest.approx([0.0, 0.0])
    assert at_peak[:, 15] == pytest.approx([0.2, -0.2]) and elsewhere[:, 15] == pytest.approx([-0.3, -0.5])
    assert seen[:2, 0, 16] == pytest.approx([6 / 4, -6 / 4])
    assert seen[:, 0, 17] == pytest.approx(np.log(2) - 1)


def test_a_face_alone_is_compared_with_a_poor_match_and_a_still_mouth() -> None:
    seen = made().update([1], curve(0.7), ALL, STILL + 3, FRESH, HEARD)
    assert seen[0, COUNT // 2, 14:18] == pytest.approx([0.9, 0.9, 9 / 4, -1.0])


def test_frames_that_repeat_are_noticed() -> None:
    features = made()
    for tick in range(200):
        seen = features.update([1], curve(0.5), ALL, STILL, FRESH * (tick % 4 == 0), HEARD)
    assert seen[0, 0, 9] == pytest.approx(0.75, abs=0.03)


def test_gains_are_limited_and_of_every_face_and_lag() -> None:
    rng = np.random.default_rng(0)
    weights = EmissionWeights(
        rng.normal(0, 9, FEATURES).astype(np.float32),
        0.5,
        rng.normal(0, 1, (FEATURES, 4)).astype(np.float32),
        np.zeros(4, np.float32),
        rng.normal(0, 9, 4).astype(np.float32),
        1.0,
        0.0,
    )
    gains = weights.gains(rng.normal(0, 5, (3, COUNT, FEATURES)).astype(np.float32))
    assert gains.shape == (3, COUNT)
    assert np.abs(gains).max() == pytest.approx(MAX_GAIN)
