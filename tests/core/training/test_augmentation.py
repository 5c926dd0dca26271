from __future__ import annotations

import numpy as np
import pytest
import torch

from speakerlight.core.audio.logmel import COMPACT_MEL, log_mel
from speakerlight.core.faces.crops import mouth_crop
from speakerlight.core.models.compact import CROP
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.augmentation import (
    as_turn,
    augmented_audio,
    augmented_crops,
    augmented_mel,
    batch_log_mel,
    degraded_video,
    in_low_light,
    plain_crops,
    shown_moments,
    tracked_anew,
    with_beards,
    with_microphones,
    with_other_skin,
    with_skipped_blocks,
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


def test_augmented_crops_have_the_models_size_and_about_its_range() -> None:
    out = augmented_crops(crops(), seeded())
    assert out.shape == (6, 8, CROP.side_pixels, CROP.side_pixels) and out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert float(out.min()) > -200 and float(out.max()) < 600
    assert 20 < float(out.mean()) < 235


def test_the_same_seed_augments_crops_in_the_same_way() -> None:
    assert torch.equal(augmented_crops(crops(), seeded(1)), augmented_crops(crops(), seeded(1)))
    assert not torch.equal(augmented_crops(crops(), seeded(1)), augmented_crops(crops(), seeded(2)))


def test_all_frames_of_a_clip_are_augmented_alike() -> None:
    still = crops()[:, :1].expand(-1, 8, -1, -1).contiguous()
    out = augmented_crops(still, seeded())
    within = (out[:, 1:] - out[:, :-1]).abs().mean()
    between = (out[1:] - out[:-1]).abs().mean()
    assert within < 0.4 * between


def test_with_other_skin_movement_is_scaled_as_a_whole() -> None:
    clips = crops(batch=40).float()
    out = with_other_skin(clips, seeded())
    before, after = clips.diff(dim=1).flatten(1), out.diff(dim=1).flatten(1)
    larger = (before * after).sum(1) / (before * before).sum(1)
    torch.testing.assert_close(after, larger[:, None] * before, atol=1e-2, rtol=0)
    assert 0.54 < larger.min() < 0.8 and 1.1 < larger.max() < 1.5
    assert 10 < int(((larger - 1).abs() < 1e-4).sum()) < 30
    is_dressed = (out.mean(1) - clips.mean(1)).abs().amax((1, 2)) > 1
    assert 10 < int(is_dressed.sum()) < 30


def test_plain_crops_equal_the_engines() -> None:
    image, keypoints = drawn((320, 240), 80, 0.0), keypoints_of((320, 240), 80, 0.0)
    stored = torch.from_numpy(mouth_crop(image, keypoints, STORED_CROP))[None, None]
    engine = mouth_crop(image, keypoints, CROP)
    np.testing.assert_allclose(plain_crops(stored)[0, 0], engine, atol=6)


@pytest.mark.parametrize("first", [-29, -3, 0, 7])
@pytest.mark.parametrize("columns", [1, 60, 150])
def test_batch_log_mel_equals_the_engines(first: int, columns: int) -> None:
    samples = np.stack([noise(1.0, seed) for seed in range(3)])
    batch = batch_log_mel(torch.from_numpy(samples), first, columns)
    assert batch.shape == (3, columns, COMPACT_MEL.mels) and batch.dtype == torch.float32
    for k in range(3):
        engine = log_mel(samples[k], COMPACT_MEL)
        for column in range(max(first, 0), min(first + columns, 98)):
            np.testing.assert_allclose(batch[k, column - first], engine[column], atol=1e-4)


def test_log_mel_is_silent_outside_the_samples() -> None:
    batch = batch_log_mel(torch.from_numpy(noise(0.2)[None]), -10, 60)
    assert (batch[0, :8] == COMPACT_MEL.silence).all() and (batch[0, 33:] == COMPACT_MEL.silence).all()


def test_mel_keeps_its_shape_and_range() -> None:
    mel = torch.rand(16, 50, COMPACT_MEL.mels, generator=seeded()) * 2 - 1
    out = augmented_mel(mel, seeded(1))
    assert out.shape == mel.shape and float(out.abs().max()) <= 1
    assert torch.equal(out, augmented_mel(mel, seeded(1)))
    assert not torch.equal(out, augmented_mel(mel, seeded(2)))


def test_augmented_audio_keeps_its_length_and_timing() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[8000:9000] = noise(1000 / 16_000)
    for seed in range(20):
        out = augmented_audio(samples, noise(1.0, seed + 1), np.random.default_rng(seed))
        assert out.shape == samples.shape and out.dtype == np.float32 and np.isfinite(out).all()
        loudness = np.convolve(out**2, np.ones(1000), "valid")
        assert abs(int(loudness.argmax()) - 8000) <= 400


def test_augmented_audio_has_levels_of_real_microphones() -> None:
    levels = [
        20 * np.log10(np.sqrt(np.mean(augmented_audio(noise(0.5), noise(0.5, 1), np.random.default_rng(seed)) ** 2)))
        for seed in range(40)
    ]
    assert min(levels) > -50 and max(levels) < -5 and np.ptp(levels) > 15


def test_digital_silence_gives_finite_audio() -> None:
    silence = np.zeros(8000, np.float32)
    for seed in range(10):
        assert np.isfinite(augmented_audio(silence, silence, np.random.default_rng(seed))).all()


def test_a_turn_is_heard_only_between_its_ends_and_another_voice_or_silence_around_it() -> None:
    samples, other = noise(1.28), noise(1.28, 1)
    whole, quiet = [], []
    for seed in range(60):
        out, heard = as_turn(samples, other, np.random.default_rng(seed))
        audible = np.repeat(heard, SAMPLES_PER_TICK)
        assert len(heard) == 32 and heard.sum() >= 5 and np.abs(np.diff(heard.astype(int))).sum() <= 2
        assert np.array_equal(out[audible], samples[audible])
        whole.append(heard.all())
        if not heard.all():
            around = out[~audible]
            quiet.append(around.std() < 0.1 * samples.std())
            assert quiet[-1] or np.corrcoef(around, other[~audible])[0, 1] > 0.99
    assert 0.1 < np.mean(whole) < 0.5 and 0.2 < np.mean(quiet) < 0.8


def test_a_turn_of_digital_silence_is_finite() -> None:
    silence = np.zeros(32 * SAMPLES_PER_TICK, np.float32)
    assert all(np.isfinite(as_turn(silence, silence, np.random.default_rng(seed))[0]).all() for seed in range(10))


def test_a_video_jumps_at_most_once_and_then_shows_its_own_moments() -> None:
    rng, own = np.random.default_rng(0), np.arange(32)
    clips = [shown_moments(32, rng) for _ in range(200)]
    jumps = [int(np.flatnonzero(moments != own)[-1]) + 1 for moments in clips if (moments != own).any()]
    assert 0.15 < len(jumps) / len(clips) < 0.35
    assert min(jumps) < 5 and 20 < max(jumps) <= 27
    for moments in clips:
        steps = np.flatnonzero(moments != (moments[0] + own) % 32)
        assert len(steps) == 0 or (moments[steps[0] :] == own[steps[0] :]).all()


def moving() -> np.ndarray:
    """[12, 96, 96] whose frames differ by their mean, by more than a poor JPEG rounds it."""
    return np.stack([np.full((96, 96), 10 + 20 * tick, np.uint8) for tick in range(12)])


def test_degraded_video_repeats_and_compresses_frames_and_never_looks_ahead() -> None:
    shown = [degraded_video(moving(), np.random.default_rng(seed)) for seed in range(60)]
    ticks = np.arange(12)
    repeated = 0
    for crops in shown:
        assert crops.shape == (12, 96, 96) and crops.dtype == np.uint8
        frames = np.rint((crops.mean(axis=(1, 2)) - 10) / 20).astype(int)
        assert (frames <= ticks).all() and (frames >= ticks - 4).all()
        repeated += bool((np.diff(frames) == 0).any())
    assert 5 < repeated < 30


def test_a_tracker_errs_by_about_a_pixel_and_not_independently_from_frame_to_frame() -> None:
    ramp = np.repeat(np.arange(96, dtype=np.uint8)[None] * 2, 96, 0)
    errors = []
    for seed in range(20):
        crops = tracked_anew(np.repeat(ramp[None], 50, 0), np.random.default_rng(seed))
        assert crops.shape == (50, 96, 96) and crops.dtype == np.uint8
        errors.append((crops[:, 44:52, 44:52].mean(axis=(1, 2)) - 95) / 2)
    away = np.array(errors)
    assert 0.3 < away.std() < 1.5
    assert np.corrcoef(away[:, 1:].ravel(), away[:, :-1].ravel())[0, 1] > 0.4


def test_blocks_that_change_little_are_skipped() -> None:
    crops = np.full((3, 96, 96), 100, np.uint8)
    crops[1:, :8, :8] += 3
    crops[1:, 8:16, :8] += 20
    crops[2, :8, :8] += 3
    shown = with_skipped_blocks(crops, 5.0)
    assert shown[:, 0, 0].tolist() == [100, 100, 106]
    assert shown[:, 8, 0].tolist() == [100, 120, 120]
    np.testing.assert_array_equal(shown[:, 16:], crops[:, 16:])


def test_low_light_leaves_few_whole_grey_levels() -> None:
    clips = crops(batch=40)[:, :, :48, :48].float()
    out = in_low_light(clips, seeded())
    dark = [k for k in range(40) if not torch.equal(out[k], clips[k])]
    assert 1 <= len(dark) < 15
    for k in dark:
        assert torch.equal(out[k], out[k].round()) and float(out[k].mean()) < 0.6 * float(clips[k].mean())


def test_a_beard_darkens_the_chin_and_damps_its_movement_only() -> None:
    clips = torch.full((40, 6, 48, 48), 180.0) + 10 * torch.randn(40, 6, 1, 1, generator=seeded())
    out = with_beards(clips, seeded(1))
    bearded = [k for k in range(40) if not torch.equal(out[k], clips[k])]
    assert 1 <= len(bearded) < 15
    for k in bearded:
        chin, brow = out[k, :, 38:46, 20:28], out[k, :, :6]
        assert float(chin.mean()) < 0.9 * float(clips[k].mean()) and float(brow.mean()) > 0.9 * float(clips[k].mean())
        assert float(chin.mean((1, 2)).std()) < 0.9 * float(clips[k].mean((1, 2)).std())


def test_a_microphone_covers_a_part_below_the_middle() -> None:
    clips = crops(batch=40)[:, :, :48, :48].float()
    covered = (with_microphones(clips.clone(), seeded()) != clips).any(1)
    shares = covered.float().mean((1, 2))
    assert 1 <= int((shares > 0).sum()) < 15 and float(shares.max()) < 0.4
    assert not covered[:, :15].any()
