from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.diarization_scores import read_rttm, scores

TRUTH = [(0.0, 4.0, "a"), (4.0, 8.0, "b"), (8.0, 10.0, "a")]


def test_other_names_are_right() -> None:
    s = scores(TRUTH, [(start, end, {"a": "x", "b": "y"}[name]) for start, end, name in TRUTH], 0.0)
    assert (s.der, s.jer, s.purity, s.coverage) == (0.0, 0.0, 1.0, 1.0)


def test_misses_false_alarms_and_confusions_count() -> None:
    assert scores(TRUTH, [], 0.0).der == pytest.approx(1.0, abs=1e-3)
    assert scores(TRUTH, [*TRUTH, (10.0, 11.0, "a")], 0.0).der == pytest.approx(0.1, abs=2e-3)
    assert scores(TRUTH, [*TRUTH[:2], (8.0, 10.0, "b")], 0.0).der == pytest.approx(0.2, abs=2e-3)
    assert scores(TRUTH, TRUTH[:2], 0.0).der == pytest.approx(0.2, abs=2e-3)


def test_one_speaker_for_all_covers_but_is_impure() -> None:
    s = scores(TRUTH, [(0.0, 10.0, "x")], 0.0)
    assert s.coverage == 1.0 and s.purity == pytest.approx(0.6, abs=1e-2) and s.der == pytest.approx(0.4, abs=1e-2)


def test_overlap_is_kept() -> None:
    both = [(0.0, 2.0, "a"), (0.0, 2.0, "b")]
    assert scores(both, [(0.0, 2.0, "x")], 0.0).der == pytest.approx(0.5, abs=1e-2)


def test_the_collar_is_not_judged() -> None:
    late = [(0.2, 4.2, "a"), (4.2, 8.2, "b"), (8.2, 10.2, "a")]
    assert scores(TRUTH, late, 0.0).der > 0.05 and scores(TRUTH, late, 0.25).der == 0.0


def test_rttm_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_text("SPEAKER g 1 0.500 2.000 <NA> <NA> p1 <NA> <NA>\n;; a comment\n")
    assert read_rttm(path) == [(0.5, 2.5, "p1")]
