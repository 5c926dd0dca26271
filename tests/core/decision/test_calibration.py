"""Calibration: probabilities stay probabilities, and become surer without changing who is most probable."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.calibration import UNCALIBRATED, Calibration

CALIBRATED = Calibration()


def pairs(count: int, **probabilities: float) -> npt.NDArray[np.float64]:
    """``_01=0.2``: the pair of faces 0 and 1."""
    out = np.zeros((count, count))
    for name, p in probabilities.items():
        i, j = int(name[1]), int(name[2])
        out[i, j] = out[j, i] = p
    return out


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_the_sum_stays_1(count: int) -> None:
    p = np.random.default_rng(count).dirichlet(np.ones(count + 1))
    singles, both, nobody = CALIBRATED(p[:-1], np.zeros((count, count)), float(p[-1]))
    assert singles.sum() + both.sum() / 2 + nobody == pytest.approx(1)
    assert np.argsort(singles).tolist() == np.argsort(p[:-1]).tolist()


def test_a_face_that_the_posterior_only_leans_to_is_probable() -> None:
    """As on recordings: of four faces with 0.5, 0.1, 0.1 and 0.1 the first speaks in most ticks."""
    singles, _, nobody = CALIBRATED(np.array([0.5, 0.1, 0.1, 0.1]), np.zeros((4, 4)), 0.2)
    assert singles[0] > 0.8 and nobody < 0.1


def test_without_evidence_all_faces_stay_alike_and_none_probable() -> None:
    singles, _, nobody = CALIBRATED(np.full(4, 0.15), np.zeros((4, 4)), 0.4)
    assert singles == pytest.approx(singles[0]) and singles[0] < 0.2 and nobody > 0.3


def test_certainty_stays_certain() -> None:
    assert CALIBRATED(np.array([0.99, 0.0]), np.zeros((2, 2)), 0.01)[0][0] > 0.99
    assert CALIBRATED(np.array([0.01]), np.zeros((1, 1)), 0.99)[2] > 0.98


def test_two_at_once_stay_a_pair() -> None:
    singles, both, _ = CALIBRATED(np.array([0.06, 0.04]), pairs(2, _01=0.9), 0.0)
    assert both[0, 1] == both[1, 0] > 0.97 and singles.max() < 0.02


def test_uncalibrated_changes_nothing() -> None:
    given = np.array([0.5, 0.2]), pairs(2, _01=0.1), 0.2
    singles, both, nobody = UNCALIBRATED(*given)
    np.testing.assert_allclose(singles, given[0])
    np.testing.assert_allclose(both, given[1])
    assert nobody == pytest.approx(0.2)
