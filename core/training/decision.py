"""Fit of the decision weights: the emission and the constants of the chain, by the probability of the true speaker.

The chain is differentiable as it stands, so that conversations of known truth train it end to end. Log-probability is
a proper score: what comes out is calibrated on conversations of this kind.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter
from torch import nn

from speakerlight.core.decision.chain import MAX_PRIOR, PAUSE_BELOW, speech_weight
from speakerlight.core.decision.emission import (
    BEST_TICKS,
    FAST_TICKS,
    FEATURES,
    FRESH_TICKS,
    MAX_GAIN,
    MAX_VISUAL_VAD,
    MIN_SPEECH_WEIGHT,
    SIMILARITY_TICKS,
    SLOW_TICKS,
    USUAL_VISUAL_VAD_TICKS,
    VISUAL_VAD_TICKS,
    LagMeans,
    features,
    match,
)
from speakerlight.core.decision.lag import (
    FLOOR,
    LAGS,
    MEMORY_TICKS,
    OWN_TICKS,
    ROOM_SHARE,
    ROOM_TICKS,
    SLIP_RATE,
    START_COUNT,
    START_TICKS,
)
from speakerlight.core.training.conversations import NO_SPEECH, Conversation, pairs
from speakerlight.core.training.weights_file import save_weights

Floats = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)

HIDDEN = 16

STRIDE = 2
"""Every second tick stands for two: a conversation costs half as much, and neighbours hardly differ."""

_EARLY_TICKS, _EARLY_WEIGHT, _FIRST_TICKS = 20, 2.0, 4
"""Ticks of a turn until 0.8 s count twice, because a late name is what a turn is judged by; the first ones, which can
hardly be decided yet, do not."""

_NOBODY_FACTOR = 1.3
"""Factor of the fitted prior of nobody in view: a stranger's speech under another person's name costs more than a late
name does. Chosen on galleries of people who were not trained on (see the model card)."""

_LEAST_LOG = -6.0
"""Minimum log-probability of one tick in the loss: a few clips are labelled wrongly."""


@dataclass(frozen=True)
class FitSettings:
    """``batch``: conversations a step. The learning rate falls to a twentieth, as a cosine."""

    steps: int = 480
    batch: int = 16
    learning_rate: float = 0.03
    seed: int = 1


def conversation_features(talk: Conversation, scale: float, centre: float) -> npt.NDArray[np.float32]:
    """The network's input for a whole conversation, [T, n, 31, FEATURES], equal to that of ``EmissionFeatures``."""
    cosines, heard = talk.cosines.astype(np.float32), talk.heard.astype(np.float32)

    def weights_of(weights: npt.NDArray[Any], ticks: float) -> Floats:
        return np.asarray(lfilter([1.0], [1.0, -float(np.exp(-1 / ticks))], weights, axis=-1), np.float32)

    def mean(values: Floats, weights: npt.NDArray[Any], ticks: float) -> Floats:
        return np.asarray(
            weights_of(values * weights, ticks) / np.maximum(weights_of(weights, ticks), 1e-6), np.float32
        )

    weight = talk.known * np.maximum(heard, MIN_SPEECH_WEIGHT)
    total = weight.sum(axis=1)
    seen, share = total > 0, total / len(LAGS)
    overall = (cosines * weight).sum(axis=1) / np.maximum(total, 1e-6)
    similarity_weight = weights_of(share, SIMILARITY_TICKS)
    visual_vad = talk.visual_vad.clip(-MAX_VISUAL_VAD, MAX_VISUAL_VAD)
    means = [
        mean(overall, share, SIMILARITY_TICKS),
        mean(visual_vad, seen, VISUAL_VAD_TICKS),
        mean(visual_vad, seen, USUAL_VISUAL_VAD_TICKS),
        mean(np.full_like(visual_vad, talk.fresh), seen, FRESH_TICKS),
    ]
    fast, slow = (np.moveaxis(mean(cosines, weight, ticks), -1, 0) for ticks in (FAST_TICKS, SLOW_TICKS))
    lag_means = LagMeans.of(np.stack([fast, slow]))
    best = match(lag_means, np.moveaxis(weights_of(weight, SLOW_TICKS), -1, 0))
    for tick in range(1, len(best)):
        best[tick] = np.maximum(best[tick], best[tick - 1] * np.float32(np.exp(-1 / BEST_TICKS)))
    return features(
        np.moveaxis(cosines, -1, 0),
        np.moveaxis(talk.known, -1, 0),
        lag_means,
        np.moveaxis(np.stack(means), -1, 1),
        np.moveaxis(similarity_weight, -1, 0),
        best,
        heard.T,
        np.float32(scale),
        np.float32(centre),
    )


