"""Clustering of speech segments by voice: a hidden Markov model over voices, fitted by variational Bayes (VBx).

All segments of a session are clustered anew whenever one is added, so that what was decided on a second of speech can
be revised: two voices that became one cluster come apart once there is more of them.
After Landini et al., "Bayesian HMM clustering of x-vector sequences (VBx) in speaker diarization", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speakerlight.core.people.voice_model import Floats


@dataclass(frozen=True)
class ClusteringSettings:
    """Chosen on composed conversations of people who were not trained on."""

    acoustic_scale: float = 0.3
    """Weight of a segment's likelihood: its numbers are less independent than the model assumes. Fa of VBx."""
    voice_scale: float = 0.6
    """Cost of another voice: Fb of VBx."""
    stays: float = 0.85
    """Probability that the next segment has the same voice …"""
    stays_after_pause: float = 0.77
    """… and after a pause."""
    rounds: int = 8
    """Maximum number of rounds of variational Bayes."""
    least_gain: float = 0.05
    """Rise of the evidence lower bound below which a round is the last one."""


@dataclass(frozen=True, eq=False)
class Segments:
    """N speech segments in their order of time: up to 1 s each, or earlier ones of one voice summed up."""

    coordinates: Floats
    """[N, D]."""
    variances: Floats
    """Within a voice, [N, D]."""
    seconds: Floats
    """[N]."""
    after_pause: Floats
    """[N]: 1 where a pause lies before the segment, else 0."""


@dataclass(frozen=True, eq=False)
class VoicePosterior:
    """S voices: the probability that each segment is each one's [N, S], and the voices' means and precisions [S, D]."""

    shares: Floats
    means: Floats
    precisions: Floats
    bound: float
    """Evidence lower bound: of two results for the same segments, the one with the greater is better."""

    def of(self, kept: list[int]) -> VoicePosterior:
        """The ``kept`` voices alone."""
        shares = self.shares[:, kept]
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
        return VoicePosterior(shares, self.means[kept], self.precisions[kept], self.bound)


def clustered(
    segments: Segments, between: Floats, shares: Floats, fixed: Floats, settings: ClusteringSettings
) -> VoicePosterior:
    """Improve the first guess ``shares`` [N, S]. ``fixed`` [N, S]: log-probability added where the voice is known."""
    s = settings
    weights = s.acoustic_scale * segments.seconds[:, None]
    inverse = 1.0 / segments.variances
    constant = -0.5 * (np.log(2 * np.pi * segments.variances) + segments.coordinates**2 * inverse).sum(axis=1)
    stay = np.where(segments.after_pause > 0, s.stays_after_pause, s.stays)
    prior, bound = np.full(shares.shape[1], 1.0 / shares.shape[1]), -np.inf
    for _ in range(s.rounds):
        scale = s.acoustic_scale / s.voice_scale
        counted = shares.T * segments.seconds
        precisions = 1.0 / between + scale * (counted @ inverse)
        means = scale * (counted @ (inverse * segments.coordinates)) / precisions
        square = inverse @ (means**2 + 1.0 / precisions).T
        fits = constant[:, None] + (segments.coordinates * inverse) @ means.T - 0.5 * square
        shares, prior, likelihood = _forward_backward(weights * fits + fixed, stay, prior)
        ratio = 1.0 / (between * precisions)
        last, bound = (
            bound,
            likelihood + 0.5 * s.voice_scale * float((np.log(ratio) - ratio - means**2 / between + 1.0).sum()),
        )
        if bound - last < s.least_gain:
            break
    return VoicePosterior(shares, means, precisions, bound)


def _forward_backward(fits: Floats, stay: Floats, prior: Floats) -> tuple[Floats, Floats, float]:
    """Posterior of the voices [N, S] by log-likelihoods ``fits``, the next prior [S], the log-likelihood."""
    top = fits.max(axis=1, keepdims=True)
    likely = np.exp(fits - top)
    forward, backward, norms = np.empty_like(fits), np.ones_like(fits), np.empty(len(fits))
    state = prior
    for k, (row, same) in enumerate(zip(likely, stay.tolist(), strict=True)):
        state = (same * state + (1.0 - same) * prior) * row if k else prior * row
        norms[k] = norm = state.sum()
        forward[k] = state = state / norm
    state = backward[-1]
    for k in range(len(fits) - 1, 0, -1):
        state = likely[k] * state / norms[k]
        backward[k - 1] = state = stay[k] * state + (1.0 - stay[k]) * float(prior @ state)
    shares = forward * backward
    shares /= shares.sum(axis=1, keepdims=True)
    entered = (1.0 - stay[1:, None]) * prior * likely[1:] * backward[1:] / norms[1:, None]
    total = shares[0] + entered.sum(axis=0) + 1e-8
    return shares, total / total.sum(), float(np.log(norms).sum() + top.sum())


def linked(coordinates: Floats, count: int) -> Floats:
    """A first guess without an earlier one: [N, S] shares of ``count`` clusters by average linkage of cosines."""
    unit = coordinates / np.maximum(np.linalg.norm(coordinates, axis=1, keepdims=True), 1e-9)
    near, sizes, labels = unit @ unit.T, np.ones(len(unit)), np.arange(len(unit))
    np.fill_diagonal(near, -np.inf)
    for _ in range(len(unit) - count):
        a, b = np.unravel_index(int(near.argmax()), near.shape)
        row = (sizes[a] * near[a] + sizes[b] * near[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        row[a] = row[b] = -np.inf
        near[a], near[:, a], near[b], near[:, b] = row, row, -np.inf, -np.inf
        labels[labels == b] = a
    _, labels = np.unique(labels, return_inverse=True)
    shares = np.full((len(unit), int(labels.max()) + 1), 0.1)
    shares[np.arange(len(unit)), labels] += 0.9 * shares.shape[1]
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
