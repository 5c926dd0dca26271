from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.core.errors import InputError
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.dataset import (
    HELD_OUT,
    SOURCE_WEIGHTS,
    Batch,
    Sampler,
    clip_weights,
    people_of,
    speech_of,
    split_by_person,
)
from tests.core.training.people import people, person

TALKING, IDLE, TICKS = 5, 2, 24


def sampler(seed: int = 0) -> Sampler:
    return Sampler(people(12), TALKING, IDLE, TICKS, seed)


def same(first: Batch, second: Batch) -> bool:
    return all(
        torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) for a, b in zip(*map(fields, (first, second)), strict=True)
    )


def fields(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.crops, batch.samples, batch.speech, batch.spoken, batch.foreign


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    straight, again = sampler(), sampler()
    batches = [straight.batch(step) for step in range(4)]
    assert same(again.batch(3), batches[3]) and same(again.batch(0), batches[0])
    assert not same(batches[0], batches[1])
    assert not same(sampler(seed=1).batch(0), batches[0])


def test_a_batch_has_its_documented_shapes_and_values() -> None:
    batch = sampler().batch(0)
    assert batch.crops.shape == (TALKING + IDLE, TICKS, 96, 96) and batch.crops.dtype == torch.uint8
    assert batch.samples.shape == (TALKING, TICKS * SAMPLES_PER_TICK) and batch.samples.dtype == torch.float32
    assert batch.speech.shape == (TALKING + IDLE, TICKS)
    assert batch.spoken.shape == batch.foreign.shape == (TALKING, TICKS)
    assert not (batch.spoken * batch.foreign).any() and 0.1 < batch.foreign.mean() < 0.7
    known = batch.speech[~batch.speech.isnan()]
    assert set(known.tolist()) <= {0.0, 1.0} and set(batch.spoken.flatten().tolist()) <= {0.0, 1.0}
    assert torch.isfinite(batch.samples).all()


def test_a_short_clip_is_in_a_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakerlight.core.training.dataset.degraded_video", lambda crops, rng: crops)
    # Each face is another pattern, and its first row never moves.
    draw = Sampler(people(6), 6, 1, TICKS, 0)
    for step in range(5):
        corners = {tuple(crops[0, 0, :8].tolist()) for crops in draw.batch(step).crops[:6]}
        assert len(corners) == 6


def test_short_clips_are_extended_to_full_length() -> None:
    batch = Sampler(people(4, ticks=20), 4, 2, 32, 0).batch(0)
    assert batch.crops.shape == (6, 32, 96, 96) and torch.isfinite(batch.samples).all()


def test_too_few_clips_are_reported_in_one_line() -> None:
    with pytest.raises(InputError, match="3 clips with a face are too few"):
        Sampler(people(3), TALKING, IDLE, TICKS, 0)


def test_no_person_is_both_trained_on_and_held_out() -> None:
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


def test_voice_activity_has_one_value_for_each_whole_tick() -> None:
    speech = speech_of(np.zeros(SAMPLES_PER_TICK * 10 + 17, np.float32))
    assert speech.shape == (10,) and speech.dtype == np.float32 and speech.max() < 0.5


def test_people_count_alike_and_their_clips_by_length() -> None:
    examples = [
        *(person(k, ticks=40, source="people", name="often") for k in range(4)),
        person(4, ticks=80, source="people", name="once"),
        person(5, ticks=40, source="people", name="twice"),
        person(6, ticks=120, source="people", name="twice"),
    ]
    weights = clip_weights(examples)
    shares: Counter[str] = Counter()
    for example, weight in zip(examples, weights, strict=True):
        shares[example.person] += weight
    np.testing.assert_allclose(list(shares.values()), 1 / 3)
    assert weights[6] == pytest.approx(3 * weights[5])


def test_sources_have_their_shares_and_repositories_count_by_the_root_of_their_clips() -> None:
    examples = [
        person(0, source="people", name="one"),
        *(person(k, group="large__set") for k in range(4)),
        person(9, group="small__set"),
    ]
    weights = clip_weights(examples)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] / weights[1:].sum() == pytest.approx(SOURCE_WEIGHTS["people"] / SOURCE_WEIGHTS["single"])
    assert weights[1:5].sum() / weights[5] == pytest.approx(2)


def test_a_folders_list_names_the_people(tmp_path: Path) -> None:
    assert people_of(tmp_path) == {}
    (tmp_path / "clips.csv").write_text("file,person,seconds\na.mp4,ann,2\nb.mp4,,2\n")
    assert people_of(tmp_path) == {"a.mp4": "ann"}


def test_long_clips_give_a_second_cut_of_another_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakerlight.core.training.dataset.degraded_video", lambda crops, rng: crops)
    draw = Sampler(people(10, ticks=3 * TICKS), 10, 1, TICKS, 0)
    for step in range(5):
        batch = draw.batch(step)
        faces = [tuple(crops[0, 0, :8].tolist()) for crops in batch.crops[:10]]
        repeated = [face for face, count in Counter(faces).items() if count == 2]
        assert len(set(faces)) == 8 and len(repeated) == 2
        for face in repeated:
            first, second = (k for k, other in enumerate(faces) if other == face)
            assert not torch.equal(batch.crops[first], batch.crops[second])
