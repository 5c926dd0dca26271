"""Voice clusters: which voice speaks, when the voice changes, and which person it belongs to.

Speech is clustered by voice alone, with an exact forward pass over the known voices and a new one. The evidence of lip
sync is accumulated for each pair of voice and person over the session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HOP_TICKS = 5
"""Ticks between the embeddings of a voice stream."""


@dataclass(frozen=True)
class VoiceSettings:
    """Cosines of a window's embedding with the mean of a voice; hops are 0.2 s. Chosen on synthetic conversations of
    training people behind one microphone."""

    neutral: tuple[float, ...] = (0.61, 0.65, 0.68)
    """Cosines that speak neither for nor against a voice, by window length: the longest that lies within speech since
    the last pause is compared. Longer ones tell voices apart better, but notice a change later …"""
    slope: float = 20.0
    """… and log-odds per hop and unit of cosine."""
    change: float = 0.03
    """Probability per hop that the voice changes in speech …"""
    pause_change: float = 0.1
    """… and in a pause."""
    after_pause: float = 0.5
    """… and that it is another one after a pause, whatever its length."""
    new_share: float = 0.2
    """Share of the changes that go to a new voice."""
    new_after: float = 0.7
    """Probability of a new voice that begins one …"""
    new_hops: int = 2
    """… after this many hops in a row …"""
    first_hops: int = 5
    """… of speech that has lasted for this many: 1 s. Shorter windows are too much alike to begin or teach a voice …"""
    join: float = 0.68
    """… unless a known voice is this near."""
    sure: float = 0.9
    """Probability above which speech teaches its voice …"""
    sure_hops: int = 4
    """… once it has lasted for this many hops."""
    same: float = 0.88
    """Two voices whose means are nearer than this are one."""
    memory: float = 150.0
    """Maximum weight of a voice's mean, in hops."""
    most_voices: int = 24
    """Maximum number of voices; those that spoke most are kept."""
    evidence_scale: float = 3.0
    """Divisor of the log-odds of lip sync: successive ticks are less independent than the chain assumes."""
    most_evidence: float = 6.0
    """Maximum log-odds that a voice belongs to a person."""
    tick_evidence: float = 1.0
    """Maximum log-odds that one tick adds."""
    kept_evidence: float = 30.0
    """Maximum accumulated log-odds: a wrong owner can be unlearnt within a minute."""
    owned: float = 0.95
    """Probability above which a voice is assigned to a person permanently."""
    most_persons: int = 64
    """Number of people, the most probable ones, for whom a voice keeps evidence."""
    learn_hops: int = 3
    """Speech shorter than this does not update whose voice it is."""
    stranger: float = 0.7
    """Odds that a voice belongs to an unseen person, against one person in view without evidence."""
    most_match: float = 3.0
    """Maximum log-odds per hop that the voice is, or is not, a known one: lip sync can overrule it."""
    unknown: float = 0.5
    """Weight of an unknown voice among those of people out of view, relative to 1 for one without an owner."""


@dataclass(eq=False)
class _VoiceCluster:
    number: int
    total: Floats
    hops: float
    name: str | None = None
    evidence: dict[int, float] = field(default_factory=dict)

    @property
    def mean(self) -> Floats:
        return self.total / max(float(np.linalg.norm(self.total)), 1e-9)


_VoicesOf = Mapping[int, Sequence[tuple[float, int]]]


