"""Speech synthesis without recordings: formant synthesis from articulation curves, and the voices that differ in it.

A glottal source with jitter and shimmer passes five moving resonators in cascade (Klatt's 1980 arrangement); friction
noise and stop bursts bypass them through a resonator of their own. The moving filters are applied to overlapping
windows in the frequency domain, at a tenth of the cost of filtering sample by sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

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

COPY_STEP = 1.08
"""Factor of pitch and formants between people who share a voice of ``VOICES``, up and down by turns."""

PEAK_WIDTH_HZ = 500.0
"""Bandwidth of a microphone's peak."""

Wave = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]


class Microphone(NamedTuple):
    """What a person's microphone and its place do to the voice: every tile of a video call has its own.

    ``lowest_hz``, ``highest_hz``: corners of the pass band, of one and two poles. ``peak_hz``, ``peak_db``: centre and
    gain of a peak between them.
    """

    lowest_hz: float = 60.0
    highest_hz: float = 8000.0
    peak_hz: float = 2000.0
    peak_db: float = 0.0


FLAT = Microphone()


@dataclass(frozen=True)
class Voice:
    """The traits by which one voice differs from another.

    ``pitch_hz``: mean fundamental frequency, 75–285.
    ``formant_scale``: 1 for an average adult, less for a longer vocal tract.
    ``openness``, ``frontness``: multiples of the first and second formant, 0.85–1.2: how the tongue usually lies.
    ``overtones``: multiple of the fourth and fifth formant, less of the third, 0.85–1.15: the shape of the larynx.
    ``damping``: multiple of the formants' bandwidths, 0.55–2.2: how soft the walls of the vocal tract are.
    ``nasality``: how open the nose is in vowels, 0–1.
    ``brightness``: spectral tilt, as pre-emphasis of the vowels, 0.3–0.9.
    ``breathiness``: noise at the open glottis relative to its pulses, 0.02–0.3.
    ``open_share``: share of a glottal cycle in which the glottis is open, 0.3–0.95: pressed to soft.
    ``roughness``: relative deviation of a glottal cycle's length, 0.004–0.03.
    ``syllable_rate``: syllables a second, 3.6–5.6.
    """

    pitch_hz: float
    formant_scale: float
    openness: float = 1.0
    frontness: float = 1.0
    overtones: float = 1.0
    damping: float = 1.0
    nasality: float = 0.0
    brightness: float = 0.6
    breathiness: float = 0.1
    open_share: float = 0.54
    roughness: float = 0.01
    syllable_rate: float = 4.5
    microphone: Microphone = FLAT


VOICES: tuple[Voice, ...] = (
    Voice(75, 0.88, 0.9, 0.92, 1.12, 0.57, 0.9, 0.84, 0.18, 0.89, 0.032, 4.2, Microphone(60, 4500, 3600, 14)),
    Voice(85, 0.81, 0.91, 1.12, 0.92, 1.8, 0.0, 0.32, 0.02, 0.32, 0.021, 4.9, Microphone(280, 4500, 1200, 11)),
    Voice(79, 1.03, 0.88, 1.06, 1.13, 0.55, 0.02, 0.3, 0.24, 0.93, 0.004, 3.8, Microphone(390, 8300, 3600, 0)),
    Voice(129, 0.92, 1.01, 0.93, 0.94, 2.2, 0.23, 0.87, 0.19, 0.9, 0.005, 4.4, Microphone(140, 8600, 2800, 15)),
    Voice(184, 1.11, 0.89, 0.92, 1.05, 2.09, 0.0, 0.9, 0.24, 0.46, 0.032, 5.1, Microphone(480, 4500, 1200, 5)),
    Voice(194, 1.22, 1.12, 1.09, 1.08, 0.55, 0.29, 0.54, 0.1, 0.6, 0.013, 4.0, Microphone(120, 4500, 3400, 11)),
    Voice(285, 1.07, 0.88, 0.88, 1.08, 2.1, 0.44, 0.3, 0.06, 0.69, 0.012, 5.3, Microphone(70, 4500, 1200, 6)),
)
"""Voices that a speaker encoder tells apart nearly as well as it does those of people.

Found by a random search over the traits for the smallest cosines between GE2E embeddings, with the voices that a voice
activity detector does not take for speech left out. The profiles of two of them have a cosine of 0.62 on average and
0.69 at most; that of two profiles of one voice is above 0.9.
"""


