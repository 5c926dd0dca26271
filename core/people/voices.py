"""Voice clusters: which voice speaks, and when the voice changes.

Speech is cut into segments, which are clustered by voice alone; beside that, each hop is compared with the known voices
and a new one. The evidence of lip sync is accumulated for each segment, and by it for each pair of voice and person:
``voice_owners`` decides by it whose voice it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from speakerlight.core.people.voice_model import Floats, VoiceModel, shipped_voice_model
from speakerlight.core.people.voice_segments import (
    ClusteringSettings,
    Segments,
    VoicePosterior,
    clustered,
    linked,
)

HOP_TICKS = 5
"""Ticks between the embeddings of a voice stream."""

_HOP_SECONDS = 0.2

_LEAST_SHARE = 0.05
"""Share of a segment, or seconds in common, below which they are ignored."""

_EXCLUDED = -1e3
"""Log-probability of the wrong voice where the voice is known."""


@dataclass(frozen=True)
class VoiceSettings:
    """Hops are 0.2 s. Chosen on composed conversations of people who were not trained on."""

    hop_scales: tuple[float, ...] = (0.4, 0.3, 0.2, 0.15)
    """Weight of a hop's log-likelihood, by the length of its window: the longest that lies within speech since the last
    pause. Longer ones tell voices apart better, but notice a change later."""
    change: float = 0.03
    """Probability per hop that the voice changes in speech …"""
    pause_change: float = 0.1
    """… and in a pause."""
    after_pause: float = 0.5
    """… and that it is another one after a pause, whatever its length."""
    new_share: float = 0.2
    """Share of the changes that go to a new voice."""
    segment_hops: int = 5
    """Maximum length of a segment …"""
    least_hops: int = 2
    """… and minimum: shorter speech between two pauses teaches nothing."""
    least_seconds: float = 0.5
    """Speech below which a cluster is no voice."""
    relink: int = 4
    """Segments after which they are clustered from scratch, too."""
    spare: int = 4
    """Clusters beyond those known from which that begins …"""
    least_clusters: int = 8
    """… and their minimum."""
    most_segments: int = 120
    """Maximum number of segments: beyond, the two oldest of one voice are summed up."""
    most_seconds: float = 60.0
    """Maximum weight of what was summed up: a voice may change slowly."""
    most_voices: int = 24
    """Maximum number of voices; those that spoke most are kept."""
    sure: float = 0.9
    """Probability above which a hop counts as one of its voice when it is lip sync that is learnt from."""
    surest: float = 0.98
    """Maximum probability of a voice, by all speech until now."""
    enrolled_seconds: float = 30.0
    """Speech that an enrolled voice counts for."""
    tick_evidence: float = 1.0
    """Maximum log-odds that one tick adds."""
    kept_evidence: float = 30.0
    """Maximum accumulated log-odds: a wrong owner can be unlearnt within a minute."""
    most_persons: int = 64
    """Number of people, the most probable ones, for whom a voice keeps evidence."""
    learn_hops: int = 3
    """Speech shorter than this does not update whose voice it is."""


@dataclass(eq=False)
class _Segment:
    """Speech of one voice, as far as is known: up to 1 s, an enrolled voice, or several segments summed up."""

    coordinates: Floats
    total: Floats
    """Sum of embeddings, weighted by seconds."""
    hops: int
    seconds: float
    after_pause: bool
    evidence: dict[int, float] = field(default_factory=dict)
    voice: int | None = None
    """Number of the voice where that is known for certain: it was enrolled."""


@dataclass(eq=False)
class VoiceCluster:
    """One voice. ``seconds``: of speech that it was learnt from."""

    number: int
    evidence: dict[int, float] = field(default_factory=dict)
    """Accumulated log-odds of lip sync that the voice is each person's."""
    seconds: float = 0.0
    total: Floats = field(default_factory=lambda: np.zeros(256))

    @property
    def mean(self) -> Floats:
        return self.total / max(float(np.linalg.norm(self.total)), 1e-9)


