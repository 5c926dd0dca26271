from __future__ import annotations

import numpy as np
import torch

from core.logmel import COMPACT_MEL, log_mel
from core.training.augmentation import augmented_crops, augmented_mel, batch_log_mel


def test_training_hears_the_log_mel_that_the_engine_hears() -> None:
    samples = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    ours = batch_log_mel(torch.from_numpy(samples)[None], -29, 120)[0].numpy()
    np.testing.assert_allclose(ours[29:110], log_mel(samples, COMPACT_MEL)[:81], atol=1e-4)
    np.testing.assert_array_equal(ours[:20], COMPACT_MEL.silence)


def test_a_seed_decides_every_change() -> None:
    crops = torch.randint(0, 256, (3, 5, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    first, second, other = (augmented_crops(crops, torch.Generator().manual_seed(seed)) for seed in (2, 2, 3))
    assert first.shape == (3, 5, 48, 48) and torch.equal(first, second) and not torch.equal(first, other)


def test_another_voice_stays_a_log_mel() -> None:
    mel = torch.rand(4, 60, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    out = augmented_mel(mel, torch.Generator().manual_seed(2))
    assert out.shape == mel.shape and out.abs().max() <= 1 and not torch.equal(out, mel)
