"""Voice activity and level, streaming: whether somebody can be heard speaking at each tick.

The network is silero-vad's (MIT), from its wheel. Importing the package itself would import torch, and take it down to
one thread for the whole process.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.compiled import CompiledFile
from core.errors import InputError
from core.media import Samples
from core.timebase import SAMPLES_PER_TICK

Floats = npt.NDArray[np.float32]

CHUNK_SAMPLES = 512
"""The network judges 32 ms at a time, with the 64 samples before them as context (silero-vad's own numbers)."""

_CONTEXT_SAMPLES = 64
_MEMORY = 128
"""Numbers that its LSTM keeps from chunk to chunk, twice."""

SILENCE_DBFS = -100.0
"""The level of digital silence."""


@dataclass(frozen=True)
class TickSound:
    """What one tick's 40 ms sound like. ``speech``: probability in [0, 1]; ``level_dbfs``: RMS, 0 is full scale."""

    speech: float
    level_dbfs: float


def samples_for_tick(tick: int) -> int:
    """How many samples of a stream ``VoiceActivity`` needs from its start to give this tick."""
    return (_last_chunk(tick) + 1) * CHUNK_SAMPLES


def _last_chunk(tick: int) -> int:
    """The chunk in which the tick ends."""
    return ((tick + 1) * SAMPLES_PER_TICK - 1) // CHUNK_SAMPLES


class VoiceActivity:
    """Speech probability and level of a stream, tick by tick; the first sample is the start of tick 0.

    A tick comes out once the network has judged all of its 40 ms: at most 24 ms after its end. The same stream gives
    the same ticks however it is cut into pieces.
    """

    def __init__(self) -> None:
        self._network = _SileroVad()
        self._tick_samples = np.zeros(0, np.float32)
        self._chunk_samples = np.zeros(0, np.float32)
        self._speech: list[float] = []  # of the chunks from self._first_chunk on
        self._first_chunk = 0
        self._tick = 0

    def push(self, samples: Samples) -> list[TickSound]:
        """Take the next samples (any number); return the ticks that they complete, in order."""
        self._tick_samples = np.concatenate((self._tick_samples, samples))
        self._chunk_samples = np.concatenate((self._chunk_samples, samples))
        if whole := len(self._chunk_samples) // CHUNK_SAMPLES:
            chunks = self._chunk_samples[: whole * CHUNK_SAMPLES].reshape(whole, CHUNK_SAMPLES)
            self._speech.extend(self._network.judge(chunks))
            self._chunk_samples = self._chunk_samples[whole * CHUNK_SAMPLES :]
        ticks = []
        while (last := _last_chunk(self._tick)) < self._first_chunk + len(self._speech):
            first = self._tick * SAMPLES_PER_TICK // CHUNK_SAMPLES
            # The loudest vote: a word that begins or ends inside the tick counts.
            speech = max(self._speech[first - self._first_chunk : last + 1 - self._first_chunk])
            ticks.append(TickSound(speech, level_dbfs(self._tick_samples[:SAMPLES_PER_TICK])))
            self._tick_samples = self._tick_samples[SAMPLES_PER_TICK:]
            self._tick += 1
        self._forget()
        return ticks

    def _forget(self) -> None:
        needed = self._tick * SAMPLES_PER_TICK // CHUNK_SAMPLES
        del self._speech[: needed - self._first_chunk]
        self._first_chunk = needed


def level_dbfs(samples: Samples) -> float:
    """Root mean square of ``samples`` in decibels under full scale; ``SILENCE_DBFS`` at least."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * float(np.log10(max(power, 10 ** (SILENCE_DBFS / 10))))


class _SileroVad:
    """The network, with its memory."""

    def __init__(self) -> None:
        self._network = CompiledFile(_silero_file())
        self._hidden = np.zeros((1, 1, _MEMORY), np.float32)
        self._cell = np.zeros((1, 1, _MEMORY), np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def judge(self, chunks: Floats) -> list[float]:
        """Speech probability of each of n successive chunks, [n, CHUNK_SAMPLES]."""
        contexts = np.vstack((self._context, chunks[:-1, -_CONTEXT_SAMPLES:]))
        self._context = chunks[-1, -_CONTEXT_SAMPLES:].copy()
        out = self._network(input=np.hstack((contexts, chunks)), h=self._hidden, c=self._cell)
        self._hidden, self._cell = out["hn"], out["cn"]
        return [float(probability) for probability in out["speech_probs"]]


def _silero_file() -> Path:
    """The form that takes any number of successive chunks at once."""
    # find_spec looks without importing.
    found = importlib.util.find_spec("silero_vad")
    file = Path(found.origin if found and found.origin else "").parent / "data" / "silero_vad_16k_sequence.onnx"
    if not file.is_file():
        raise InputError("the voice activity model is not there: pip install 'silero-vad>=6.2.3,<7'")
    return file
