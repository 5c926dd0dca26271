from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from speakerlight.core.training.losses import (
    MAX_LAG_TICKS,
    NEIGHBOUR_SHARE,
    WINDOW_TICKS,
    when_loss,
    whether_loss,
    whose_loss,
)

CLIPS, SIZE, TICKS = 6, 32, 24
SCALE = torch.tensor(10.0)
ALL = torch.ones(CLIPS, TICKS)
IN_SYNC = torch.zeros(CLIPS, dtype=torch.int64)


def vectors(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, SIZE, TICKS, generator=generator), dim=1)


def smooth(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors that resemble their neighbours in time, as audio does."""
    return functional.normalize(vectors + 0.55 * (vectors.roll(1, dims=2) + vectors.roll(-1, dims=2)), dim=1)


SOUNDS, IDLE = smooth(vectors(CLIPS, 0)), vectors(3, 1)


def test_the_true_moment_costs_less_than_another() -> None:
    matching = when_loss(SOUNDS, SOUNDS, SCALE, ALL)
    assert matching < 0.5
    assert when_loss(SOUNDS.roll(5, dims=2), SOUNDS, SCALE, ALL) > matching + 1
    assert when_loss(smooth(vectors(CLIPS, 2)), SOUNDS, SCALE, ALL) > matching + 1


def test_the_neighbours_of_the_true_moment_cost_least_at_their_share() -> None:
    moments = torch.eye(TICKS).expand(CLIPS, -1, -1)
    beside = moments.roll(1, dims=2) + moments.roll(-1, dims=2)

    def cost(share: float) -> float:
        alike = 1 + math.log(share) / float(SCALE)  # the softmax over moments gives the neighbours this share
        audio = moments + alike * beside
        return float(when_loss(moments, audio, SCALE, ALL))

    assert (
        cost(NEIGHBOUR_SHARE) < 0.05 < min(cost(NEIGHBOUR_SHARE / 2), cost(NEIGHBOUR_SHARE * 2), cost(1.0), cost(1e-4))
    )


def test_the_true_voice_costs_less_than_another() -> None:
    matching = whose_loss(SOUNDS, SOUNDS, IDLE, SCALE, ALL, IN_SYNC)
    assert matching < 0.1
    assert whose_loss(SOUNDS.roll(1, dims=0), SOUNDS, IDLE, SCALE, ALL, IN_SYNC) > matching + 1


def test_the_voice_is_read_at_its_lag() -> None:
    lags = torch.tensor([-2, -1, 0, 1, 2, 0])
    late = torch.stack([audio.roll(int(lag), dims=1) for audio, lag in zip(SOUNDS, lags, strict=True)])
    assert whose_loss(SOUNDS, late, IDLE, SCALE, ALL, lags) < 0.1
    assert whose_loss(SOUNDS, late, IDLE, SCALE, ALL, -lags) > 1


def test_what_is_heard_before_a_turn_does_not_count() -> None:
    begins = ALL.clone()
    begins[:, :7] = 0
    before = SOUNDS.clone()
    before[..., :7] = vectors(CLIPS, 3)[..., :7]
    expected = whose_loss(SOUNDS, SOUNDS, IDLE, SCALE, begins, IN_SYNC)
    assert whose_loss(SOUNDS, before, IDLE, SCALE, begins, IN_SYNC) == pytest.approx(float(expected), abs=1e-6)
    assert whose_loss(SOUNDS, before, IDLE, SCALE, ALL, IN_SYNC) > expected + 0.001


def test_a_turn_of_few_ticks_is_compared_by_these() -> None:
    short = torch.zeros(CLIPS, TICKS)
    short[:, 12:15] = 1
    assert whose_loss(SOUNDS, SOUNDS, IDLE, SCALE, short, IN_SYNC) < 0.1
    assert whose_loss(SOUNDS.roll(1, dims=0), SOUNDS, IDLE, SCALE, short, IN_SYNC) > 1


def test_an_idle_face_that_fits_a_voice_costs() -> None:
    clear = whose_loss(SOUNDS, SOUNDS, IDLE, SCALE, ALL, IN_SYNC)
    assert whose_loss(SOUNDS, SOUNDS, SOUNDS[:3].clone(), SCALE, ALL, IN_SYNC) > clear + 0.1


@pytest.mark.parametrize("loss", ["when", "whose"])
def test_moments_without_speech_do_not_count(loss: str) -> None:
    def of(faces: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if loss == "when":
            return when_loss(faces, SOUNDS, SCALE, weight)
        return whose_loss(faces, SOUNDS, IDLE, SCALE, weight, IN_SYNC)

    assert of(vectors(CLIPS, 3), torch.zeros(CLIPS, TICKS)) == 0
    # The second half of the ticks is silent; windows that reach into the first still count.
    end = MAX_LAG_TICKS + WINDOW_TICKS
    spoken = (torch.arange(TICKS) < end).float().expand(CLIPS, -1)
    half = SOUNDS.clone()
    half[0, :, end:] = 0
    assert of(half, spoken) < 0.5


def test_a_correct_visual_vad_costs_less() -> None:
    speaking = (torch.arange(TICKS) % 2).float().expand(CLIPS, -1)
    right = whether_loss(6 * speaking - 3, speaking, ALL)
    assert right < 0.1 < 1 < whether_loss(3 - 6 * speaking, speaking, ALL)


def test_unknown_ticks_do_not_count() -> None:
    known = torch.zeros(CLIPS, TICKS)
    known[:, 0] = 1
    logits = torch.full((CLIPS, TICKS), 50.0)
    logits[:, 0] = -50
    assert whether_loss(logits, torch.zeros(CLIPS, TICKS), known) < 1e-6
    assert whether_loss(logits, torch.zeros(CLIPS, TICKS), torch.zeros(CLIPS, TICKS)) == 0
