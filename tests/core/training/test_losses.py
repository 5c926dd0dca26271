from __future__ import annotations

import torch
from torch.nn import functional

from core.training.losses import when_loss, whether_loss, whose_loss

SCALE = torch.tensor(10.0)


def unit(seed: int, *shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_faces_that_fit_their_sound_lose_least() -> None:
    faces, still, spoken = unit(0, 4, 16, 22), unit(1, 2, 16, 22), torch.ones(4, 22)
    right, late, strangers = faces, faces.roll(5, dims=2), faces.roll(1, dims=0)
    assert when_loss(faces, right, SCALE, spoken) < 0.1 < when_loss(faces, late, SCALE, spoken)
    assert whose_loss(faces, right, still, SCALE, spoken) < 0.1 < whose_loss(faces, strangers, still, SCALE, spoken)


def test_where_nothing_is_said_nothing_is_learnt() -> None:
    faces, sounds, silent = unit(0, 4, 16, 22), unit(1, 4, 16, 22), torch.zeros(4, 22)
    assert when_loss(faces, sounds, SCALE, silent) == 0
    assert whose_loss(faces, sounds, faces[:1], SCALE, silent) == 0


def test_only_known_mouths_count() -> None:
    logits, speaking = torch.tensor([[9.0, -9.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    assert whether_loss(logits, speaking, torch.tensor([[1.0, 1.0, 0.0]])) < 0.01
    assert whether_loss(logits, speaking, torch.ones(1, 3)) > 1
