"""Data augmentation: simulated cameras, rooms, voices and face shapes for clips of talking faces.

The training data has enough clips but too few people (see the model card). So the strongest changes turn one person
into another: warped face shapes, other light, beards, other pitch and vocal tract.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import lfilter
from torch.nn import functional

from speakerlight.core.audio.logmel import COMPACT_MEL, mel_filters
from speakerlight.core.models.compact import CROP
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from speakerlight.core.training.clips import STORED_CROP

_ZOOM = CROP.field / STORED_CROP.field

_REPEATING, _SLOW = 0.1, 0.15
"""Shares of clips whose camera repeats frames at random, and whose camera has a low frame rate."""

_SLOW_TICKS = (1.3, 3.0)
"""Range of the frame interval of a low frame rate, in ticks: 8 to 19 frames a second."""

_JPEG, _SKIPPED_BLOCKS = 0.2, 0.1
"""Shares of clips with JPEG artefacts in each frame, and with video blocks that are not updated while they change
little."""

_BLOCK = 8
"""Block size of JPEG and of video codecs, in pixels. A stored crop has about the resolution of a webcam's frame."""

_JUMPS, _LEAST_AFTER_JUMP = 0.25, 5
"""Share of clips whose video jumps once, and the least number of ticks after that."""

_JITTER = (0.2, 1.0)
"""Range of the standard deviation of a tracker's error from frame to frame, in pixels of a stored crop: in composed
test videos it is 0.2 to 0.9."""

_TRACKED_ANEW = 0.5
"""Share of talking clips with such errors added. All listeners have them, and they must not be a sign of listening."""

_JITTER_KEPT, _TURN_A_PIXEL, _ZOOM_A_PIXEL = 0.6, 0.5, 0.006
"""Share of the error that is left a frame later; errors of angle, in degrees, and of scale that go with a pixel's."""

_TURNED, _MAX_YAW, _HEAD_RADIUS = 0.35, 0.6, 1.3
"""Share of clips with another yaw, its largest change in radians, and the head's radius in halves of a crop (two thirds
of a face's width)."""

_LOW_LIGHT, _BEARD, _MICROPHONE = 0.15, 0.12, 0.12
"""Shares of clips in low light, with a beard, and with a microphone in front of the mouth."""


def augmented_crops(crops: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[B, T, 96, 96] uint8 to [B, T, 48, 48] float32 (0 to 255): shape, pose, light, blur, noise, occlusion."""
    batch, ticks = crops.shape[:2]
    grid = _warp(batch, ticks, generator)
    pixels = crops.flatten(0, 1)[:, None].float()
    out = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    out = _softened(out.view(batch, ticks, CROP.side_pixels, CROP.side_pixels), generator)
    out = with_beards(with_other_skin(out, generator), generator)
    out = in_low_light(_lit(out, generator), generator)
    return with_microphones(_occluded(out, generator), generator)


def degraded_video(crops: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Degrade [T, 96, 96] like a poor camera or call: a restless tracker, repeated or fewer frames, compression. The
    shape is kept."""
    if rng.random() < _TRACKED_ANEW:
        crops = tracked_anew(crops, rng)
    ticks, kind = np.arange(len(crops)), rng.random()
    if kind < _REPEATING:
        crops = crops[np.maximum(0, ticks - (rng.random(len(ticks)) < 0.3))]
    elif kind < _REPEATING + _SLOW:
        between = rng.uniform(*_SLOW_TICKS)
        phase = rng.uniform(0, between)
        crops = crops[np.maximum(0, np.floor((ticks - phase) / between) * between + phase).astype(int)]
    kind = rng.random()
    if kind < _JPEG:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(6, 40))]
        coded = (cv2.imencode(".jpg", crop, quality)[1] for crop in crops)
        return np.stack([np.asarray(cv2.imdecode(one, cv2.IMREAD_GRAYSCALE), np.uint8) for one in coded])
    return with_skipped_blocks(crops, rng.uniform(2.0, 7.0)) if kind < _JPEG + _SKIPPED_BLOCKS else crops