def cast_voices(count: int, rng: np.random.Generator) -> tuple[Voice, ...]:
    """``count`` voices that differ clearly from each other. More people than ``VOICES`` get varied copies of them."""
    order = rng.permutation(len(VOICES))
    return tuple(_varied(VOICES[order[k % len(VOICES)]], k // len(VOICES)) for k in range(count))


def _varied(voice: Voice, copy: int) -> Voice:
    """The voice, raised in odd copies and lowered in even ones."""
    factor = COPY_STEP ** ((copy + 1) // 2 * (1 if copy % 2 else -1))
    return replace(voice, pitch_hz=voice.pitch_hz * factor, formant_scale=voice.formant_scale * factor)


def speak(speech: Speech, voice: Voice, rng: np.random.Generator) -> Samples:
    """The audio of ``speech``: float32, 16 kHz, as long as its curves, root mean square ``LEVEL``."""
    noise = rng.normal(0, 1, len(speech.voicing) * POINT)
    voiced = _glottal_source(speech, voice, noise, rng)
    vowels = _windows(voiced) * _tract(speech, voice)
    vowels *= 1 - voice.brightness * UNIT_DELAY
    vowels /= np.sqrt(np.mean(np.abs(vowels) ** 2)) + 1e-9
    friction = _windows(noise * _per_sample(speech.frication)) * _friction_colour(speech, voice)
    samples = _overlap_add((vowels + friction) * _pick_up(voice), len(noise))
    return np.asarray(samples * (LEVEL / (samples.std() + 1e-9)), np.float32)


def _per_sample(curve: npt.NDArray[np.floating]) -> Wave:
    return np.asarray(np.interp(np.arange(len(curve) * POINT), np.arange(len(curve)) * POINT, curve))


def _glottal_source(speech: Speech, voice: Voice, noise: Wave, rng: np.random.Generator) -> Wave:
    """Pulses of the vocal folds, with jitter and six times as much shimmer, and the breath between them."""
    voicing = _per_sample(speech.voicing)
    drift = smoothed(rng.normal(0, 1, len(speech.pitch)), 1) * 1.9
    cycles = np.cumsum(_per_sample(speech.pitch * (1 + voice.roughness * drift))) * (voice.pitch_hz / SAMPLE_RATE)
    number = cycles.astype(np.intp)
    shimmer = (1 + 6 * voice.roughness * rng.normal(0, 1, number[-1] + 1))[number]
    phase = cycles - number
    # A glottis that closes late never closes wholly: some breath is left in the shut phase.
    breath = voice.breathiness * voicing * np.where(phase < voice.open_share, 1.0, 0.4)
    hiss = np.diff(noise, prepend=0.0) * (breath + ASPIRATION * _per_sample(speech.aspiration))
    return np.asarray(_glottal_pulse(phase, voice.open_share) * voicing * shimmer + hiss)


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
    formants = _at_windows(speech.formants) * (
        voice.openness,
        voice.frontness,
        voice.frontness**0.5 * voice.overtones**0.67,
    )
    nasal = _at_windows(speech.nasal)[:, None]
    upper_hz = np.tile(voice.overtones * np.array(UPPER_FORMANTS_HZ), (len(formants), 1))
    hz = np.column_stack([formants, upper_hz]) * voice.formant_scale
    widened = 1 + nasal * np.array([0.6, 3, 2, 1, 1])
    width_hz = voice.damping * np.array([70, 90, 140, 220, 300]) * widened
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


def _pick_up(voice: Voice) -> Spectra:
    """Frequency response of the microphone: 1 × bins."""
    microphone = voice.microphone
    peak = _resonance(np.array([microphone.peak_hz]), np.array([PEAK_WIDTH_HZ]))
    gain = 10 ** (microphone.peak_db / 20) - 1
    high_pass = (1 - UNIT_DELAY) / (1 - _pole(microphone.lowest_hz) * UNIT_DELAY)
    low_pass = 1 / (1 - _pole(microphone.highest_hz) * UNIT_DELAY)
    return np.asarray((1 + gain * peak / np.abs(peak).max()) * high_pass * low_pass**2, np.complex64)


def _pole(hz: float) -> float:
    """Pole of a first-order filter with this corner frequency."""
    return math.exp(-2 * math.pi * hz / SAMPLE_RATE)


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
