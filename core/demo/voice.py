"""A voice without a recording: formant synthesis from articulation curves.

A glottal source with jitter and shimmer goes through five moving resonators in cascade (Klatt's 1980 arrangement);
friction noise and the bursts of stops go around them through a resonator of their own. The moving filters are applied
to overlapping windows in the frequency domain, which costs a tenth of filtering sample by sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.fft import irfft, rfft
from speakerlight.core.demo.articulation import CONTROL_RATE, Curve, Speech, smoothed
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE

LEVEL = 0.08
"""Root mean square of a turn's sound: a voice close to a microphone, full scale 1."""

POINT = SAMPLE_RATE // CONTROL_RATE
"""Samples from one point of a curve to the next."""

STRIDE = 2
"""Points from one filter window to the next: 10 ms, within which a vocal tract hardly moves."""

HOP = STRIDE * POINT
TRANSFORM = 1024
"""A 20 ms window and 44 ms for the resonators to ring."""

BRIGHTNESS = 0.6
"""Pre-emphasis of the vowels. Chosen by looking at spectrograms: the third formant stays in sight."""

FRICTION = 0.06
"""Level of friction noise against the vowels. Chosen likewise: an s is some 6 dB under its neighbours."""

UNIT_DELAY = np.exp(-2j * np.pi * np.arange(TRANSFORM // 2 + 1) / TRANSFORM).astype(np.complex64)

Wave = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Voice:
    """What makes a voice its owner's. ``formant_scale``: 1 for an average adult, less for a longer vocal tract.

    ``breathiness``: noise at the open glottis against its pulses, 0–0.3.
    """

    pitch_hz: float
    formant_scale: float
    syllable_rate: float
    breathiness: float


def speak(speech: Speech, voice: Voice, rng: np.random.Generator) -> Samples:
    """The sound of ``speech``: float32, 16 kHz, as long as its curves, root mean square ``LEVEL``."""
    noise = rng.normal(0, 1, len(speech.voicing) * POINT)
    voiced = _glottal_source(speech, voice, noise, rng)
    vowels = _windows(voiced) * _tract(speech, voice.formant_scale)
    vowels *= 1 - BRIGHTNESS * UNIT_DELAY
    vowels /= np.sqrt(np.mean(np.abs(vowels) ** 2)) + 1e-9
    friction = _windows(noise * _per_sample(speech.frication)) * _friction_colour(speech)
    sound = _overlap_add(vowels + friction, len(noise))
    return np.asarray(sound * (LEVEL / (sound.std() + 1e-9)), np.float32)


def _per_sample(curve: npt.NDArray[np.floating]) -> Wave:
    return np.asarray(np.interp(np.arange(len(curve) * POINT), np.arange(len(curve)) * POINT, curve))


def _glottal_source(speech: Speech, voice: Voice, noise: Wave, rng: np.random.Generator) -> Wave:
    """Pulses of the vocal folds (1 % jitter, 6 % shimmer) and the breath between them."""
    voicing = _per_sample(speech.voicing)
    drift = smoothed(rng.normal(0, 1, len(speech.pitch)), 1) * 1.9
    cycles = np.cumsum(_per_sample(speech.pitch * (1 + 0.01 * drift))) * (voice.pitch_hz / SAMPLE_RATE)
    number = cycles.astype(np.intp)
    phase, shimmer = cycles - number, (1 + 0.06 * rng.normal(0, 1, number[-1] + 1))[number]
    breath = voice.breathiness * voicing * (phase < 0.56) + 0.25 * _per_sample(speech.aspiration)
    return np.asarray(_glottal_pulse(phase) * voicing * shimmer + 0.3 * noise * breath)


def _glottal_pulse(phase: Wave) -> Wave:
    """Rosenberg's pulse, differentiated: opening until 0.4 of the cycle, closing until 0.56, shut for the rest."""
    opening = np.sin(np.pi * phase / 0.4)
    closing = -1.9 * np.sin(np.pi / 0.32 * (phase - 0.4))
    return np.where(phase < 0.4, opening, np.where(phase < 0.56, closing, 0.0))


def _windows(wave: Wave) -> Spectra:
    """Spectra of overlapping Hann windows, two hops long and one apart: windows × bins."""
    padded = np.concatenate([np.zeros(HOP), wave, np.zeros(2 * HOP)]).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][: len(wave) // HOP + 1]
    return np.asarray(rfft(frames * np.hanning(2 * HOP + 1)[:-1].astype(np.float32), TRANSFORM))


def _overlap_add(spectra: Spectra, count: int) -> Wave:
    frames = irfft(spectra, TRANSFORM)
    hops = -(-TRANSFORM // HOP)
    frames = np.pad(frames, ((0, 0), (0, hops * HOP - TRANSFORM)))
    out = np.zeros((len(frames) + hops, HOP))
    for k in range(hops):
        out[k : k + len(frames)] += frames[:, k * HOP : (k + 1) * HOP]
    return np.asarray(out.reshape(-1)[HOP : HOP + count])


def _at_windows(curve: Curve) -> Curve:
    """The value of a curve at every window's centre."""
    picks = np.minimum(np.arange(len(curve) // STRIDE + 1) * STRIDE, len(curve) - 1)
    return np.asarray(curve[picks])


def _tract(speech: Speech, scale: float) -> Spectra:
    """Frequency response of throat and mouth: windows × bins."""
    formants = _at_windows(speech.formants)
    nasal = _at_windows(speech.nasal)[:, None]
    hz = np.column_stack([formants, np.tile(np.array([3600, 4600], np.float32), (len(formants), 1))]) * scale
    widened = 1 + nasal * np.array([0.6, 3, 2, 1, 1])
    width_hz = np.array([70, 90, 140, 220, 300]) * widened
    response = _resonance(hz[:, 0], width_hz[:, 0])
    for k in range(1, hz.shape[1]):
        response *= _resonance(hz[:, k], width_hz[:, k])
    return response


def _resonance(hz: npt.NDArray[np.floating], width_hz: npt.NDArray[np.floating]) -> Spectra:
    """A two-pole resonator of unit gain at 0 Hz: windows × bins."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    a1 = (-2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE)).astype(np.float32)[:, None]
    a2 = (radius**2).astype(np.float32)[:, None]
    return np.asarray((1 + a1 + a2) / (1 + UNIT_DELAY * (a1 + a2 * UNIT_DELAY)))


def _friction_colour(speech: Speech) -> Spectra:
    """One broad resonance and no low end: the noise of a narrow place in the mouth. Windows × bins."""
    hz = _at_windows(speech.frication_hz)
    colour = _resonance(hz, np.full(len(hz), 1800.0)) * (1 - UNIT_DELAY)
    power = np.mean(np.abs(colour) ** 2, axis=1, keepdims=True)
    return np.asarray(colour * (FRICTION / np.sqrt(power)))
