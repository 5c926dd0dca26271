"""Training losses: *when* (which moment of the audio), *whose* (which voice), *whether* (the mouth speaks or not)."""

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


def whose_loss(
    faces: torch.Tensor,
    audio: torch.Tensor,
    still: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    lags: torch.Tensor,
) -> torch.Tensor:
    """InfoNCE across the batch on means over the ticks with weight of each WINDOW_TICKS.

    ``still`` [S, D, T]: idle faces, which fit no voice.
    ``lags`` int [B], within ±MAX_LAG_TICKS: shift of each clip's audio against its face.
    """
    inner = slice(MAX_LAG_TICKS, faces.shape[2] - MAX_LAG_TICKS)
    ticks = torch.arange(faces.shape[2])[inner] + lags[:, None]
    audio = audio.gather(2, ticks[:, None].expand(-1, audio.shape[1], -1))
    faces, still, weight = faces[..., inner], still[..., inner], weight.gather(1, ticks)
    starts = range(0, faces.shape[2] - WINDOW_TICKS + 1, WINDOW_TICKS // 2)
    total, count = faces.new_zeros(()), faces.new_zeros(())
    for start in starts:
        part = slice(start, start + WINDOW_TICKS)
        spoken = weight[:, part].mean(1)
        shares = weight[:, part] / weight[:, part].sum(1, keepdim=True).clamp(min=1)
        of_all = torch.einsum("bdt,cdt,ct->cb", torch.cat([faces, still])[..., part], audio[..., part], shares)
        similarity = scale * of_all  # [audio, face]
        right = torch.arange(len(audio))
        which_face = functional.cross_entropy(similarity, right, reduction="none")
        which_audio = functional.cross_entropy(similarity[:, : len(faces)].T, right, reduction="none")
        total = total + ((which_face + which_audio) * spoken).sum() / 2
        count = count + spoken.sum()
    return total / count.clamp(min=1)


def whether_loss(logits: torch.Tensor, speaking: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the visual VAD head. logits, speaking, known [B, T]."""
    each = functional.binary_cross_entropy_with_logits(logits, speaking, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
