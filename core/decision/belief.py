"""Belief: who is speaking, added up tick by tick: the forward pass of a hidden Markov model.

Its states are nobody in view, each face alone, and each two faces at once. An average over a fixed time names short
turns late and forgets the start of long ones. Adding up is as fast as the evidence is strong, and weak evidence grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from speakerlight.core.decision.settings import BeliefSettings

Weights = npt.NDArray[np.float64]
"""[1 + F, 1 + F] upper triangle of sum 1: nobody in view at (0, 0), face i alone at (0, i), faces i and j at (i, j)."""


FORGOTTEN = 0.01
"""Who left the picture is kept in mind until the belief that it speaks is less than this."""


class Belief:
    """Follows who speaks through a stretch of speech; ``reset`` where it ends."""

    def __init__(self, settings: BeliefSettings) -> None:
        self._settings = settings
        self._likely: dict[int, float] = {}
        self._weights: Weights | None = None
        self._nobody = 1.0

    def reset(self) -> None:
        """After a silence it may be anybody."""
        self._likely, self._weights, self._nobody = {}, None, 1.0

    @property
    def nobody(self) -> float:
        """The probability in [0, 1] that nobody in view speaks."""
        return self._nobody

    def update(self, seconds: float, ids: Sequence[int], evidence: npt.NDArray[np.float64]) -> dict[int, float]:
        """Go on by ``seconds``; the probability in [0, 1] that each of ``ids`` speaks. Two may, so the sum is 0 to 2.

        ``evidence``: of each of ``ids``, the log-odds a second that it is heard. Whoever has left the picture may go on
        out of view, and is no stranger when it comes back.
        """
        s = self._settings
        gone = [i for i, likely in self._likely.items() if i not in ids and likely >= FORGOTTEN]
        everybody = [*ids, *gone]
        weights = _prior(len(ids), len(gone), s)
        if self._weights is not None:
            stays = np.exp(-s.changes_a_second * seconds)
            weights = stays * self._carried_over(self._weights, everybody) + (1 - stays) * weights
        gain = seconds * np.concatenate(([0.0], evidence, np.zeros(len(gone))))
        log_gain = gain + gain[:, None]
        weights = weights * np.exp(log_gain - log_gain.max())
        self._weights = weights = weights / weights.sum()
        each = (weights.sum(axis=0) + weights.sum(axis=1))[1:].clip(max=1.0)
        self._likely = dict(zip(everybody, each.tolist(), strict=True))
        first_gone = 1 + len(ids)
        self._nobody = float(weights[0, 0] + weights[0, first_gone:].sum() + weights[first_gone:, first_gone:].sum())
        return {i: self._likely[i] for i in ids}

    def _carried_over(self, before: Weights, ids: list[int]) -> Weights:
        """The weights so far, for ``ids``; what was believed of others is nobody's."""
        if list(self._likely) == ids:
            return before
        places = {i: k for k, i in enumerate(self._likely, start=1)}
        now = [0, *(k for k, i in enumerate(ids, start=1) if i in places)]
        then = [0, *(places[i] for i in ids if i in places)]
        either_way = before + np.triu(before, 1).T  # the faces may come in another order
        weights = np.zeros((1 + len(ids), 1 + len(ids)))
        weights[np.ix_(now, now)] = either_way[np.ix_(then, then)]
        weights = np.triu(weights)
        weights[0, 0] += 1 - weights.sum()
        return weights


@lru_cache(maxsize=64)
def _prior(seen: int, gone: int, settings: BeliefSettings) -> Weights:
    """What is believed before anything is heard of faces that are ``seen`` (first) and ``gone`` (last): not to change.

    A tick seldom has other numbers of faces than the last.
    """
    s = settings
    weights = np.zeros((1 + seen + gone, 1 + seen + gone))
    if seen > 1:
        weights[1 : 1 + seen, 1 : 1 + seen] = np.triu(np.full((seen, seen), s.two_at_once / (seen * (seen - 1) / 2)), 1)
    if seen:
        weights[0, 1 : 1 + seen] = min(s.most_at_first, (1 - s.nobody_in_view - s.two_at_once) / seen)
    weights[0, 0] = 1 - weights.sum()
    weights.flags.writeable = False
    return weights
