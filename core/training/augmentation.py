"""Augmentation: what other cameras, rooms, voices and faces would have made of a clip.

People, not clips, are what the training data lacks (FACTS and the model card), so the strongest changes are those that
make another person of the same one: warped face shapes, other light, other pitch and vocal tract.
"""

from __future__ import annotations

import numpy as np
import torch
from speakerlight.core.audio.logmel import COMPACT_MEL, mel_filters
from speakerlight.core.models.compact import CROP
from speakerlight.core.training.clips import STORED_CROP
from torch.nn import functional

_ZOOM = CROP.field / STORED_CROP.field


def augmented_crops(crops: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[B, T, 96, 96] uint8 to [B, T, 48, 48] float32 (0 to 255): shaped, moved, lit, blurred, noisy."""
    batch, ticks = crops.shape[:2]
    grid = _warp(batch, ticks, generator)
    pixels = crops.flatten(0, 1)[:, None].float()
    out = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    out = _softened(out.view(batch, ticks, CROP.side_pixels, CROP.side_pixels), generator)
    out = _lit(dressed(out, generator), generator)
    return _occluded(out, generator)


def plain_crops(crops: torch.Tensor) -> torch.Tensor:
    """[B, T, 96, 96] uint8 to [B, T, 48, 48] float32 as the engine would crop them."""
    batch, ticks = crops.shape[:2]
    theta = torch.tensor([[_ZOOM, 0.0, 0.0], [0.0, _ZOOM, 0.0]]).expand(batch * ticks, 2, 3)
    side = CROP.side_pixels
    grid = functional.affine_grid(theta, [batch * ticks, 1, side, side], align_corners=False)
    pixels = crops.flatten(0, 1)[:, None].float()
    out = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return out.view(batch, ticks, side, side)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=generator) * (high - low) + low


def _drift(batch: int, ticks: int, generator: torch.Generator) -> torch.Tensor:
    """[B, T] slow wander of unit size: a tracker that is not quite still."""
    knots = torch.randn(batch, 1, 4, generator=generator)
    return functional.interpolate(knots, ticks, mode="linear", align_corners=True)[:, 0]


def _warp(batch: int, ticks: int, generator: torch.Generator) -> torch.Tensor:
    """Sampling grid [B × T, 48, 48, 2]: one face shape and pose a clip, with a slow drift."""
    side = CROP.side_pixels
    angle = _uniform(generator, -0.25, 0.25, batch, 1) + 0.03 * _drift(batch, ticks, generator)
    zoom = _ZOOM * torch.exp(_uniform(generator, -0.2, 0.2, batch, 1) + 0.02 * _drift(batch, ticks, generator))
    aspect = torch.exp(_uniform(generator, -0.1, 0.1, batch, 1))
    flip = torch.where(torch.rand(batch, 1, generator=generator) < 0.5, -1.0, 1.0)
    shear = _uniform(generator, -0.12, 0.12, batch, 1)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    x = _uniform(generator, -0.1, 0.1, batch, 1) + 0.015 * _drift(batch, ticks, generator)
    y = _uniform(generator, -0.1, 0.1, batch, 1) + 0.015 * _drift(batch, ticks, generator)
    rows = torch.stack([flip * cos * aspect, -sin + shear * cos, x, flip * sin * aspect, cos + shear * sin, y], dim=-1)
    theta = rows.view(batch * ticks, 2, 3)
    grid = functional.affine_grid(theta, [batch * ticks, 1, side, side], align_corners=False)
    # The same smooth displacement in every frame of a clip: another shape of lips and chin, the same movement.
    shape = torch.randn(batch, 2, 5, 5, generator=generator) * 0.03
    bend = functional.interpolate(shape, (side, side), mode="bicubic", align_corners=True)
    bend = bend.permute(0, 2, 3, 1)[:, None].expand(-1, ticks, -1, -1, -1)
    return grid + bend.reshape(batch * ticks, side, side, 2)


def _softened(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Some clips as a small face in a large frame would be: down to 16 to 40 pixels and up again."""
    out = pixels.clone()
    for i in torch.nonzero(torch.rand(len(pixels), generator=generator) < 0.35).flatten().tolist():
        small = int(torch.randint(16, 41, (1,), generator=generator))
        shrunk = functional.interpolate(pixels[i][None], (small, small), mode="bilinear", antialias=True)
        out[i] = functional.interpolate(shrunk, tuple(pixels.shape[-2:]), mode="bilinear")[0]
    return out


def dressed(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half of the clips with another clip's mean picture in their own one's place, up to 0.8 of it: skin, beard and
    light of another person. Half of them, too, with their movement made larger or smaller: others open their mouths
    more, or less."""
    batch = len(pixels)
    mean = pixels.mean(1, keepdim=True)
    others = mean[torch.randperm(batch, generator=generator)]
    share = _uniform(generator, 0.2, 0.8, batch, 1, 1, 1) * (_uniform(generator, 0, 1, batch, 1, 1, 1) < 0.5)
    larger = _uniform(generator, -0.4, 0.4, batch, 1, 1, 1) * (_uniform(generator, 0, 1, batch, 1, 1, 1) < 0.5)
    return mean + larger.exp() * (pixels - mean) + share * (others - mean)


def _lit(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gamma, contrast, a gradient of light across the face, a constant smooth stain, camera noise."""
    batch, _, height, width = pixels.shape
    share = (pixels / 255).clamp(0, 1) ** torch.exp(_uniform(generator, -0.5, 0.5, batch, 1, 1, 1))
    slope = torch.randn(batch, 2, 1, 1, generator=generator) * 0.15
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)[:, None]
    light = 1 + slope[:, :1] * across + slope[:, 1:] * down
    stain = torch.randn(batch, 1, 6, 6, generator=generator) * 0.05
    stain = functional.interpolate(stain, (height, width), mode="bicubic", align_corners=True)
    noise = torch.randn(pixels.shape, generator=generator) * _uniform(generator, 0, 0.03, batch, 1, 1, 1)
    flicker = 1 + 0.03 * torch.randn(batch, pixels.shape[1], 1, 1, generator=generator)
    contrast = _uniform(generator, 0.5, 1.2, batch, 1, 1, 1)
    return ((share * light * flicker + stain) * contrast + noise) * 255


def _occluded(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Now and then a rectangle (microphone, hand, other head) that stays where it is."""
    side = pixels.shape[-1]
    for i in torch.nonzero(torch.rand(len(pixels), generator=generator) < 0.2).flatten().tolist():
        width, height, left, top = torch.randint(4, side // 2, (4,), generator=generator).tolist()
        left, top = (left * 3) % side, (top * 3) % side
        pixels[i, :, top : top + height, left : left + width] = 255 * torch.rand(1, generator=generator)
    return pixels


def augmented_sound(samples: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip's sound at another level, in another room, with noise and ``others`` (same length) talking behind."""
    level = np.sqrt(np.mean(samples**2)) + 1e-5
    out = samples / level
    if rng.random() < 0.3:
        out = _in_room(out, rng)
    if rng.random() < 0.65:
        other = others / (np.sqrt(np.mean(others**2)) + 1e-5)
        out = out + other * 10 ** (rng.uniform(-20, 9) / 20)
    if rng.random() < 0.7:
        noise = rng.standard_normal(len(out))
        if rng.random() < 0.5:
            noise = np.cumsum(noise - noise.mean())
            noise = np.diff(noise - np.convolve(noise, np.ones(64) / 64, "same"), prepend=0.0)
        out = out + noise / (noise.std() + 1e-5) * 10 ** (rng.uniform(-40, -6) / 20)
    return np.asarray(out * 10 ** (rng.uniform(-44, -14) / 20), np.float32)


def _in_room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A decaying tail of noise as the room's answer: 0.1 to 0.5 s of reverberation."""
    length = int(rng.uniform(0.05, 0.25) * 16_000)
    answer = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / (length * 1.2))
    answer *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(answer**2))
    answer[0] = 1.0
    size = 1 << (len(samples) + length).bit_length()
    mixed = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(answer, size), size)[: len(samples)]
    return np.asarray(mixed)


