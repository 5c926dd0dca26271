"""Speech synthesis without recordings: formant synthesis from articulation curves, and the voices that differ in it.

A glottal source with jitter and shimmer passes five moving resonators in cascade (Klatt's 1980 arrangement); friction
noise and stop bursts bypass them through a resonator of their own. The moving filters are applied to overlapping
windows in the frequency domain, at a tenth of the cost of filtering sample by sample.
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
"""Root mean square of a turn, full scale 1: a voice close to a microphone."""

POINT = SAMPLE_RATE // CONTROL_RATE
"""Samples between two points of a curve."""

STRIDE = 2
"""Points between two filter windows: 10 ms, within which a vocal tract hardly moves."""

HOP = STRIDE * POINT
TRANSFORM = 1024
"""FFT size: a 20 ms window and 44 ms for the resonators to ring."""

FRICTION = 0.06
"""Level of friction noise relative to the vowels. Chosen on spectrograms: an s is some 6 dB below its neighbours."""

UPPER_FORMANTS_HZ = (3600.0, 4600.0)
"""Fourth and fifth formant of an average adult (Klatt 1980, rounded): they hardly move in speech."""

NASAL_POLE_HZ, NASAL_ZERO_HZ, NASAL_WIDTH_HZ = 270.0, 480.0, 100.0
"""Resonance and antiresonance of an open nose (Klatt 1980, rounded)."""

ASPIRATION = 0.1
"""Level of a stop's aspiration relative to the glottal pulses."""

