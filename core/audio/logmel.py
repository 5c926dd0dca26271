"""Log-mel spectrograms, whole and streaming: the audio features of the models.

A stream gives the same columns as the whole recording, whatever its block sizes. The result equals librosa's, which
takes seconds to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from speakerlight.core.media import Samples
from speakerlight.core.overlapping import overlapping
from speakerlight.core.timebase import SAMPLE_RATE

Mel = npt.NDArray[np.float32]
"""Log-mel columns: float32, columns × mels. Column ``k`` is centred on the sample ``k × hop``."""

_WHOLE_STEP_COLUMNS = 4096
"""A whole recording is transformed in steps of this many columns, to bound the memory of long recordings."""


@dataclass(frozen=True)
class MelSettings:
    """Parameters of a log-mel spectrogram of 16 kHz audio. Lengths are in samples, frequencies in hertz.

    Magnitudes (not powers) of a centred STFT with a Hann window go through Slaney's mel filters; their log10, from
    ``log_floor`` to ``log_ceiling``, is mapped linearly onto ``-half_range`` to ``half_range`` and clipped to that.
    """

    n_fft: int
    window: int
    hop: int
    mels: int
    fmin: float
    fmax: float
    pre_emphasis: float
    log_floor: float
    log_ceiling: float
    half_range: float

    @property
    def silence(self) -> float:
        """The value of digital silence, assumed before the first and after the last column."""
        return -self.half_range


EXPERT_MEL = MelSettings(
    n_fft=800,
    window=800,
    hop=200,
    mels=80,
    fmin=55.0,
    fmax=7600.0,
    pre_emphasis=0.97,
    log_floor=-4.0,
    log_ceiling=1.0,
    half_range=4.0,
)
"""The expert's (Wav2Lip): 80 columns a second in [−4, 4].

Its own formula, S = 20·log10(max(1e-5, mel)) − 20 and (S + 100) / 100 · 8 − 4 clipped to ±4, is 1.6·log10(mel) + 2.4,
which is −4 at 1e-4 and 4 at 10; the 1e-5 has no effect.
"""

COMPACT_MEL = MelSettings(
    n_fft=512,
    window=400,
    hop=160,
    mels=40,
    fmin=55.0,
    fmax=7600.0,
    pre_emphasis=0.0,
    log_floor=-5.0,
    log_ceiling=1.0,
    half_range=1.0,
)
"""The compact model's: 100 columns a second in [−1, 1].

Level-dependent, not normalised, so a live stream needs no history. The floor is 20 dB below the expert's, which cuts
off a fifth of speech at −38 dBFS (measured on the training clips).
"""


def log_mel(samples: Samples, settings: MelSettings) -> Mel:
    """Columns of a whole recording, 1 + len // hop of them, with silence assumed before and after it."""
    stream = StreamingLogMel(settings)
    columns = 1 + len(samples) // settings.hop
    step = _WHOLE_STEP_COLUMNS * settings.hop
    parts = [stream.push(samples[start : start + step]) for start in range(0, len(samples), step)]
    parts.append(stream.push(np.zeros(settings.window, np.float32)))
    return np.concatenate(parts)[:columns]


def samples_for_column(column: int, settings: MelSettings) -> int:
    """Number of samples from the start of a stream that ``StreamingLogMel`` needs for ``column``."""
    return column * settings.hop + settings.window - settings.window // 2


class StreamingLogMel:
    """Log-mel of a stream without gaps, silent before its first sample.

    A column is given as soon as the half window after its centre is complete.
    """

    def __init__(self, settings: MelSettings) -> None:
        self._settings = settings
        self._last_sample = 0.0
        # Pre-emphasised audio from the start of the next column's window on. Double precision: in single, the rounding
        # of a loud band hides a quiet one, and the result would depend on how the stream is cut.
        self._pending = np.zeros(settings.window // 2)
        phase = 2 * np.pi * np.arange(settings.window) / settings.window
        self._hann = 0.5 - 0.5 * np.cos(phase)

    def push(self, samples: Samples) -> Mel:
        """Consume the next samples (any number); return the columns that they complete: float32, columns × mels."""
        settings = self._settings
        if len(samples):
            emphasised = samples.astype(np.float64)
            if settings.pre_emphasis:
                before = np.concatenate(([self._last_sample], emphasised[:-1]))
                self._last_sample = float(samples[-1])
                emphasised -= settings.pre_emphasis * before
            self._pending = np.concatenate((self._pending, emphasised))
        count = max(0, 1 + (len(self._pending) - settings.window) // settings.hop)
        if not count:
            return np.empty((0, settings.mels), np.float32)
        windows = overlapping(self._pending, (count, settings.window), (settings.hop, 1))
        magnitudes = np.abs(np.fft.rfft(windows * self._hann, n=settings.n_fft, axis=1))
        # Copied: a view would keep the whole concatenation alive.
        self._pending = self._pending[count * settings.hop :].copy()
        return _compressed(magnitudes @ mel_filters(settings), settings)


def _compressed(mel: npt.NDArray[np.float64], settings: MelSettings) -> Mel:
    level = np.log10(np.clip(mel, 10**settings.log_floor, 10**settings.log_ceiling))
    share = (level - settings.log_floor) / (settings.log_ceiling - settings.log_floor)
    return ((2 * share - 1) * settings.half_range).astype(np.float32)


@lru_cache
def mel_filters(settings: MelSettings) -> npt.NDArray[np.float64]:
    """Slaney's mel filter bank, (n_fft // 2 + 1) × mels: triangles of equal area; librosa.filters.mel, transposed."""
    edges = _mel_to_hertz(np.linspace(_hertz_to_mel(settings.fmin), _hertz_to_mel(settings.fmax), settings.mels + 2))
    hertz = np.linspace(0, SAMPLE_RATE / 2, settings.n_fft // 2 + 1)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre))
    return np.asarray(np.maximum(triangles, 0) * 2 / (right - left))


# Slaney's mel scale (Auditory Toolbox, 1998): 200/3 Hz a mel up to 1000 Hz, above it 27 mels for a factor of 6.4.
_HERTZ_PER_MEL = 200 / 3
_KNEE_HERTZ = 1000.0
_KNEE_MEL = _KNEE_HERTZ / _HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _KNEE_HERTZ:
        return hertz / _HERTZ_PER_MEL
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HERTZ) / _LOG_STEP)


def _mel_to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _KNEE_HERTZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HERTZ_PER_MEL, above)
