from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from speakerlight.core.training.losses import (
    MAX_LAG_TICKS,
    NEIGHBOUR_SHARE,
    WINDOW_TICKS,
    match_loss,
    segment_similarities,
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


def whose(
    faces: torch.Tensor, audio: torch.Tensor, still: torch.Tensor, weight: torch.Tensor, lags: torch.Tensor
) -> torch.Tensor:
    return whose_loss(*segment_similarities(faces, audio, still, weight, lags), SCALE)


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
    matching = whose(SOUNDS, SOUNDS, IDLE, ALL, IN_SYNC)
    assert matching < 0.1
    assert whose(SOUNDS.roll(1, dims=0), SOUNDS, IDLE, ALL, IN_SYNC) > matching + 1


def test_the_voice_is_read_at_its_lag() -> None:
    lags = torch.tensor([-2, -1, 0, 1, 2, 0])
    late = torch.stack([audio.roll(int(lag), dims=1) for audio, lag in zip(SOUNDS, lags, strict=True)])
    assert whose(SOUNDS, late, IDLE, ALL, lags) < 0.1
    assert whose(SOUNDS, late, IDLE, ALL, -lags) > 1


def test_what_is_heard_before_a_turn_does_not_count() -> None:
    begins = ALL.clone()
    begins[:, :7] = 0
    before = SOUNDS.clone()
    before[..., :7] = vectors(CLIPS, 3)[..., :7]
    expected = whose(SOUNDS, SOUNDS, IDLE, begins, IN_SYNC)
    assert whose(SOUNDS, before, IDLE, begins, IN_SYNC) == pytest.approx(float(expected), abs=1e-6)
    assert whose(SOUNDS, before, IDLE, ALL, IN_SYNC) > expected + 0.001


def test_a_turn_of_few_ticks_is_compared_by_these() -> None:
    short = torch.zeros(CLIPS, TICKS)
    short[:, 12:15] = 1
    assert whose(SOUNDS, SOUNDS, IDLE, short, IN_SYNC) < 0.1
    assert whose(SOUNDS.roll(1, dims=0), SOUNDS, IDLE, short, IN_SYNC) > 1


def test_an_idle_face_that_fits_a_voice_costs() -> None:
    clear = whose(SOUNDS, SOUNDS, IDLE, ALL, IN_SYNC)
    assert whose(SOUNDS, SOUNDS, SOUNDS[:3].clone(), ALL, IN_SYNC) > clear + 0.1


def match(faces: torch.Tensor, audio: torch.Tensor, still: torch.Tensor, spoken: torch.Tensor) -> float:
    """*match* where the audio is foreign to the clip wherever it is not ``spoken``."""
    similarities = segment_similarities(faces, audio, still, spoken, IN_SYNC)
    foreign = segment_similarities(faces, audio, still, 1 - spoken, IN_SYNC)
    return float(match_loss(*similarities, *foreign, torch.tensor([SCALE, -0.5 * SCALE])))


def test_a_voice_without_a_face_must_match_nobody() -> None:
    clear = match(SOUNDS, SOUNDS, IDLE, ALL)
    assert clear < 0.1
    # The right face still fits best, so that *whose* hardly minds; but on its own a wrong one would be taken, too.
    alike = functional.normalize(SOUNDS + 0.7 * SOUNDS.roll(1, dims=0), dim=1)
    assert whose(alike, SOUNDS, IDLE, ALL, IN_SYNC) < 0.2
    assert match(alike, SOUNDS, IDLE, ALL) > clear + 0.3
    assert match(SOUNDS, SOUNDS, SOUNDS[:3].clone(), ALL) > clear + 0.1, "idle faces match no voice"
    assert match(SOUNDS.roll(1, dims=0), SOUNDS, IDLE, ALL) > 1


def test_a_face_must_not_match_what_is_heard_after_its_turn() -> None:
    turn = (torch.arange(TICKS) < TICKS // 2).float().expand(CLIPS, -1)
    another = torch.where(turn[:, None] > 0, SOUNDS, SOUNDS.roll(1, dims=0))
    assert match(SOUNDS, another, IDLE, turn) < 0.1
    assert match(SOUNDS, SOUNDS, IDLE, turn) > 1, "its face goes on matching"


@pytest.mark.parametrize("loss", ["when", "whose"])
def test_moments_without_speech_do_not_count(loss: str) -> None:
    def of(faces: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if loss == "when":
            return when_loss(faces, SOUNDS, SCALE, weight)
        return whose(faces, SOUNDS, IDLE, weight, IN_SYNC)

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
