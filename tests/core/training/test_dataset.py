from __future__ import annotations

import numpy as np
import pytest
import torch
from speakerlight.core.errors import InputError
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.dataset import HELD_OUT, Batch, Sampler, speech_of, split_by_person

from tests.core.training.people import people, person

TALKING, IDLE, TICKS = 5, 2, 24


def sampler(seed: int = 0) -> Sampler:
    return Sampler(people(12), TALKING, IDLE, TICKS, seed)


def same(first: Batch, second: Batch) -> bool:
    return all(
        torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) for a, b in zip(*map(fields, (first, second)), strict=True)
    )


def fields(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.crops, batch.samples, batch.speech, batch.spoken


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    straight, again = sampler(), sampler()
    batches = [straight.batch(step) for step in range(4)]
    assert same(again.batch(3), batches[3]) and same(again.batch(0), batches[0])
    assert not same(batches[0], batches[1])
    assert not same(sampler(seed=1).batch(0), batches[0])


def test_a_batch_is_as_it_says() -> None:
    batch = sampler().batch(0)
    assert batch.crops.shape == (TALKING + IDLE, TICKS, 96, 96) and batch.crops.dtype == torch.uint8
    assert batch.samples.shape == (TALKING, TICKS * SAMPLES_PER_TICK) and batch.samples.dtype == torch.float32
    assert batch.speech.shape == (TALKING + IDLE, TICKS)
    assert batch.spoken.shape == (TALKING, TICKS)
    known = batch.speech[~batch.speech.isnan()]
    assert set(known.tolist()) <= {0.0, 1.0} and set(batch.spoken.flatten().tolist()) <= {0.0, 1.0}
    assert torch.isfinite(batch.samples).all()


def test_no_clip_is_in_a_batch_twice() -> None:
    # Everybody's face is another pattern: the rows that never move tell who it is.
    draw = Sampler(people(6), 6, 1, TICKS, 0)
    for step in range(5):
        corners = {tuple(crops[0, 0, :8].tolist()) for crops in draw.batch(step).crops[:6]}
        assert len(corners) == 6


def test_short_clips_fill_their_place() -> None:
    batch = Sampler(people(4, ticks=20), 4, 2, 32, 0).batch(0)
    assert batch.crops.shape == (6, 32, 96, 96) and torch.isfinite(batch.samples).all()


def test_too_few_clips_are_one_clear_line() -> None:
    with pytest.raises(InputError, match="3 clips with a face are too few"):
        Sampler(people(3), TALKING, IDLE, TICKS, 0)


def test_nobody_is_both_trained_on_and_held_out() -> None:
    examples = [person(k, group=HELD_OUT) for k in range(9)] + [person(k, group="other__place") for k in range(5)]
    train, held_out = split_by_person(examples)
    names = {e.face.name for e in train}, {e.face.name for e in held_out}
    assert not names[0] & names[1]
    assert len(train) + len(held_out) == len(examples)
    assert len(held_out) == 5 and all(e.group == HELD_OUT for e in held_out)


def test_clips_of_one_person_stay_on_one_side_of_the_split() -> None:
    examples = [person(k, group=HELD_OUT) for k in (0, 1, 2)] + [person(1, group=HELD_OUT, source="generated")]
    train, held_out = split_by_person(examples)
    assert not {e.face.name for e in train} & {e.face.name for e in held_out}


def test_speech_is_told_for_each_whole_tick() -> None:
    speech = speech_of(np.zeros(SAMPLES_PER_TICK * 10 + 17, np.float32))
    assert speech.shape == (10,) and speech.dtype == np.float32 and speech.max() < 0.5