class DecisionModel(nn.Module):
    """The emission's network and the chain's constants."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.linear, self.hidden, self.output = (
            nn.Linear(FEATURES, 1),
            nn.Linear(FEATURES, hidden),
            nn.Linear(hidden, 1),
        )
        for layer in (self.linear, self.output):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        # Nonlinear from the start: the effect of a face's best match is not additive.
        nn.init.normal_(self.hidden.weight, 0.0, 0.6)
        nn.init.normal_(self.hidden.bias, 0.0, 0.6)
        with torch.no_grad():
            self.linear.weight[0, :3] = torch.tensor([0.1, 0.0, 0.1])
            self.linear.bias[:] = -0.2
        # Weights and rates as logarithms or log-odds.
        self.nobody, self.pair, self.change, self.fade = (
            nn.Parameter(torch.tensor(v)) for v in (-0.5, -4.0, -5.0, -3.2)
        )
        self.join, self.leave, self.pair_gain, self.pair_bias = (
            nn.Parameter(torch.tensor(v)) for v in (-7.0, -4.0, 0.8, -0.1)
        )

    def load(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Go on from weights as they are stored."""
        with torch.no_grad():
            self.linear.weight[0] = torch.from_numpy(weights["linear"])
            self.linear.bias.fill_(weights["bias"].item())
            self.hidden.weight.copy_(torch.from_numpy(weights["hidden"]).T)
            self.hidden.bias.copy_(torch.from_numpy(weights["hidden_bias"]))
            self.output.weight[0] = torch.from_numpy(weights["output"])
            self.nobody.fill_(math.log(weights["nobody"].item()))
            for name in ("pair", "change", "fade", "join", "leave"):
                rate = weights[name].item()
                getattr(self, name).fill_(math.log(rate / (1 - rate)))
            self.pair_gain.fill_(weights["pair_gain"].item())
            self.pair_bias.fill_(weights["pair_bias"].item())

    def constants(self) -> dict[str, torch.Tensor]:
        return {
            "nobody": self.nobody.exp(),
            "pair": torch.sigmoid(self.pair),
            "change": torch.sigmoid(self.change),
            "fade": torch.sigmoid(self.fade),
            "join": torch.sigmoid(self.join),
            "leave": torch.sigmoid(self.leave),
            "pair_gain": self.pair_gain,
            "pair_bias": self.pair_bias,
        }

    def gains(self, x: torch.Tensor) -> torch.Tensor:
        out = self.linear(x) + self.output(torch.tanh(self.hidden(x)))
        return torch.as_tensor(out[..., 0].clamp(-MAX_GAIN, MAX_GAIN))

    def forward(
        self, x: torch.Tensor, spoken: torch.Tensor, speech: torch.Tensor, in_view: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Posterior of each face alone [T, B, n], of pairs [T, B, n, n] and of no active speaker in view [T, B].

        ``x`` [T, B, n, 31, FEATURES], ``spoken`` [T, B, n, 31]: weight of the speech at each lag, 0 where there is no
        cosine; ``speech`` [T, B] at the room lag, ``in_view`` [T, B, n].
        """
        c = self.constants()
        return _forward(
            self.gains(x) * spoken,
            speech,
            in_view.float(),
            torch.stack([c[name] for name in CONSTANTS]),
            *_KERNELS,
            START_COUNT,
            ROOM_SHARE,
            MEMORY_TICKS,
            SLIP_RATE,
            PAUSE_BELOW,
            float(STRIDE),
        )


CONSTANTS = ("nobody", "pair", "change", "fade", "join", "leave", "pair_gain", "pair_bias")


def _kernels() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    lags = torch.tensor(LAGS, dtype=torch.float32)
    apart = lags[:, None] - lags
    start = (1 - FLOOR) * torch.softmax(-0.5 * (lags / START_TICKS) ** 2, 0) + FLOOR / len(LAGS)
    return (
        start,
        torch.softmax(-0.5 * (apart / OWN_TICKS) ** 2, 0),
        torch.softmax(-0.5 * (apart / ROOM_TICKS) ** 2, 0),
    )


_KERNELS = _kernels()


def _forward(
    gains: torch.Tensor,
    speech: torch.Tensor,
    in_view: torch.Tensor,
    constants: torch.Tensor,
    start: torch.Tensor,
    own: torch.Tensor,
    others: torch.Tensor,
    start_count: float,
    room_share: float,
    memory_ticks: float,
    slip_rate: float,
    pause_below: float,
    stride: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The chain's forward steps over a batch (``speakerlight.core.decision.chain`` is the same, one tick at a time)."""
    ticks, batch, n, lags = gains.shape
    nobody_weight, pair_prior, change_rate, fade, join_rate, leave_rate, pair_gain, pair_bias = constants.unbind()
    alone = torch.zeros(batch, n, lags)
    both = torch.zeros(batch, n, n)
    nobody = torch.ones(batch)
    counts = torch.zeros(batch, n, lags)
    lag_prior = start.expand(batch, n, lags)
    off_diagonal = 1 - torch.eye(n)
    factors = gains.exp()
    out_alone: list[torch.Tensor] = []
    out_both: list[torch.Tensor] = []
    out_nobody: list[torch.Tensor] = []
    for t in range(ticks):
        heard = (speech[t] >= pause_below).float()
        weight = stride * speech[t] * heard
        there = in_view[t]
        number = there.sum(1)
        several = (number > 1).float()
        change = (1 - (1 - heard * change_rate - (1 - heard) * fade) ** stride)[:, None]
        pair = pair_prior * several
        share = ((1 - pair) / (nobody_weight + number)).clamp(max=MAX_PRIOR)
        singles = alone.sum(2)
        own_lag = ((alone + 1e-6 * lag_prior) / (singles + 1e-6)[..., None]).detach()
        join, leave = (stride * join_rate * heard * several)[:, None], (stride * leave_rate * heard * several)[:, None]
        back = (0.5 * leave * both.sum(2))[..., None] * own_lag
        spread = join * singles * there / (number - 1).clamp(min=1)[:, None]
        together = there[:, :, None] * there[:, None] * off_diagonal
        joining = (spread[:, :, None] + spread[:, None]) * together
        stays = 1 - change - join * there
        prior = (change * share[:, None] * there)[..., None] * lag_prior
        alone = stays[..., None] * alone + prior + back
        anywhere = alone.sum(2, keepdim=True) / lags
        alone = alone + (slip_rate * stride * heard)[:, None, None] * (anywhere - alone)
        pairs_count = (number * (number - 1) / 2).clamp(min=1)
        both = (1 - change - leave)[..., None] * both + joining
        both = both + (change[:, 0] * pair / pairs_count)[:, None, None] * together
        nobody = (1 - change[:, 0]) * nobody + change[:, 0] * (1 - pair - share * number)
        # How well each state explains the tick.
        singles = alone.sum(2)
        own_lag = ((alone + 1e-6 * lag_prior) / (singles + 1e-6)[..., None]).detach()
        each = pair_gain * stride * torch.log((own_lag * factors[t]).sum(2))
        # Masked, or gradients through the empty diagonal grow without limit.
        both = off_diagonal * both * torch.exp(each[:, :, None] + each[:, None] + weight[:, None, None] * pair_bias)
        alone = alone * torch.exp(stride * gains[t])
        total = nobody + alone.sum(dim=[1, 2]) + both.sum(dim=[1, 2]) / 2
        alone = alone / total[:, None, None]
        both = both / total[:, None, None]
        nobody = nobody / total
        out_alone.append(alone.sum(2))
        out_both.append(both)
        out_nobody.append(nobody)
        with torch.no_grad():
            singles, paired = alone.sum(2), both.sum(2)
            gained = alone + (paired / (singles + 1e-6))[..., None] * (alone + 1e-6 * lag_prior)
            counts = counts * (1 - 1 / memory_ticks) ** weight[:, None, None] + gained * weight[:, None, None]
            if t % 3 == 2:
                room = start_count * start + counts.sum(1) @ others.T
                room = room / room.sum(1, keepdim=True)
                common = start_count * (room_share * room + (1 - room_share) * start)
                mixed = common[:, None] + counts @ own.T
                lag_prior = mixed / mixed.sum(2, keepdim=True)
    return torch.stack(out_alone), torch.stack(out_both), torch.stack(out_nobody)


def loss_of(
    posterior: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    label: torch.Tensor,
    weight: torch.Tensor,
    in_view: torch.Tensor,
) -> torch.Tensor:
    """Mean negative log-probability of the truth. ``label`` [T, B] as in Conversation, ``weight`` [T, B]."""
    alone, both, nobody = posterior
    n = alone.shape[2]
    unseen = nobody + (alone * (1 - in_view)).sum(2)
    several = [both[:, :, i, j] for i, j in pairs(n)]
    states = torch.stack([unseen, *alone.unbind(2), *several], 2)
    chosen = states.gather(2, label.clamp(min=0)[..., None])[..., 0]
    return -(chosen.clamp(min=1e-9).log().clamp(min=_LEAST_LOG) * weight).sum() / weight.sum()


def tick_weights(talk: Conversation) -> npt.NDArray[np.float32]:
    """Weight of each tick: 0 without speech, more in the early ticks of a turn."""
    counted = (talk.label != NO_SPEECH) & (talk.speech >= PAUSE_BELOW)
    began = np.flatnonzero(np.diff(talk.label, prepend=-9) != 0)
    age = np.arange(len(talk.label)) - began[np.searchsorted(began, np.arange(len(talk.label)), side="right") - 1]
    weights = np.where((age >= _FIRST_TICKS) & (age < _EARLY_TICKS), _EARLY_WEIGHT, 1.0)
    return np.asarray(counted * weights, np.float32)


def fit(
    talks: Sequence[Conversation],
    settings: FitSettings,
    scale: float,
    centre: float,
    start: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> DecisionModel:
    """Fit a model to ``talks``, from the stored weights ``start`` on if given."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    groups: dict[int, list[int]] = {}
    for k, talk in enumerate(talks):
        groups.setdefault(len(talk.cosines), []).append(k)
    sizes = [n for n, those in groups.items() if len(those) >= settings.batch]
    shares = np.array([len(groups[n]) for n in sizes], float)
    model = DecisionModel()
    if start is not None:
        model.load(start)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, settings.steps, eta_min=settings.learning_rate / 20
    )
    began, recent = time.monotonic(), []
    for step in range(settings.steps):
        n = int(rng.choice(sizes, p=shares / shares.sum()))
        picks = rng.choice(groups[n], settings.batch, replace=False)
        *inputs, in_view, label, weight = batch_of([talks[k] for k in picks], scale, centre)
        loss = loss_of(model(*inputs, in_view), label, weight, in_view)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if step % 25 == 24:
            logger.info("step %d, %.0f s, loss %.4f", step + 1, time.monotonic() - began, np.mean(recent))
            recent = []
    return model


def batch_of(talks: Sequence[Conversation], scale: float, centre: float) -> tuple[torch.Tensor, ...]:
    """Features [T, B, n, 31, FEATURES], weight of the speech at each lag [T, B, n, 31], speech [T, B], in view
    [T, B, n], label and weight [T, B], of every STRIDE-th tick."""
    x = torch.from_numpy(np.stack([conversation_features(talk, scale, centre)[::STRIDE] for talk in talks], 1))

    def stacked(values: Callable[[Conversation], npt.NDArray[np.generic]]) -> torch.Tensor:
        by_tick = [np.moveaxis(values(talk), -1, 0)[::STRIDE] for talk in talks]
        return torch.from_numpy(np.ascontiguousarray(np.stack(by_tick, 1)))

    return (
        x,
        stacked(lambda t: t.known * speech_weight(t.heard.astype(np.float32))),
        stacked(lambda t: t.speech),
        stacked(lambda t: t.in_view).float(),
        stacked(lambda t: t.label),
        stacked(tick_weights),
    )


def expert_like(talk: Conversation, rng: np.random.Generator) -> Conversation:
    """``talk`` with the statistics of a network that has non-negative embeddings and no visual VAD.

    Stands in for Wav2Lip's expert where its weights are not at hand. Its cosines lie in [0, 1], at a level that
    microphone and camera shift; it uses five frames per tick, so single cosines are noisier. Level, contrast and
    roughness are drawn per conversation: what is learnt must not rest on any of them.
    """
    level, contrast, rough = rng.uniform(0.05, 0.35), rng.uniform(0.6, 1.1), rng.uniform(0.05, 0.15)
    cosines = level + contrast * talk.cosines.astype(np.float32) + rng.normal(0, rough, talk.cosines.shape)
    return replace(talk, cosines=cosines.clip(0, 1).astype(np.float16), visual_vad=np.zeros_like(talk.visual_vad))


def learn(
    talks: Sequence[Conversation],
    output: Path,
    settings: FitSettings,
    card: dict[str, str],
    start: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> None:
    """Fit and write the decision weights, with ``card`` as their header; ``start`` as in ``fit``."""
    if start is not None:
        scale, centre = start["scale"].item(), start["centre"].item()
    else:
        spread = np.concatenate([t.cosines[t.known].astype(np.float32)[::997] for t in talks])
        # Cosines are brought to a deviation of about a half, whichever network they come from.
        scale, centre = float(0.6 / spread.std()), float(spread.mean())
    model = fit(talks, settings, scale, centre, start)
    save_weights(made_cautious(arrays_of(model, scale, centre)), output, card)


def made_cautious(arrays: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """The fitted numbers, with nobody in view more probable."""
    return {**arrays, "nobody": arrays["nobody"] * np.float32(_NOBODY_FACTOR)}


def arrays_of(model: DecisionModel, scale: float, centre: float) -> dict[str, npt.NDArray[np.float32]]:
    """The learnt numbers as they are stored."""
    with torch.no_grad():
        arrays = {
            "linear": model.linear.weight[0],
            "bias": model.linear.bias[0] + model.output.bias[0],
            "hidden": model.hidden.weight.T,
            "hidden_bias": model.hidden.bias,
            "output": model.output.weight[0],
            "scale": torch.tensor(scale),
            "centre": torch.tensor(centre),
            **model.constants(),
        }
        return {name: np.array(value.numpy(), np.float32) for name, value in arrays.items()}