class VoiceClusters:
    """The voices of a session, hop by hop. ``numbers``: from 1, never reused."""

    def __init__(
        self,
        settings: VoiceSettings | None = None,
        clustering: ClusteringSettings | None = None,
        model: VoiceModel | None = None,
    ) -> None:
        self._settings = settings or VoiceSettings()
        self._clustering = clustering or ClusteringSettings()
        self._model = model or shipped_voice_model()
        self._segments: list[_Segment] = []
        self._count = 0  # segments since the beginning
        self._clusters: list[VoiceCluster] = []
        self._posterior: VoicePosterior | None = None  # of the clusters, in their order
        self._weights = np.ones(1)  # one value for each cluster, then one for a new voice
        self._names: dict[int, str] = {}  # of enrolled voices
        self._next = 1
        self._run = self._open = 0  # hops of speech since the pause, and since the last segment
        self._gains: dict[int, float] = {}  # log-odds of the last hop for each voice against a new one
        self._evidence: dict[int, float] = {}  # of lip sync in the open segment …
        self._embedding = np.zeros(256, np.float32)  # … and the embedding of its speech so far

    @property
    def probabilities(self) -> Mapping[int, float]:
        """Probability that each known voice speaks, or spoke last; the rest up to 1 is that of a new voice."""
        return {c.number: float(w) for c, w in zip(self._clusters, self._weights[:-1], strict=True)}

    @property
    def clusters(self) -> Sequence[VoiceCluster]:
        """The known voices."""
        return self._clusters

    @property
    def gains(self) -> Mapping[int, float]:
        """Log-odds of the last hop for each known voice against a new one; empty in a pause."""
        return self._gains

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the known voices."""
        return frozenset(c.number for c in self._clusters)

    @property
    def seconds(self) -> Mapping[int, float]:
        """Seconds of speech that each voice was learnt from."""
        return {c.number: c.seconds for c in self._clusters}

    def update(self, windows: npt.NDArray[np.float32], speech: float) -> None:
        """Consume the next hop: its embeddings by window length [8, 256], and the share of it that is speech."""
        s = self._settings
        if speech < 0.5:
            self._change(s.pause_change)
            if self._open >= s.least_hops:
                self._end_segment(self._embedding)
            self._pause()
            return
        self._change(s.change if self._run else s.after_pause)
        self._run, self._open = self._run + 1, self._open + 1
        self._embedding = windows[self._open - 1]
        if self._clusters:
            hops = min(len(s.hop_scales), self._run)
            gains = s.hop_scales[hops - 1] * self._likelihoods(windows, hops)
            self._gains = {c.number: float(gain) for c, gain in zip(self._clusters, gains, strict=True)}
            weights = self._weights * np.exp(np.append(gains, 0.0))
            self._weights = weights / weights.sum()
        if self._open == s.segment_hops:
            self._end_segment(self._embedding)

    def _likelihoods(self, windows: npt.NDArray[np.float32], hops: int) -> Floats:
        """Log-likelihood ratio of the last ``hops`` for each voice against a new one."""
        assert self._posterior is not None
        x, within = self._model.coordinates(windows[hops - 1], hops), self._model.within[hops - 1]
        known, new = within + 1.0 / self._posterior.precisions, within + self._model.between
        fits = ((x - self._posterior.means) ** 2 / known + np.log(known)).sum(axis=1)
        return np.asarray(0.5 * ((x**2 / new + np.log(new)).sum() - fits))

    def learn(self, evidence: Mapping[int, float]) -> None:
        """Add one tick's log-odds that each person in view speaks to the evidence of the voice that speaks."""
        s = self._settings
        if self._run < s.learn_hops:
            return
        # Between a segment's end and the next hop, its last ticks are decided.
        learning = [self._evidence if self._open else self._segments[-1].evidence]
        best = int(np.argmax(self._weights))
        if best < len(self._clusters) and self._weights[best] >= s.sure:
            learning.append(self._clusters[best].evidence)
        for known in learning:
            for person, gain in evidence.items():
                _add(known, person, min(max(gain, -s.tick_evidence), s.tick_evidence), s.kept_evidence)
            if len(known) > s.most_persons:
                del known[min(known, key=lambda person: (person in evidence, known[person]))]

    def enrol(self, name: str | None, voice: npt.NDArray[np.float32], person: int = 0) -> None:
        """Add the voice of a person who is known by name, or by the id ``person`` where that is not 0."""
        s = self._settings
        mean = self._model.length * np.asarray(voice, float) / max(float(np.linalg.norm(voice)), 1e-9)
        evidence = {person: s.kept_evidence / 2} if person else {}
        coordinates = self._model.coordinates(mean, s.segment_hops)
        number, seconds = self._next, s.enrolled_seconds
        self._segments.append(
            _Segment(coordinates, seconds * mean, s.segment_hops, seconds, True, evidence, voice=number)
        )
        self._names |= {number: name} if name else {}
        self._next += 1
        shares = np.zeros((len(self._segments), len(self._clusters) + 1))
        if self._posterior is not None:
            shares[:-1, :-1] = self._posterior.shares
        shares[-1, -1] = 1.0
        self._cluster(self._as_arrays(), [shares])
        spread = np.full(len(self._clusters) + 1, 1.0)
        self._weights = spread / spread.sum()

    def forget(self) -> None:
        """Forget all voices. Their numbers are not used again."""
        self._segments, self._clusters, self._posterior, self._weights = [], [], None, np.ones(1)
        self._pause()

    def meet(self, name: str, person: int) -> None:
        """Set the id of the person of this name, and with it that of their enrolled voice."""
        for segment in self._segments:
            if segment.voice is None or self._names.get(segment.voice) != name or person in segment.evidence:
                continue
            segment.evidence[person] = self._settings.kept_evidence / 2
            cluster = next(c for c in self._clusters if c.number == segment.voice)
            _add(cluster.evidence, person, segment.evidence[person], self._settings.kept_evidence)

    def name(self, voice: int) -> str | None:
        """The name of an enrolled voice."""
        return self._names.get(voice)

    def merge(self, person: int, into: int) -> None:
        """Transfer the evidence of one person to another after a merge of their ids."""
        kept = [segment.evidence for segment in self._segments] + [cluster.evidence for cluster in self._clusters]
        for known in (*kept, self._evidence):
            if person in known:
                _add(known, into, known.pop(person), self._settings.kept_evidence)

    @property
    def current(self) -> int | None:
        """Number of the voice that speaks or spoke last, where that is known."""
        if not self._clusters:
            return None
        best = int(np.argmax(self._weights[:-1]))
        return self._clusters[best].number if self._weights[best] > 0.5 else None

    def _pause(self) -> None:
        """No speech: the windows and the segment of the next speech begin anew."""
        self._run = self._open = 0
        self._gains, self._evidence = {}, {}

    def _change(self, rate: float) -> None:
        s, count = self._settings, len(self._clusters)
        if not count:
            return
        spread = np.append(np.full(count, (1 - s.new_share) / count), s.new_share)
        self._weights = (1 - rate) * self._weights + rate * spread

    def _end_segment(self, embedding: npt.NDArray[np.float32]) -> None:
        """Close the open segment, and cluster all."""
        s = self._settings
        seconds = _HOP_SECONDS * self._open
        coordinates, is_first = self._model.coordinates(embedding, self._open), self._run == self._open
        self._segments.append(
            _Segment(coordinates, seconds * embedding.astype(float), self._open, seconds, is_first, self._evidence)
        )
        self._evidence, self._open = {}, 0
        self._count += 1
        segments, guesses = self._as_arrays(), [self._continued()]
        if self._count % s.relink == 0:
            clusters = max(s.least_clusters, len(self._clusters) + s.spare)
            guesses.append(linked(segments.coordinates, clusters))
        last = s.surest * self._cluster(segments, guesses).shares[-1]
        self._weights = np.append(last, 1.0 - last.sum())
        while len(self._segments) > s.most_segments and self._sum_up():
            pass

    def _continued(self) -> Floats:
        """The last result with the new segment, which may be another voice."""
        known = self._posterior.shares if self._posterior is not None else np.zeros((0, 0))
        shares = np.zeros((len(known) + 1, known.shape[1] + 1))
        shares[:-1, :-1], shares[-1] = known, 0.1
        shares[-1, -1] = 0.9
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _as_arrays(self) -> Segments:
        return Segments(
            np.array([segment.coordinates for segment in self._segments]),
            np.array([self._model.within[segment.hops - 1] for segment in self._segments]),
            np.array([segment.seconds for segment in self._segments]),
            np.array([float(segment.after_pause) for segment in self._segments]),
        )

    def _cluster(self, segments: Segments, guesses: Sequence[Floats]) -> VoicePosterior:
        """Cluster all segments, from the best of several first guesses; the clusters keep their numbers."""
        results = (self._clustered(segments, guess) for guess in guesses)
        posterior, numbers = max(results, key=lambda result: result[0].bound)
        spoken = posterior.shares.T @ segments.seconds
        kept = [k for k in range(len(spoken)) if spoken[k] >= self._settings.least_seconds or numbers[k]]
        kept = kept or [int(spoken.argmax())]
        most = max(self._settings.most_voices, sum(bool(number) for number in numbers))  # enrolled voices stay
        kept = sorted(sorted(kept, key=lambda k: (not numbers[k], -spoken[k]))[:most])
        posterior, numbers = posterior.of(kept), [numbers[k] for k in kept]
        self._number(numbers, posterior.shares, segments.seconds)
        self._clusters = [VoiceCluster(number) for number in numbers]
        self._posterior = posterior
        for segment, shares in zip(self._segments, posterior.shares, strict=True):
            for cluster, share in zip(self._clusters, shares.tolist(), strict=True):
                if share > _LEAST_SHARE:
                    self._attribute(segment, cluster, share)
        return posterior

    def _clustered(self, segments: Segments, guess: Floats) -> tuple[VoicePosterior, list[int]]:
        """The result from one first guess, and the numbers of the enrolled voices among its clusters, else 0."""
        shares, numbers = guess, [0] * guess.shape[1]
        columns: dict[int, int] = {}
        for k, segment in enumerate(self._segments):
            if segment.voice is None:
                continue
            column = int(shares[k].argmax())
            if numbers[column]:
                column = len(numbers)
                shares = np.pad(shares, ((0, 0), (0, 1)))
                shares[k], numbers = np.eye(column + 1)[column], [*numbers, 0]
            numbers[column], columns[k] = segment.voice, column
        fixed = np.zeros_like(shares)
        for k, column in columns.items():
            fixed[k] = _EXCLUDED * (np.arange(len(numbers)) != column)
        return clustered(segments, self._model.between, shares, fixed, self._clustering), numbers

    def _number(self, numbers: list[int], shares: Floats, seconds: Floats) -> None:
        """Give each cluster the number of the one before that shares most speech with it, else a new number."""
        if self._posterior is not None:
            before = self._posterior.shares
            common = before.T @ (shares[: len(before)] * seconds[: len(before), None])
            for k, cluster in enumerate(self._clusters):
                if cluster.number in numbers:
                    common[k] = 0.0
            common[:, [bool(number) for number in numbers]] = 0.0
            while common.size and common.max() > _LEAST_SHARE:
                old, new = np.unravel_index(int(common.argmax()), common.shape)
                numbers[new] = self._clusters[old].number
                common[old], common[:, new] = 0.0, 0.0
        for k, number in enumerate(numbers):
            if not number:
                numbers[k], self._next = self._next, self._next + 1

    def _attribute(self, segment: _Segment, cluster: VoiceCluster, share: float) -> None:
        """Add a segment to what is known of its voice."""
        s = self._settings
        cluster.seconds += share * segment.seconds
        cluster.total = cluster.total + share * segment.total
        for person, gain in segment.evidence.items():
            _add(cluster.evidence, person, share * gain, s.kept_evidence)
        while len(cluster.evidence) > s.most_persons:
            del cluster.evidence[min(cluster.evidence, key=cluster.evidence.__getitem__)]

    def _sum_up(self) -> bool:
        """Sum up the two oldest segments of one voice; False when no voice has two."""
        assert self._posterior is not None
        shares, first = self._posterior.shares, dict[int, int]()
        for k, segment in enumerate(self._segments):
            if segment.voice is not None:
                continue
            old = first.setdefault(int(shares[k].argmax()), k)
            if old == k:
                continue
            kept = self._segments[old]
            seconds = kept.seconds + segment.seconds
            part = segment.seconds / seconds
            kept.coordinates = (1 - part) * kept.coordinates + part * segment.coordinates
            kept.total, kept.hops = kept.total + segment.total, self._settings.segment_hops
            kept.seconds, kept.after_pause = min(seconds, self._settings.most_seconds), True
            for person, gain in segment.evidence.items():
                _add(kept.evidence, person, gain, self._settings.kept_evidence)
            shares[old] = (1 - part) * shares[old] + part * shares[k]
            self._posterior = replace(self._posterior, shares=np.delete(shares, k, axis=0))
            del self._segments[k]
            return True
        return False


def _add(evidence: dict[int, float], person: int, gain: float, most: float) -> None:
    """Accumulate log-odds within ±``most``."""
    evidence[person] = min(max(evidence.get(person, 0.0) + gain, -most), most)
