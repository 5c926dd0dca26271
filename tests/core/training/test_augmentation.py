from __future__ import annotations

import numpy as np
import pytest
import torch
from speakerlight.core.audio.logmel import COMPACT_MEL, log_mel
from speakerlight.core.faces.crops import mouth_crop
from speakerlight.core.models.compact import CROP
from speakerlight.core.training.augmentation import (
    augmented_crops,
    augmented_mel,
    augmented_sound,
    batch_log_mel,
    dressed,
    plain_crops,
)
from speakerlight.core.training.clips import STORED_CROP

from tests.core.faces.test_crops import drawn, keypoints_of


def crops(batch: int = 6, ticks: int = 8) -> torch.Tensor:
    coarse = torch.rand(1, batch * ticks, 6, 6, generator=torch.Generator().manual_seed(0)) * 200 + 20
    fine = torch.nn.functional.interpolate(coarse, (96, 96), mode="bilinear")
    return fine.view(batch, ticks, 96, 96).to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(int(seconds * 16_000)) * 0.1).astype(np.float32)


def test_crops_come_out_in_the_models_size_and_about_in_range() -> None:
    out = augmented_crops(crops(), seeded())
    assert out.shape == (6, 8, CROP.side_pixels, CROP.side_pixels) and out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert float(out.min()) > -200 and float(out.max()) < 600
    assert 20 < float(out.mean()) < 235


def test_the_same_seed_changes_crops_in_the_same_way() -> None:
    assert torch.equal(augmented_crops(crops(), seeded(1)), augmented_crops(crops(), seeded(1)))
    assert not torch.equal(augmented_crops(crops(), seeded(1)), augmented_crops(crops(), seeded(2)))


def test_a_clip_stays_one_clip_its_frames_are_changed_alike() -> None:
    still = crops()[:, :1].expand(-1, 8, -1, -1).contiguous()
    out = augmented_crops(still, seeded())
    within = (out[:, 1:] - out[:, :-1]).abs().mean()
    between = (out[1:] - out[:-1]).abs().mean()
    assert within < 0.4 * between


def test_in_another_persons_skin_every_movement_stays_larger_or_smaller_as_a_whole() -> None:
    clips = crops(batch=40).float()
    out = dressed(clips, seeded())
    before, after = clips.diff(dim=1).flatten(1), out.diff(dim=1).flatten(1)
    larger = (before * after).sum(1) / (before * before).sum(1)
    torch.testing.assert_close(after, larger[:, None] * before, atol=1e-2, rtol=0)
    assert 0.67 < larger.min() < 0.9 and 1.1 < larger.max() < 1.5
    assert 10 < int(((larger - 1).abs() < 1e-4).sum()) < 30
    is_dressed = (out.mean(1) - clips.mean(1)).abs().amax((1, 2)) > 1
    assert 10 < int(is_dressed.sum()) < 30


def test_plain_crops_are_what_the_engine_cuts() -> None:
    image, keypoints = drawn((320, 240), 80, 0.0), keypoints_of((320, 240), 80, 0.0)
    stored = torch.from_numpy(mouth_crop(image, keypoints, STORED_CROP))[None, None]
    engine = mouth_crop(image, keypoints, CROP)
    np.testing.assert_allclose(plain_crops(stored)[0, 0], engine, atol=6)


@pytest.mark.parametrize("first", [-29, -3, 0, 7])
@pytest.mark.parametrize("columns", [1, 60, 150])
def test_batches_hear_what_the_engine_hears(first: int, columns: int) -> None:
    samples = np.stack([noise(1.0, seed) for seed in range(3)])
    batch = batch_log_mel(torch.from_numpy(samples), first, columns)
    assert batch.shape == (3, columns, COMPACT_MEL.mels) and batch.dtype == torch.float32
    for k in range(3):
        engine = log_mel(samples[k], COMPACT_MEL)
        for column in range(max(first, 0), min(first + columns, 98)):
            np.testing.assert_allclose(batch[k, column - first], engine[column], atol=1e-4)


def test_outside_the_sound_lies_silence() -> None:
    batch = batch_log_mel(torch.from_numpy(noise(0.2)[None]), -10, 60)
    assert (batch[0, :8] == COMPACT_MEL.silence).all() and (batch[0, 33:] == COMPACT_MEL.silence).all()


def test_mel_keeps_its_shape_and_range() -> None:
    mel = torch.rand(16, 50, COMPACT_MEL.mels, generator=seeded()) * 2 - 1
    out = augmented_mel(mel, seeded(1))
    assert out.shape == mel.shape and float(out.abs().max()) <= 1
    assert torch.equal(out, augmented_mel(mel, seeded(1)))
    assert not torch.equal(out, augmented_mel(mel, seeded(2)))


def test_sound_keeps_its_length_and_its_place_in_time() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[8000:9000] = noise(1000 / 16_000)
    for seed in range(20):
        out = augmented_sound(samples, noise(1.0, seed + 1), np.random.default_rng(seed))
        assert out.shape == samples.shape and out.dtype == np.float32 and np.isfinite(out).all()
        loudness = np.convolve(out**2, np.ones(1000), "valid")
        assert abs(int(loudness.argmax()) - 8000) <= 400


def test_sound_comes_at_levels_of_real_microphones() -> None:
    levels = [
        20 * np.log10(np.sqrt(np.mean(augmented_sound(noise(0.5), noise(0.5, 1), np.random.default_rng(seed)) ** 2)))
        for seed in range(40)
    ]
    assert min(levels) > -50 and max(levels) < -5 and np.ptp(levels) > 15


def test_digital_silence_is_survived() -> None:
    silence = np.zeros(8000, np.float32)
    for seed in range(10):
        assert np.isfinite(augmented_sound(silence, silence, np.random.default_rng(seed))).all()
