"""Streaming voice activity detection (VAD): the speech probability of each tick.

The network is silero-vad's (MIT): its weights are read from the installed wheel and evaluated with NumPy on the calling
thread. Importing the package itself would limit torch to one thread for the whole process.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.media import Samples
from speakerlight.core.models.checkpoint import load_torchscript
from speakerlight.core.overlapping import overlapping
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK

Floats = npt.NDArray[np.float32]

CHUNK_SAMPLES = 512
"""Samples of one inference: 32 ms, with the 64 samples before them as context (silero-vad's own numbers)."""

_CONTEXT_SAMPLES = 64
_STFT_SAMPLES = 256
_STFT_HOP = 128
_STFT_WINDOWS = CHUNK_SAMPLES // _STFT_HOP
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_STFT_SAMPLES) / _STFT_SAMPLES)).astype(np.float32)
"""Hann window. The weights hold window and Fourier transform as one matrix, a fifth of all that is read for a chunk."""

_USUAL_LEVEL = 0.1
"""Root mean square to which quieter audio is amplified, −20 dBFS: of speech at −60 dBFS the network finds 0.84 …"""
_MAX_GAIN = 32.0
"""… and with up to 30 dB of gain 0.99 (36 clips of people who talk; no kind of noise is taken for speech by it)."""
_RISE_SECONDS, _FALL_SECONDS = 0.3, 4.0
"""Time constants of the level."""
_RISE = 1.0 - math.exp(-CHUNK_SAMPLES / SAMPLE_RATE / _RISE_SECONDS)
_FALL = math.exp(-CHUNK_SAMPLES / SAMPLE_RATE / _FALL_SECONDS)


def samples_for_tick(tick: int) -> int:
    """Number of samples from the start of a stream that ``VoiceActivity`` needs for ``tick``."""
    return (_last_chunk(tick) + 1) * CHUNK_SAMPLES


def _last_chunk(tick: int) -> int:
    """The chunk in which the tick ends."""
    return ((tick + 1) * SAMPLES_PER_TICK - 1) // CHUNK_SAMPLES


class VoiceActivity:
    """Speech probability of a 16 kHz stream, tick by tick; the first sample is the start of tick 0.

    A tick is reported once the network has covered all of its 40 ms: at most 24 ms after its end. The result does not
    depend on how the stream is cut into blocks.
    """

    def __init__(self) -> None:
        self._network = _SileroVad(_silero_weights())
        self._samples = np.zeros(0, np.float32)
        self._speech: list[float] = []  # of the chunks from self._first_chunk on
        self._first_chunk = 0
        self._tick = 0

    def push(self, samples: Samples) -> list[float]:
        """Consume the next samples (any number). Return the speech probability, 0 to 1, of each completed tick."""
        self._samples = np.concatenate((self._samples, samples))
        if whole := len(self._samples) // CHUNK_SAMPLES:
            chunks = self._samples[: whole * CHUNK_SAMPLES].reshape(whole, CHUNK_SAMPLES)
            self._speech.extend(self._network.judge(chunks))
            self._samples = self._samples[whole * CHUNK_SAMPLES :]
        ticks = []
        while (last := _last_chunk(self._tick)) < self._first_chunk + len(self._speech):
            first = self._tick * SAMPLES_PER_TICK // CHUNK_SAMPLES
            # The maximum: a word that begins or ends inside the tick counts.
            ticks.append(max(self._speech[first - self._first_chunk : last + 1 - self._first_chunk]))
            self._tick += 1
        self._forget()
        return ticks

    def _forget(self) -> None:
        needed = self._tick * SAMPLES_PER_TICK // CHUNK_SAMPLES
        del self._speech[: needed - self._first_chunk]
        self._first_chunk = needed