def shown_moments(ticks: int, rng: np.random.Generator) -> npt.NDArray[np.int_]:
    """The tick [ticks] whose frame each tick of a clip shows. In some clips the video jumps, as where a stream stalls
    or a scene is edited: until then it shows another moment.

    The jump is independent of the audio: it must not become a sign that a turn begins.
    """
    own = np.arange(ticks)
    jump = int(rng.integers(1, ticks - _LEAST_AFTER_JUMP)) if rng.random() < _JUMPS else 0
    other = (own + rng.integers(_LEAST_AFTER_JUMP, ticks - _LEAST_AFTER_JUMP)) % ticks
    return np.where(own < jump, other, own)


def tracked_anew(crops: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """[T, 96, 96] as another run of the tracker would crop them: with errors of place, angle and scale that change from
    frame to frame. A picture that is shown again is never the same to the pixel."""
    errors = lfilter([1.0], [1.0, -_JITTER_KEPT], rng.normal(0, rng.uniform(*_JITTER), (len(crops), 4)), axis=0)
    centre = (STORED_CROP.side_pixels / 2, STORED_CROP.side_pixels / 2)
    out = []
    for crop, (across, down, turn, zoom) in zip(crops, errors.tolist(), strict=True):
        matrix = cv2.getRotationMatrix2D(centre, _TURN_A_PIXEL * turn, 1 + _ZOOM_A_PIXEL * zoom)
        matrix[:, 2] += across, down
        out.append(cv2.warpAffine(crop, matrix, crop.shape[::-1], borderMode=cv2.BORDER_REPLICATE))
    return np.asarray(np.stack(out), np.uint8)


def with_skipped_blocks(crops: npt.NDArray[np.uint8], least_change: float) -> npt.NDArray[np.uint8]:
    """[T, 96, 96] in which a block is updated only when its mean change exceeds ``least_change`` grey values."""
    count = crops.shape[1] // _BLOCK
    blocks = crops.reshape(-1, count, _BLOCK, count, _BLOCK)
    shown, out = blocks[0], []
    for new in blocks:
        change = np.abs(new.astype(np.float32) - shown).mean(axis=(1, 3), keepdims=True)
        shown = np.where(change > least_change, new, shown)
        out.append(shown)
    return np.stack(out).reshape(crops.shape)


def plain_crops(crops: torch.Tensor) -> torch.Tensor:
    """[B, T, 96, 96] uint8 to [B, T, 48, 48] float32, as the engine crops them."""
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
    """[B, T] slow random drift of unit size: jitter of a tracker."""
    knots = torch.randn(batch, 1, 4, generator=generator)
    return functional.interpolate(knots, ticks, mode="linear", align_corners=True)[:, 0]


def _warp(batch: int, ticks: int, generator: torch.Generator) -> torch.Tensor:
    """Sampling grid [B × T, 48, 48, 2]: one face shape and pose for each clip, with a slow drift."""
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
    grid = _turned(grid.view(batch, -1, 2), generator).view(grid.shape)
    # The same smooth displacement in every frame of a clip: another shape of lips and chin with the same movement.
    shape = torch.randn(batch, 2, 5, 5, generator=generator) * 0.03
    bend = functional.interpolate(shape, (side, side), mode="bicubic", align_corners=True)
    bend = bend.permute(0, 2, 3, 1)[:, None].expand(-1, ticks, -1, -1, -1)
    return grid + bend.reshape(batch * ticks, side, side, 2)


def _turned(grid: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Sampling grid [B, N, 2] with another yaw for some clips. The head is a cylinder."""
    batch = len(grid)
    angle = _uniform(generator, -_MAX_YAW, _MAX_YAW, batch, 1)
    angle = torch.where(torch.rand(batch, 1, generator=generator) < _TURNED, angle, 0.0)
    across = (grid[..., 0] / (_HEAD_RADIUS * _ZOOM) + angle.sin()).clamp(-0.98, 0.98)
    turned = _HEAD_RADIUS * _ZOOM * (across.asin() - angle).sin()
    return torch.stack([torch.where(angle == 0, grid[..., 0], turned), grid[..., 1]], dim=-1)


def _softened(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Some clips at the resolution of a small face: down to 16 to 40 pixels, and up again."""
    out = pixels.clone()
    for i in torch.nonzero(torch.rand(len(pixels), generator=generator) < 0.35).flatten().tolist():
        small = int(torch.randint(16, 41, (1,), generator=generator))
        shrunk = functional.interpolate(pixels[i][None], (small, small), mode="bilinear", antialias=True)
        out[i] = functional.interpolate(shrunk, tuple(pixels.shape[-2:]), mode="bilinear")[0]
    return out


def with_other_skin(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blend another clip's mean frame into that of half of the clips, up to a share of 0.8: another person's skin,
    beard and light. Scale the movement of half of the clips by 0.55 to 1.5: people open their mouths more or less."""
    batch = len(pixels)
    mean = pixels.mean(1, keepdim=True)
    others = mean[torch.randperm(batch, generator=generator)]
    share = _uniform(generator, 0.2, 0.8, batch, 1, 1, 1) * (_uniform(generator, 0, 1, batch, 1, 1, 1) < 0.5)
    larger = _uniform(generator, -0.6, 0.4, batch, 1, 1, 1) * (_uniform(generator, 0, 1, batch, 1, 1, 1) < 0.5)
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


def in_low_light(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Darken some clips as in low light: motion blur over frames, few grey values (whole numbers), coarse noise."""
    batch, ticks, height, width = pixels.shape
    out = pixels.clone()
    for i in torch.nonzero(torch.rand(batch, generator=generator) < _LOW_LIGHT).flatten().tolist():
        smear = float(_uniform(generator, 0.0, 0.5, 1))
        clip = pixels[i].clone()
        clip[1:] = (1 - smear) * clip[1:] + smear * pixels[i, :-1]
        fine = torch.randn(ticks, height, width, generator=generator)
        coarse = functional.interpolate(
            torch.randn(ticks, 1, height // 4, width // 4, generator=generator), (height, width), mode="bilinear"
        )[:, 0]
        level = float(_uniform(generator, 0.12, 0.5, 1))
        noise = _uniform(generator, 0, 5, 1) * fine + _uniform(generator, 0, 6, 1) * coarse
        out[i] = (clip * level + noise).clamp(0, 255).round()
    return out


def with_beards(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw a beard on some clips: a dark rough area around the lips that moves less than the skin."""
    batch, _, height, width = pixels.shape
    out = pixels.clone()
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)[:, None]
    for i in torch.nonzero(torch.rand(batch, generator=generator) < _BEARD).flatten().tolist():
        lips_wide, lips_high = _uniform(generator, 0.4, 0.6, 2).tolist()
        lips = torch.exp(-(((across / lips_wide) ** 2 + (down / (0.6 * lips_high)) ** 2) ** 2))
        face = torch.sigmoid((down + _uniform(generator, 0.1, 0.6, 1)) * 6) * torch.sigmoid((0.9 - across.abs()) * 8)
        hair = (face * (1 - lips) * _uniform(generator, 0.5, 1.0, 1))[None]
        still = pixels[i].mean(0, keepdim=True)
        rough = 1 + 0.15 * torch.randn(1, height, width, generator=generator)
        dark = _uniform(generator, 0.15, 0.7, 1) * still * rough
        moving = 0.5 * (pixels[i] - still)
        out[i] = (1 - hair) * pixels[i] + hair * (dark + moving)
    return out


def with_microphones(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw a swaying microphone on some clips, from below up to the lips. Changes ``pixels`` in place."""
    batch, ticks, height, width = pixels.shape
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)[:, None]
    for i in torch.nonzero(torch.rand(batch, generator=generator) < _MICROPHONE).flatten().tolist():
        x, y = float(_uniform(generator, -0.7, 0.7, 1)), float(_uniform(generator, 0.15, 0.7, 1))
        sway = 0.04 * _drift(2, ticks, generator)
        x_at, y_at = x + sway[0][:, None, None], y + sway[1][:, None, None]
        radius, slope = float(_uniform(generator, 0.12, 0.35, 1)), float(_uniform(generator, -0.8, 0.8, 1))
        head = (across - x_at) ** 2 + (down - y_at) ** 2 < radius**2
        stem = (down > y_at) & ((across - x_at - slope * (down - y_at)).abs() < 0.5 * radius)
        grey = 255 * torch.rand(1, generator=generator) ** 2 + 8 * torch.randn(height, width, generator=generator)
        pixels[i] = torch.where(head | stem, grey, pixels[i])
    return pixels


def _occluded(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cover a fixed rectangle of some clips (a hand, another head). Changes ``pixels`` in place."""
    side = pixels.shape[-1]
    for i in torch.nonzero(torch.rand(len(pixels), generator=generator) < 0.2).flatten().tolist():
        width, height, left, top = torch.randint(4, side // 2, (4,), generator=generator).tolist()
        left, top = (left * 3) % side, (top * 3) % side
        pixels[i, :, top : top + height, left : left + width] = 255 * torch.rand(1, generator=generator)
    return pixels


_BEGINS, _ENDS = 0.6, 0.25
"""Shares of clips whose audio begins, and ends, within the segment, …"""

_QUIET = 0.5
"""… with silence instead of another voice around it in this share of them."""

_LEAST_TURN_TICKS = 5
"""Minimum length of what is heard."""

_NOISE_HERTZ = (50, 150, 400, 1000, 2500, 5000, 8000)


def augmented_audio(samples: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change a clip's level and room; mix in noise and ``others`` (samples of the same length) as background."""
    level = np.sqrt(np.mean(samples**2)) + 1e-5
    out = samples / level
    if rng.random() < 0.3:
        out = in_room(out, rng)
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


def as_turn(
    samples: np.ndarray, others: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, npt.NDArray[np.bool_]]:
    """Samples [T × 640] that are heard only during a turn, and which ticks [T] are part of it.

    Before and after it there is silence, or ``others``, another voice, [T × 640]. The mouth moves all the time: a turn
    must match its mouth from its first ticks on, when most of what an embedding sees is what was heard before.
    """
    ticks = len(samples) // SAMPLES_PER_TICK
    first = int(rng.integers(1, ticks - _LEAST_TURN_TICKS)) if rng.random() < _BEGINS else 0
    end = int(rng.integers(first + _LEAST_TURN_TICKS, ticks)) if rng.random() < _ENDS else ticks
    part = slice(first * SAMPLES_PER_TICK, end * SAMPLES_PER_TICK)
    heard = np.zeros(ticks, np.bool_)
    heard[first:end] = True
    level = np.sqrt(np.mean(samples[part] ** 2))
    if rng.random() < _QUIET:
        out = rng.standard_normal(len(samples)) * level * 10 ** (rng.uniform(-60, -25) / 20)
    else:
        out = others * (level / (np.sqrt(np.mean(others**2)) + 1e-5)) * 10 ** (rng.uniform(-9, 6) / 20)
    out[part] = samples[part]
    return out, heard


def in_room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples with the reverberation of a room, 0.1 to 0.5 s: decaying noise as its impulse response."""
    length = int(rng.uniform(0.05, 0.25) * 16_000)
    response = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / (length * 1.2))
    response *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    size = 1 << (len(samples) + length).bit_length()
    mixed = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    return np.asarray(mixed)


def with_response(samples: np.ndarray, hertz: Sequence[float], decibels: np.ndarray) -> np.ndarray:
    """Samples through a filter whose response is ``decibels`` at ``hertz``, interpolated by octaves."""
    size = 2 * len(samples)
    octaves = np.log(np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 30.0))
    gains = 10 ** (np.interp(octaves, np.log(hertz), decibels) / 20)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * gains, size)[: len(samples)])


def drawn_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` samples of noise without speech, root mean square 1: hiss, knocks, tones or music of random colour."""
    kind = rng.integers(4)
    noise = np.zeros(count)
    if kind == 0:
        noise = rng.standard_normal(count)
    if kind in (1, 3):
        noise += _knocks(count, rng)
    if kind in (2, 3):
        noise += rng.uniform(0.2, 1.0) * _tones(count, rng)
    slope = rng.uniform(-6, 2) * np.arange(len(_NOISE_HERTZ))
    noise = with_response(noise, _NOISE_HERTZ, slope + rng.normal(0, 6, len(_NOISE_HERTZ)))
    if rng.random() < 0.5:
        steps = rng.normal(0, 8, max(2, int(count / SAMPLE_RATE / rng.uniform(0.06, 0.8))))
        noise *= 10 ** (np.interp(np.linspace(0, len(steps) - 1, count), np.arange(len(steps)), steps) / 20)
    hiss = rng.standard_normal(count) * noise.std() * 10 ** (-rng.uniform(5, 40) / 20)
    return np.asarray((noise + hiss) / ((noise + hiss).std() + 1e-9))


def _knocks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Decaying bursts of noise: keys, claps, steps, drums."""
    out, at = np.zeros(count + SAMPLE_RATE), 0.0
    spacing, decay = rng.uniform(0.07, 0.7), rng.uniform(0.002, 0.08)
    while at < count:
        burst = rng.standard_normal(int(6 * decay * SAMPLE_RATE))
        out[int(at) : int(at) + len(burst)] += burst * np.exp(-np.arange(len(burst)) / (decay * SAMPLE_RATE))
        at += spacing * rng.uniform(0.5, 1.5) * SAMPLE_RATE
    return out[:count]


def _tones(count: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonic tones: hum, engines, sirens, instruments."""
    out, at = np.zeros(count), 0
    low, high = np.sort(np.exp(rng.uniform(np.log(40), np.log(1500), 2)))
    seconds, glide, vibrato = rng.uniform(0.1, 1.5), rng.choice([0.0, 0.5]), rng.choice([0.0, 0.02])
    voices, roll_off, decay = rng.integers(1, 4), rng.uniform(0.5, 2.0), rng.choice([0.0, 3.0])
    while at < count:
        length = min(count - at, int(seconds * rng.uniform(0.5, 1.5) * SAMPLE_RATE) + 1)
        time = np.arange(length) / SAMPLE_RATE
        for _ in range(voices):
            pitch = rng.uniform(low, high) * (1 + glide * rng.uniform(-1, 1) * time + vibrato * np.sin(33 * time))
            phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
            harmonics = range(1, max(2, min(12, int(0.5 * SAMPLE_RATE / pitch.max()))))
            tone = sum(np.sin(n * phase + n * n) / n**roll_off for n in harmonics)
            out[at : at + length] += tone * np.exp(-decay * time) * np.minimum(1, time * 100)
        at += length
    return np.asarray(out / (out.std() + 1e-9))


def batch_log_mel(samples: torch.Tensor, first_column: int, columns: int) -> torch.Tensor:
    """[B, N] samples to [B, columns, mels], as ``core.audio.logmel`` with COMPACT_MEL; silence outside the samples."""
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
    """[B, columns, mels] with other vocal tracts (a stretched mel axis), another tilt, and some missing bands."""
    batch, columns, mels = mel.shape
    factor = torch.exp(_uniform(generator, -0.12, 0.12, batch, 1))
    places = (torch.arange(mels) * factor).clamp(0, mels - 1.001)
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
