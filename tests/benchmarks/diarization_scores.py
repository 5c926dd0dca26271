"""Diarization scores of RTTM segments: DER, JER, purity and coverage, overlap kept.

Written here because pyannote.metrics brings pandas, scikit-learn and Matplotlib. On steps of 10 ms; speakers are mapped
one to one for the most common time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.assignment import best_pairs

STEP_SECONDS = 0.01

Segments = Sequence[tuple[float, float, str]]
"""Start and end in seconds, and the speaker's name."""


@dataclass(frozen=True)
class Scores:
    """Shares: of reference speech ``der`` (may exceed 1) and ``jer``; ``purity`` and ``coverage`` in [0, 1]."""

    der: float
    jer: float
    purity: float
    coverage: float


def read_rttm(path: Path) -> list[tuple[float, float, str]]:
    """The segments of a file with one recording."""
    fields = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("SPEAKER")]
    return [(float(each[3]), float(each[3]) + float(each[4]), each[7]) for each in fields]


def scores(reference: Segments, hypothesis: Segments, collar_seconds: float) -> Scores:
    """``collar_seconds`` on each side of every boundary of the reference are not judged."""
    end = max((segment[1] for segment in (*reference, *hypothesis)), default=0.0)
    steps = round(end / STEP_SECONDS) + 1
    judged = np.ones(steps, np.bool_)
    for start, stop, _ in reference:
        for edge in (start, stop):
            if collar_seconds:
                judged[_at(edge - collar_seconds) : _at(edge + collar_seconds)] = False
    truth, found = _grid(reference, steps)[:, judged], _grid(hypothesis, steps)[:, judged]
    common = truth.astype(np.float64) @ found.T.astype(np.float64)
    pairs = best_pairs(common) if common.size else []
    right = sum(common[r, h] for r, h in pairs)
    count_truth, count_found = truth.sum(axis=0), found.sum(axis=0)
    total = max(int(count_truth.sum()), 1)
    wrong = np.maximum(count_truth, count_found).sum() - right
    mapped = dict(pairs)
    jaccard = [_jaccard(truth[r], found[mapped[r]] if r in mapped else None) for r in range(len(truth))]
    purity = common.max(axis=0).sum() / max(float(common.sum()), 1.0) if common.size else 0.0
    coverage = common.max(axis=1).sum() / max(float(common.sum()), 1.0) if common.size else 0.0
    return Scores(float(wrong / total), float(np.mean(jaccard)) if jaccard else 0.0, float(purity), float(coverage))


def _jaccard(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_] | None) -> float:
    if found is None:
        return 1.0
    return 1.0 - float((truth & found).sum()) / max(int((truth | found).sum()), 1)


def _grid(segments: Segments, steps: int) -> npt.NDArray[np.bool_]:
    """Who speaks when, speakers × steps."""
    rows: Mapping[str, int] = {name: row for row, name in enumerate(sorted({name for *_, name in segments}))}
    grid = np.zeros((len(rows), steps), np.bool_)
    for start, stop, name in segments:
        grid[rows[name], _at(start) : _at(stop)] = True
    return grid


def _at(seconds: float) -> int:
    return max(0, round(seconds / STEP_SECONDS))
