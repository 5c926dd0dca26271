"""Training losses: *when* (which moment of the audio), *whose* (which voice), *match* (whether a voice is
a face's at all), *whether* (the mouth speaks or not)."""

from __future__ import annotations

import torch
from torch.nn import functional

WINDOW_TICKS = 11
"""Length of the segments that are compared with the voices of the batch."""

NEIGHBOUR_SHARE = 0.3
"""Target of the moments next to the true one, relative to it: at 25 Hz they hold nearly the same audio."""

LAG_TICKS, MAX_LAG_TICKS = 1.0, 3
"""Standard deviation and maximum of the random lag in *whose*: clips are a frame off even after alignment. More than
this (2.2 and 5 were used before) blurs the peak over lags, which the decision needs."""


OTHERS_WEIGHT = 3.0
"""Weight of all wrong faces together in *match*, relative to the right one."""


def when_loss(faces: torch.Tensor, audio: torch.Tensor, scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """InfoNCE within each clip in both directions, minus its minimum. faces, audio [B, D, T] unit vectors; weight
    [B, T], 0 without speech.

    The moments next to the true one are targets too, weighted by NEIGHBOUR_SHARE. Excluding them from the negatives
    is not enough: then nothing centres the peak between them.
    """
    ticks = faces.shape[2]
    similarity = scale * torch.einsum("bdt,bds->bts", faces, audio)
    apart = (torch.arange(ticks)[:, None] - torch.arange(ticks)).abs()
    target = torch.where(apart == 0, 1.0, torch.where(apart == 1, NEIGHBOUR_SHARE, 0.0))
    target = target / target.sum(1, keepdim=True)
    both = functional.kl_div(similarity.log_softmax(2), target.expand_as(similarity), reduction="none").sum(2)
    both = both + functional.kl_div(similarity.log_softmax(1), target.T.expand_as(similarity), reduction="none").sum(1)
    return (both * weight).sum() / weight.sum().clamp(min=1) / 2


def segment_similarities(
    faces: torch.Tensor, audio: torch.Tensor, still: torch.Tensor, weight: torch.Tensor, lags: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cosines of each voice with each face over the ticks with weight of segments of WINDOW_TICKS.

    ``faces``, ``audio`` [B, D, T] unit vectors; ``still`` [S, D, T]: idle faces; ``weight`` [B, T] of the audio's
    ticks; ``lags`` int [B], within ±MAX_LAG_TICKS: shift of each clip's audio against its face. Returns cosines
    [K, B voices, B + S faces] of K segments, and the share [K, B] of each voice's ticks with weight.
    """
    inner = slice(MAX_LAG_TICKS, faces.shape[2] - MAX_LAG_TICKS)
    ticks = torch.arange(faces.shape[2])[inner] + lags[:, None]
    audio = audio.gather(2, ticks[:, None].expand(-1, audio.shape[1], -1))
    every, weight = torch.cat([faces, still])[..., inner], weight.gather(1, ticks)
    step = WINDOW_TICKS // 2
    every, audio = every.unfold(2, WINDOW_TICKS, step), audio.unfold(2, WINDOW_TICKS, step)
    weight = weight.unfold(1, WINDOW_TICKS, step)
    shares = weight / weight.sum(2, keepdim=True).clamp(min=1)
    return torch.einsum("bdkt,cdkt,ckt->kcb", every, audio, shares), weight.mean(2).T


def whose_loss(similarities: torch.Tensor, spoken: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """InfoNCE across the batch, of ``segment_similarities`` over the ticks that are spoken. Idle faces fit no voice."""
    scaled = scale * similarities
    right = torch.arange(scaled.shape[1]).expand(len(scaled), -1)
    which_face = functional.cross_entropy(scaled.transpose(1, 2), right, reduction="none")
    which_audio = functional.cross_entropy(scaled[..., : scaled.shape[1]], right, reduction="none")
    return ((which_face + which_audio) * spoken).sum() / 2 / spoken.sum().clamp(min=1)


def match_loss(
    similarities: torch.Tensor,
    spoken: torch.Tensor,
    foreign: torch.Tensor,
    heard_foreign: torch.Tensor,
    line: torch.Tensor,
) -> torch.Tensor:
    """Binary cross-entropy of *match*: whether a voice is a face's, by its cosine alone.

    InfoNCE only asks that the right face fits better than the others. Where the speaker is out of view nobody is
    right, so a cosine must mean the same for every face. ``foreign``: similarities over the ticks in which each clip's
    audio is not its own (before and after its turn, ``heard_foreign`` [K, B] of the ticks): its own face does not match
    then. ``line``: scale and bias [2] of the cosine's log-odds.
    """
    odds = line[0] * similarities + line[1]
    own = torch.eye(odds.shape[1], odds.shape[2], dtype=torch.bool)
    others = (functional.softplus(odds) * ~own).sum(2) / (odds.shape[2] - 1)
    matched = functional.softplus(-odds.diagonal(dim1=1, dim2=2)) + OTHERS_WEIGHT * others
    after = functional.softplus(line[0] * foreign.diagonal(dim1=1, dim2=2) + line[1])
    total = (matched * spoken).sum() + (after * heard_foreign).sum()
    return total / (spoken.sum() + heard_foreign.sum()).clamp(min=1)


def whether_loss(logits: torch.Tensor, speaking: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the visual VAD head. logits, speaking, known [B, T]."""
    each = functional.binary_cross_entropy_with_logits(logits, speaking, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
