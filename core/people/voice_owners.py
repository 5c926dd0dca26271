"""Owners of voices: which person each voice belongs to, by the evidence of lip sync over the session."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speakerlight.core.people.voices import VoiceCluster, VoiceClusters


@dataclass(frozen=True)
class OwnerSettings:
    """Chosen on composed conversations of people who were not trained on."""

    evidence_scale: float = 3.0
    """Divisor of the log-odds of lip sync: successive ticks are less independent than the chain assumes."""
    most_evidence: float = 6.0
    """Maximum log-odds that a voice belongs to a person."""
    owned: float = 0.95
    """Probability above which a voice is assigned to a person permanently."""
    stranger: float = 4.0
    """Odds that a voice belongs to an unseen person, against one person in view without evidence."""
    most_match: float = 2.5
    """Maximum log-odds per hop that the voice is, or is not, a known one: lip sync can overrule it."""
    mistaken: float = 0.2
    """Probability that a person in view without a known voice is one of those out of view who have one."""
    unknown: float = 1.0
    """Weight of an unknown voice among those of people out of view, relative to 1 for one without an owner."""


_VoicesOf = Mapping[int, Sequence[tuple[float, int]]]


class VoiceOwners:
    """Whose the voices of a session are, persons by id."""

    def __init__(self, voices: VoiceClusters, settings: OwnerSettings | None = None) -> None:
        self._voices = voices
        self._settings = settings or OwnerSettings()

    def owners(self, persons: Sequence[int], voices: Mapping[int, float]) -> tuple[dict[int, float], float]:
        """Whose voice speaks, given the probabilities of ``voices``: the probability of each of ``persons`` in view and
        of each person who is known to have a voice; beside it the probability of a stranger out of view."""
        total: dict[int, float] = dict.fromkeys(persons, 0.0)
        stranger, voices_of = 0.0, self._voices_of()
        for cluster in self._voices.clusters:
            odds = self._odds(cluster, persons, voices_of)
            stranger += _share(total, odds, voices.get(cluster.number, 0.0))
        new = max(0.0, 1.0 - sum(voices.get(c.number, 0.0) for c in self._voices.clusters))
        odds = {p: math.exp(-self._best_evidence(voices_of.get(p, ()))) for p in persons}
        return total, stranger + _share(total, odds, new)

    def matches(self, persons: Sequence[int]) -> tuple[dict[int, float], float]:
        """Whose voice the last hop is: log-odds for each of ``persons`` in view, and of each who is known to have a
        voice, against a voice of which nothing is known; beside it those of people out of view."""
        s = self._settings
        if not self._voices.gains:
            return {}, 0.0
        gains = np.array([self._voices.gains.get(cluster.number, 0.0) for cluster in self._voices.clusters])
        likelihoods = np.exp(gains.clip(-s.most_match, s.most_match))
        voices_of = self._voices_of()
        odds = [self._odds(cluster, persons, voices_of) for cluster in self._voices.clusters]
        totals = np.array([s.stranger + sum(each.values()) for each in odds])
        shares = {person: np.array([each.get(person, 0.0) for each in odds]) / totals for person in set().union(*odds)}
        # Probability that one of the voices is the person's, and with it the likelihood of the hop.
        owned = {person: min(1.0, float(share.sum())) for person, share in shares.items()}
        theirs = {p: float(share @ likelihoods) / max(1.0, float(share.sum())) for p, share in shares.items()}
        absent = [person for person in shares if person not in persons]
        # A person in view without a voice may be one of those out of view, not recognized.
        unknown = 1.0 + s.mistaken * sum(theirs[person] - owned[person] for person in absent)
        found = {
            person: math.log(theirs[person] + (1.0 - owned[person]) * (unknown if person in persons else 1.0))
            for person in shares
        }
        # People out of view: a stranger first, then each who is known to have a voice.
        of_strangers = s.stranger / totals
        unseen = float((s.unknown + of_strangers @ likelihoods) / (s.unknown + of_strangers.sum()))
        unseen += sum(owned[person] * math.exp(found[person]) for person in absent)
        return found, math.log(unseen / (1.0 + sum(owned[person] for person in absent)))

    def known_owners(self, voices: Mapping[int, float]) -> dict[int, float]:
        """Probability that each person speaks, from the speaking voice and the posterior of its owner."""
        total: dict[int, float] = {}
        voices_of = self._voices_of()
        for cluster in self._voices.clusters:
            owner, share = self._likeliest_owner(cluster, voices_of)
            if owner is not None and share > 0.5:
                total[owner] = total.get(owner, 0.0) + share * voices.get(cluster.number, 0.0)
        return total

    def owner(self, voice: int) -> int | None:
        """The person to whom the voice is assigned permanently, if any."""
        cluster = next((c for c in self._voices.clusters if c.number == voice), None)
        if cluster is None:
            return None
        owner, share = self._likeliest_owner(cluster, self._voices_of())
        return owner if share > self._settings.owned else None

    def _likeliest_owner(self, cluster: VoiceCluster, voices_of: _VoicesOf) -> tuple[int | None, float]:
        """The most probable owner of the voice among all people, and the probability; None for a stranger's voice."""
        odds = self._odds(cluster, (), voices_of)
        best = max(odds, key=odds.__getitem__, default=None)
        return best, 0.0 if best is None else odds[best] / (1.0 + sum(odds.values()))

    def _odds(self, cluster: VoiceCluster, persons: Sequence[int], voices_of: _VoicesOf) -> dict[int, float]:
        """Odds that the voice is each person's, against a stranger's. A person has one voice: evidence that another
        voice is the person's is evidence against this one."""
        scaled = {p: self._scaled(e) for p, e in cluster.evidence.items() if p in persons or e > 0}
        return {
            person: math.exp(scaled.get(person, 0.0) - self._best_evidence(voices_of.get(person, ()), cluster))
            for person in {*persons, *scaled}
        }

    def _voices_of(self) -> _VoicesOf:
        """Evidence of the voices that may be each person's, greatest first, with their numbers. Found once for all
        voices: people and voices are many in a long session."""
        found: dict[int, list[tuple[float, int]]] = {}
        for cluster in self._voices.clusters:
            for person, evidence in cluster.evidence.items():
                if evidence > 0:
                    found.setdefault(person, []).append((evidence, cluster.number))
        for voices in found.values():
            voices.sort(reverse=True)
        return found

    def _best_evidence(self, voices: Sequence[tuple[float, int]], besides: VoiceCluster | None = None) -> float:
        """Log-odds that the best of a person's ``voices``, ``besides`` left out, is the person's; 0 without one."""
        return self._scaled(next((e for e, number in voices if besides is None or number != besides.number), 0.0))

    def _scaled(self, evidence: float) -> float:
        s = self._settings
        return min(max(evidence / s.evidence_scale, -s.most_evidence), s.most_evidence)

    def voice_of(self, person: int) -> npt.NDArray[np.float32] | None:
        """The voice assigned to the person (of several, the one that spoke most); None while there is none."""
        own = [c for c in self._voices.clusters if self.owner(c.number) == person]
        best = max(own, key=lambda c: c.seconds, default=None)
        return None if best is None else np.asarray(best.mean, np.float32)


def _share(total: dict[int, float], odds: Mapping[int, float], weight: float) -> float:
    """Divide ``weight`` among persons by their odds against a stranger; return the stranger's share."""
    rest = weight / (1.0 + sum(odds.values()))
    for person, value in odds.items():
        total[person] = total.get(person, 0.0) + rest * value
    return rest