def batch_log_mel(samples: torch.Tensor, first_column: int, columns: int) -> torch.Tensor:
    """[B, N] sound to [B, columns, mels], as ``core.audio.logmel`` does it with COMPACT_MEL; outside lies silence."""
    s = COMPACT_MEL
    left = max(0, s.window // 2 - first_column * s.hop)
    right = max(0, (first_column + columns - 1) * s.hop + s.window // 2 - samples.shape[1])
    start = first_column * s.hop - s.window // 2 + left
    padded = functional.pad(samples, (left, right))[:, start : start + (columns - 1) * s.hop + s.window]
    hann = torch.hann_window(s.window, periodic=True)
    magnitudes = torch.fft.rfft(padded.unfold(1, s.window, s.hop) * hann, n=s.n_fft).abs()
    mel = magnitudes @ torch.from_numpy(mel_filters(s)).float()
    level = torch.log10(mel.clamp(10**s.log_floor, 10**s.log_ceiling))
    return ((level - s.log_floor) / (s.log_ceiling - s.log_floor) * 2 - 1) * s.half_range


def augmented_mel(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[B, columns, mels] with other vocal tracts (the mel axis stretched) and a band missing now and then."""
    batch, columns, mels = mel.shape
    stretch = torch.exp(_uniform(generator, -0.12, 0.12, batch, 1))
    places = (torch.arange(mels) * stretch).clamp(0, mels - 1.001)
    low = places.long()
    share = (places - low)[:, None]
    index = low[:, None].expand(-1, columns, -1)
    out = mel.gather(2, index) * (1 - share) + mel.gather(2, index + 1) * share
    for i in torch.nonzero(torch.rand(batch, generator=generator) < 0.4).flatten().tolist():
        width = int(torch.randint(2, 9, (1,), generator=generator))
        start = int(torch.randint(0, mels - width, (1,), generator=generator))
        out[i, :, start : start + width] = out[i].mean()
    tilt = torch.randn(batch, 1, 1, generator=generator) * 0.08 * torch.linspace(-1, 1, mels)
    return (out + tilt).clamp(-1, 1)