class VoiceClusters:
    """The voices of a session, hop by hop. ``numbers``: from 1, never reused."""

    def __init__(self, settings: VoiceSettings | None = None) -> None:
        self._settings = settings or VoiceSettings()
        self._clusters: list[_VoiceCluster] = []
        self._weights = np.ones(1)  # one value for each cluster, then one for a new voice
        self._next = 1
        self._gains: dict[int, float] = {}  # log-odds of the last hop for each voice against a new one
        self._pause()

    @property
    def probabilities(self) -> Mapping[int, float]:
        """Probability that each known voice speaks, or spoke last; the rest up to 1 is that of a new voice."""
        return {c.number: float(w) for c, w in zip(self._clusters, self._weights[:-1], strict=True)}

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the known voices."""
        return frozenset(c.number for c in self._clusters)

    @property
    def seconds(self) -> Mapping[int, float]:
        """Seconds of speech that each voice was learnt from."""
        return {c.number: 0.2 * c.hops for c in self._clusters}

    def update(self, windows: npt.NDArray[np.float32], speech: float) -> None:
        """Consume the next hop: its embeddings by window length [8, 256], and the share of it that is speech."""
        s = self._settings
        if speech < 0.5:
            self._change(s.pause_change)
            self._pause()
            return
        self._change(s.change if self._run else s.after_pause)
        self._run += 1
        if self._clusters:
            length = min(len(s.neutral), self._run) - 1
            cosines = np.array([c.mean for c in self._clusters]) @ windows[length]
            gains = s.slope * (cosines - s.neutral[length])
            self._gains = {c.number: float(gain) for c, gain in zip(self._clusters, gains, strict=True)}
            weights = self._weights * np.exp(np.append(gains, 0.0))
            self._weights = weights / weights.sum()
        self._learn(windows)

    def learn(self, evidence: Mapping[int, float]) -> None:
        """Add one tick's log-odds that each person in view speaks to the evidence of the voice that speaks."""
        s = self._settings
        if not self._clusters or self._run < s.learn_hops:
            return
        best = int(np.argmax(self._weights))
        if best == len(self._clusters) or self._weights[best] < s.sure:
            return
        known = self._clusters[best].evidence
        for person, gain in evidence.items():
            total = known.get(person, 0.0) + min(max(gain, -s.tick_evidence), s.tick_evidence)
            known[person] = min(max(total, -s.kept_evidence), s.kept_evidence)
        if len(known) > s.most_persons:
            del known[min(known, key=lambda person: (person in evidence, known[person]))]

    def enrol(self, name: str | None, voice: npt.NDArray[np.float32], person: int = 0) -> None:
        """Add the voice of a person who is known by name, or by the id ``person`` where that is not 0."""
        mean = np.asarray(voice, float) / max(float(np.linalg.norm(voice)), 1e-9)
        hops = self._settings.memory / 4
        self._clusters.append(_VoiceCluster(self._next, hops * mean, hops, name))
        if person:
            self._clusters[-1].evidence[person] = self._settings.kept_evidence / 2
        self._next += 1
        spread = np.full(len(self._clusters) + 1, 1.0)
        self._weights = spread / spread.sum()

    def forget(self) -> None:
        """Forget all voices. Their numbers are not used again."""
        self._clusters, self._weights = [], np.ones(1)
        self._pause()

    def meet(self, name: str, person: int) -> None:
        """Set the id of the person of this name, and with it that of their enrolled voice."""
        for cluster in self._clusters:
            if cluster.name == name and person not in cluster.evidence:
                cluster.evidence[person] = self._settings.kept_evidence / 2

    def name(self, voice: int) -> str | None:
        """The name of an enrolled voice."""
        return next((c.name for c in self._clusters if c.number == voice), None)

    def voice_of(self, person: int) -> npt.NDArray[np.float32] | None:
        """The voice assigned to the person (of several, the one that spoke most); None while there is none."""
        own = [c for c in self._clusters if self.owner(c.number) == person]
        best = max(own, key=lambda c: c.hops, default=None)
        return None if best is None else np.asarray(best.mean, np.float32)

    def merge(self, person: int, into: int) -> None:
        """Transfer the evidence of one person to another after a merge of their ids."""
        for cluster in self._clusters:
            if person in cluster.evidence:
                cluster.evidence[into] = cluster.evidence.get(into, 0.0) + cluster.evidence.pop(person)

    def owners(self, persons: Sequence[int], voices: Mapping[int, float]) -> tuple[dict[int, float], float]:
        """Whose voice speaks, given the probabilities of ``voices``: the probability of each of ``persons`` in view and
        of each person who is known to have a voice; beside it the probability of a stranger out of view."""
        total: dict[int, float] = dict.fromkeys(persons, 0.0)
        stranger, voices_of = 0.0, self._voices_of()
        for cluster in self._clusters:
            odds = self._odds(cluster, persons, voices_of)
            stranger += _share(total, odds, voices.get(cluster.number, 0.0))
        new = max(0.0, 1.0 - sum(voices.get(c.number, 0.0) for c in self._clusters))
        odds = {p: math.exp(-self._best_evidence(voices_of.get(p, ()))) for p in persons}
        return total, stranger + _share(total, odds, new)

    def matches(self, persons: Sequence[int]) -> tuple[dict[int, float], float]:
        """Whose voice the last hop is: log-odds for each of ``persons`` in view, and of each who is known to have a
        voice, against a voice of which nothing is known; beside it those of people out of view."""
        s = self._settings
        if not self._gains:
            return {}, 0.0
        gains = np.array([self._gains.get(cluster.number, 0.0) for cluster in self._clusters])
        likelihoods = np.exp(gains.clip(-s.most_match, s.most_match))
        voices_of = self._voices_of()
        odds = [self._odds(cluster, persons, voices_of) for cluster in self._clusters]
        totals = np.array([s.stranger + sum(each.values()) for each in odds])
        of_strangers = s.stranger / totals
        # People out of view: a stranger first, then each who is known to have a voice.
        unseen, weight = float((s.unknown + of_strangers @ likelihoods) / (s.unknown + of_strangers.sum())), 1.0
        found: dict[int, float] = {}
        for person in set().union(*odds):
            shares = np.array([each.get(person, 0.0) for each in odds]) / totals
            owned = float(shares.sum())
            likelihood = float(shares @ likelihoods + max(0.0, 1.0 - owned)) / max(1.0, owned)
            found[person] = math.log(likelihood)
            if person not in persons:
                unseen, weight = unseen + min(1.0, owned) * likelihood, weight + min(1.0, owned)
        return found, math.log(unseen / weight)

    def known_owners(self, voices: Mapping[int, float]) -> dict[int, float]:
        """Probability that each person speaks, from the speaking voice and the posterior of its owner."""
        total: dict[int, float] = {}
        voices_of = self._voices_of()
        for cluster in self._clusters:
            owner, share = self._likeliest_owner(cluster, voices_of)
            if owner is not None and share > 0.5:
                total[owner] = total.get(owner, 0.0) + share * voices.get(cluster.number, 0.0)
        return total

    def owner(self, voice: int) -> int | None:
        """The person to whom the voice is assigned permanently, if any."""
        cluster = next((c for c in self._clusters if c.number == voice), None)
        if cluster is None:
            return None
        owner, share = self._likeliest_owner(cluster, self._voices_of())
        return owner if share > self._settings.owned else None

    def _likeliest_owner(self, cluster: _VoiceCluster, voices_of: _VoicesOf) -> tuple[int | None, float]:
        """The most probable owner of the voice among all people, and the probability; None for a stranger's voice."""
        odds = self._odds(cluster, (), voices_of)
        best = max(odds, key=odds.__getitem__, default=None)
        return best, 0.0 if best is None else odds[best] / (1.0 + sum(odds.values()))

    def _odds(self, cluster: _VoiceCluster, persons: Sequence[int], voices_of: _VoicesOf) -> dict[int, float]:
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
        for cluster in self._clusters:
            for person, evidence in cluster.evidence.items():
                if evidence > 0:
                    found.setdefault(person, []).append((evidence, cluster.number))
        for voices in found.values():
            voices.sort(reverse=True)
        return found

    def _best_evidence(self, voices: Sequence[tuple[float, int]], besides: _VoiceCluster | None = None) -> float:
        """Log-odds that the best of a person's ``voices``, ``besides`` left out, is the person's; 0 without one."""
        return self._scaled(next((e for e, number in voices if besides is None or number != besides.number), 0.0))

    def _scaled(self, evidence: float) -> float:
        s = self._settings
        return min(max(evidence / s.evidence_scale, -s.most_evidence), s.most_evidence)

    @property
    def current(self) -> int | None:
        """Number of the voice that speaks or spoke last, where that is known."""
        if not self._clusters:
            return None
        best = int(np.argmax(self._weights[:-1]))
        return self._clusters[best].number if self._weights[best] > 0.5 else None

    def _pause(self) -> None:
        """No speech: the windows of the next speech begin anew."""
        self._gains = {}
        # Hops of speech since the pause; of these, in a row surely of one known voice, and of a new one.
        self._run = self._sure_run = self._new_run = 0
        # The known voice that was sure last, at which hop of the run that was, and at which its speech began.
        self._sure_voice = self._sure_at = self._began_at = 0

    def _change(self, rate: float) -> None:
        s, count = self._settings, len(self._clusters)
        if not count:
            return
        spread = np.append(np.full(count, (1 - s.new_share) / count), s.new_share)
        self._weights = (1 - rate) * self._weights + rate * spread

    def _learn(self, windows: npt.NDArray[np.float32]) -> None:
        s = self._settings
        best = int(np.argmax(self._weights))
        is_known = best < len(self._clusters)
        is_sure = is_known and self._weights[best] > s.sure
        self._new_run = self._new_run + 1 if not is_known and self._weights[-1] > s.new_after else 0
        self._sure_run = self._sure_run + 1 if is_sure else 0
        if is_sure:
            if self._clusters[best].number != self._sure_voice:
                self._sure_voice, self._began_at = self._clusters[best].number, self._sure_at
            self._sure_at = self._run
        if self._new_run >= s.new_hops and self._run - self._sure_at >= s.first_hops:
            self._begin(windows[s.first_hops - 1])
        elif self._sure_run >= s.sure_hops and self._run - self._began_at >= s.first_hops:
            cluster = self._clusters[best]
            if cluster.hops >= s.memory:
                cluster.total *= 1 - 1 / s.memory
            cluster.total = cluster.total + windows[s.first_hops - 1]
            cluster.hops = min(cluster.hops + 1, s.memory)
            self._join(best)

    def _begin(self, voice: npt.NDArray[np.float32]) -> None:
        s = self._settings
        self._new_run = 0
        if self._clusters:
            cosines = np.array([c.mean for c in self._clusters]) @ voice
            nearest = int(np.argmax(cosines))
            if cosines[nearest] > s.join:
                self._weights = np.zeros(len(self._clusters) + 1)
                self._weights[nearest] = 1.0
                return
        if len(self._clusters) >= s.most_voices:
            least = min(
                range(len(self._clusters)), key=lambda k: (bool(self._clusters[k].name), self._clusters[k].hops)
            )
            del self._clusters[least]
        self._clusters.append(_VoiceCluster(self._next, np.asarray(voice, float), 1.0))
        self._next += 1
        self._weights = np.zeros(len(self._clusters) + 1)
        self._weights[-2] = 1.0

    def _join(self, index: int) -> None:
        """Merge two clusters that are one voice; the older number stays."""
        s, cluster = self._settings, self._clusters[index]
        for k, other in enumerate(self._clusters):
            if k == index or min(cluster.hops, other.hops) < 8 or float(cluster.mean @ other.mean) < s.same:
                continue
            old, new = sorted((k, index))
            kept, gone = self._clusters[old], self._clusters[new]
            kept.total, kept.hops = kept.total + gone.total, min(kept.hops + gone.hops, s.memory)
            for person, evidence in gone.evidence.items():
                kept.evidence[person] = kept.evidence.get(person, 0.0) + evidence
            self._weights[old] += self._weights[new]
            self._weights = np.delete(self._weights, new)
            del self._clusters[new]
            return


def _share(total: dict[int, float], odds: Mapping[int, float], weight: float) -> float:
    """Divide ``weight`` among persons by their odds against a stranger; return the stranger's share."""
    rest = weight / (1.0 + sum(odds.values()))
    for person, value in odds.items():
        total[person] = total.get(person, 0.0) + rest * value
    return rest