UNIT_DELAY = np.exp(-2j * np.pi * np.arange(TRANSFORM // 2 + 1) / TRANSFORM).astype(np.complex64)

DESIGNS = 200
"""Random assignments of traits among which the one with the most different voices is chosen."""

TRAIT_WEIGHTS = np.array([1.0, 1.0, 0.7, 0.8, 0.4, 0.4, 0.4, 0.2])
"""Weight of each trait in the difference of two voices, in the order of ``Voice``'s fields.

About in proportion to how far the trait's range moves a GE2E voice embedding (measured trait by trait).
"""

Wave = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Voice:
    """The traits by which one voice differs from another.

    ``pitch_hz``: mean fundamental frequency, 80–255.
    ``formant_scale``: 1 for an average adult, less for a longer vocal tract.
    ``frontness``: multiple of the second formant, 0.84–1.18: how far forward the tongue lies.
    ``nasality``: how open the nose is in vowels, 0–0.9.
    ``brightness``: spectral tilt, as pre-emphasis of the vowels, 0.3–0.9.
    ``breathiness``: noise at the open glottis relative to its pulses, 0.02–0.3; breathy folds also stay open longer.
    ``roughness``: relative deviation of a glottal cycle's length, 0.004–0.03.
    ``syllable_rate``: syllables a second, 3.6–5.6.
    """

    pitch_hz: float
    formant_scale: float
    frontness: float = 1.0
    nasality: float = 0.0
    brightness: float = 0.6
    breathiness: float = 0.1
    roughness: float = 0.01
    syllable_rate: float = 4.5


def cast_voices(count: int, rng: np.random.Generator) -> tuple[Voice, ...]:
    """``count`` voices that differ clearly from each other.

    Each trait's range is divided evenly among the voices (a Latin hypercube); of ``DESIGNS`` random ones, the design
    with the largest minimum difference between two voices is chosen.
    """
    return tuple(_voice(*traits.tolist()) for traits in max((_design(count, rng) for _ in range(DESIGNS)), key=_apart))


def _design(count: int, rng: np.random.Generator) -> Wave:
    """Traits in [0, 1]: voices × traits."""
    even = np.linspace(0, 1, count)
    return np.stack([even[rng.permutation(count)] for _ in TRAIT_WEIGHTS], axis=1)


def _apart(traits: Wave) -> float:
    """The smallest difference between two voices."""
    weighted = traits * TRAIT_WEIGHTS
    distances = np.linalg.norm(weighted[:, None] - weighted[None], axis=2)
    return float(distances[np.triu_indices(len(traits), 1)].min(initial=np.inf))


def _voice(
    pitch: float, tract: float, front: float, nasal: float, bright: float, breath: float, rough: float, rate: float
) -> Voice:
    """The voice with these traits, each 0 to 1. High voices mostly come from short vocal tracts."""
    return Voice(
        pitch_hz=80 * (255 / 80) ** pitch,
        formant_scale=(0.95 + 0.13 * pitch) * (0.88 + 0.26 * tract),
        frontness=0.84 + 0.34 * front,
        nasality=0.9 * nasal,
        brightness=0.3 + 0.6 * bright,
        breathiness=0.02 + 0.28 * breath,
        roughness=0.004 * 8**rough,
        syllable_rate=3.6 + 2.0 * rate,
    )


def speak(speech: Speech, voice: Voice, rng: np.random.Generator) -> Samples:
    """The audio of ``speech``: float32, 16 kHz, as long as its curves, root mean square ``LEVEL``."""
    noise = rng.normal(0, 1, len(speech.voicing) * POINT)
    voiced = _glottal_source(speech, voice, noise, rng)
    vowels = _windows(voiced) * _tract(speech, voice)
    vowels *= 1 - voice.brightness * UNIT_DELAY
    vowels /= np.sqrt(np.mean(np.abs(vowels) ** 2)) + 1e-9
    friction = _windows(noise * _per_sample(speech.frication)) * _friction_colour(speech, voice)
    samples = _overlap_add(vowels + friction, len(noise))
    return np.asarray(samples * (LEVEL / (samples.std() + 1e-9)), np.float32)


def _per_sample(curve: npt.NDArray[np.floating]) -> Wave:
    return np.asarray(np.interp(np.arange(len(curve) * POINT), np.arange(len(curve)) * POINT, curve))


def _glottal_source(speech: Speech, voice: Voice, noise: Wave, rng: np.random.Generator) -> Wave:
    """Pulses of the vocal folds, with jitter and six times as much shimmer, and the breath between them."""
    voicing = _per_sample(speech.voicing)
    open_share = 0.42 + 1.2 * voice.breathiness
    drift = smoothed(rng.normal(0, 1, len(speech.pitch)), 1) * 1.9
    cycles = np.cumsum(_per_sample(speech.pitch * (1 + voice.roughness * drift))) * (voice.pitch_hz / SAMPLE_RATE)
    number = cycles.astype(np.intp)
    shimmer = (1 + 6 * voice.roughness * rng.normal(0, 1, number[-1] + 1))[number]
    phase = cycles - number
    # A glottis that closes late never closes wholly: some breath is left in the shut phase.
    breath = voice.breathiness * voicing * np.where(phase < open_share, 1.0, 0.4)
    hiss = np.diff(noise, prepend=0.0) * (breath + ASPIRATION * _per_sample(speech.aspiration))
    return np.asarray(_glottal_pulse(phase, open_share) * voicing * shimmer + hiss)


def _glottal_pulse(phase: Wave, open_share: float) -> Wave:
    """Rosenberg's pulse, differentiated: open for ``open_share`` of the cycle, of which 0.72 opening, 0.28 closing."""
    rise, fall = 0.72 * open_share, 0.28 * open_share
    opening = np.sin(np.pi * phase / rise)
    closing = -rise / fall * np.sin(np.pi / 2 * (phase - rise) / fall)
    return np.where(phase < rise, opening, np.where(phase < open_share, closing, 0.0))


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
    """The value of a curve at the centre of every window."""
    picks = np.minimum(np.arange(len(curve) // STRIDE + 1) * STRIDE, len(curve) - 1)
    return np.asarray(curve[picks])


def _tract(speech: Speech, voice: Voice) -> Spectra:
    """Frequency response of throat, mouth and nose: windows × bins."""
    formants = _at_windows(speech.formants) * (1.0, voice.frontness, voice.frontness**0.5)
    nasal = _at_windows(speech.nasal)[:, None]
    hz = np.column_stack([formants, np.tile(UPPER_FORMANTS_HZ, (len(formants), 1))]) * voice.formant_scale
    widened = 1 + nasal * np.array([0.6, 3, 2, 1, 1])
    width_hz = np.array([70, 90, 140, 220, 300]) * widened
    response = _resonance(hz[:, 0], width_hz[:, 0])
    for k in range(1, hz.shape[1]):
        response *= _resonance(hz[:, k], width_hz[:, k])
    return response * _open_nose(voice)


def _open_nose(voice: Voice) -> Spectra:
    """Frequency response of the nose beside the mouth: 1 × bins."""
    width = np.array([NASAL_WIDTH_HZ])
    pole = _resonance(np.array([NASAL_POLE_HZ * voice.formant_scale]), width)
    zero = _resonance(np.array([NASAL_ZERO_HZ * voice.formant_scale]), width)
    return np.asarray(1 + voice.nasality * (pole / zero - 1), np.complex64)


def _resonance(hz: npt.NDArray[np.floating], width_hz: npt.NDArray[np.floating]) -> Spectra:
    """A two-pole resonator of unit gain at 0 Hz: windows × bins."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    a1 = (-2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE)).astype(np.float32)[:, None]
    a2 = (radius**2).astype(np.float32)[:, None]
    return np.asarray((1 + a1 + a2) / (1 + UNIT_DELAY * (a1 + a2 * UNIT_DELAY)))


def _friction_colour(speech: Speech, voice: Voice) -> Spectra:
    """One broad resonance and no low end: the noise of a narrow place in the mouth. Windows × bins."""
    hz = _at_windows(speech.frication_hz) * voice.formant_scale
    colour = _resonance(hz, np.full(len(hz), 1800.0)) * (1 - UNIT_DELAY)
    power = np.mean(np.abs(colour) ** 2, axis=1, keepdims=True)
    return np.asarray(colour * (FRICTION / np.sqrt(power)))