class _SileroVad:
    """The network and its state: a small STFT and four convolutions a chunk, then an LSTM over the chunks."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._convolutions = [
            (_as_matrix(weights[f"encoder.{n}.reparam_conv.weight"]), weights[f"encoder.{n}.reparam_conv.bias"], stride)
            for n, stride in enumerate((1, 2, 2, 1))
        ]
        self._input_gates = _in_order(weights["decoder.rnn.weight_ih"]).T
        self._hidden_gates = _in_order(weights["decoder.rnn.weight_hh"]).T
        self._gate_bias = _in_order(weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"])
        self._final = weights["decoder.decoder.2.weight"][0, :, 0]
        self._final_bias = weights["decoder.decoder.2.bias"][0]
        self._hidden = np.zeros(len(self._final), np.float32)
        self._cell = np.zeros(len(self._final), np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._gain = _Gain()

    def judge(self, chunks: Floats) -> list[float]:
        """Speech probability of each of n successive chunks, [n, CHUNK_SAMPLES]."""
        contexts = np.concatenate((self._context[None], chunks[:-1, -_CONTEXT_SAMPLES:]))
        self._context = chunks[-1, -_CONTEXT_SAMPLES:].copy()
        features = self._features(np.concatenate((contexts, chunks), axis=1), self._gain.update(chunks))
        # One product per chunk: a single product would round differently depending on the number of chunks.
        gates = (features[:, None] @ self._input_gates)[:, 0] + self._gate_bias
        return [self._step(gate) for gate in gates]

    def _features(self, samples: Floats, gains: Floats) -> Floats:
        # Reflect padding by hand: np.pad takes longer than the products.
        padded = np.concatenate((samples, samples[:, -2 : -2 - _CONTEXT_SAMPLES : -1]), axis=1)
        shape = (len(padded), _STFT_WINDOWS, _STFT_SAMPLES)
        windows = overlapping(padded, shape, (padded.shape[1], _STFT_HOP, 1))
        x = np.abs(np.fft.rfft(windows * _HANN)) * gains[:, None, None]
        for kernel, bias, stride in self._convolutions:
            x = np.maximum(_patches(x, stride) @ kernel + bias, 0)
        return np.asarray(x[:, 0])

    def _step(self, gates: Floats) -> float:
        gates = gates + self._hidden @ self._hidden_gates
        size = len(self._hidden)
        i, f, o = _sigmoid(gates[: 3 * size]).reshape(3, size)
        self._cell = f * self._cell + i * np.tanh(gates[3 * size :])
        self._hidden = o * np.tanh(self._cell)
        return float(_sigmoid(np.maximum(self._hidden, 0) @ self._final + self._final_bias))


class _Gain:
    """Automatic gain: quiet microphones are brought to the usual level. Loud audio stays as it is."""

    def __init__(self) -> None:
        self._power = self._level = 0.0

    def update(self, chunks: Floats) -> Floats:
        """The gain of each of n successive chunks, [n], from the level until its end."""
        gains = np.empty(len(chunks), np.float32)
        for k, chunk in enumerate(chunks):
            self._power += _RISE * (float(chunk @ chunk) / CHUNK_SAMPLES - self._power)
            self._level = max(self._power, self._level * _FALL)
            gains[k] = min(max(_USUAL_LEVEL / math.sqrt(self._level + 1e-12), 1.0), _MAX_GAIN)
        return gains


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1), np.float32)


def _patches(x: Floats, stride: int) -> Floats:
    """Input patches of a zero-padded convolution of width 3 over [n, T, C] at every ``stride``: [n, steps, 3 × C]."""
    padded = np.zeros((len(x), x.shape[1] + 2, x.shape[2]), np.float32)
    padded[:, 1:-1] = x
    shape = (len(x), -(-x.shape[1] // stride), 3 * x.shape[2])
    return overlapping(padded, shape, (padded[0].size, stride * x.shape[2], 1))


def _in_order(gates: Floats) -> Floats:
    """Reorder PyTorch's LSTM rows (input, forget, cell, output) so that the three sigmoid gates are adjacent."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate((i, f, o, g))


def _as_matrix(kernel: Floats) -> Floats:
    """A convolution kernel [out, in, width] as a matrix [width × in, out]: the convolution becomes one product."""
    return kernel.transpose(2, 1, 0).reshape(-1, len(kernel))


def _silero_weights() -> dict[str, Floats]:
    prefix = "_model."  # the 16 kHz network; an 8 kHz one lies beside it
    # find_spec finds the package without importing it.
    found = importlib.util.find_spec("silero_vad")
    folder = Path(found.origin).parent if found and found.origin else Path()
    try:
        state = load_torchscript(folder / "data" / "silero_vad.jit")
    except InputError as error:
        raise InputError("the voice activity model cannot be read: pip install 'silero-vad>=6.2,<7'") from error
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
