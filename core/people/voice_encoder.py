"""Voice encoder: the GE2E LSTM as Resemblyzer ships it, 256 numbers for a window of speech, streaming.

Eight windows are open at any time, begun 0.2 s apart. Every 0.2 s each gives the embedding of its audio so far, one of
each length from 0.2 to 1.6 s. They share one batch: eight cost little more than one.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import MelSettings, mel_filters
from speakerlight.core.errors import InputError
from speakerlight.core.media import Samples
from speakerlight.core.models.openvino_graph import Compiled, Node, Precision, fast_precision, ops
from speakerlight.core.overlapping import overlapping
from speakerlight.core.people.voices import HOP_TICKS
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE

DIMENSIONS = 256

WINDOWS = 8
"""Number of open windows, and hops in the longest one: 1.6 s, the length that the network was trained on."""

_LAYERS, _HIDDEN, _MELS = 3, 256, 40
_STATE = 2 * _LAYERS * _HIDDEN
_WINDOW, _COLUMN = 400, 160
_COLUMNS = HOP_TICKS * SAMPLE_RATE // TICK_RATE // _COLUMN

_LEVEL = 10 ** (-30 / 20)
"""Root mean square to which speech is scaled: −30 dBFS, as in training."""

_LEVEL_HOPS = 5.0
"""Time constant of the speech level, in hops: 1 s."""

_SPEECH_SHARE = 0.1
"""A hop with less than this share of the speech level's power is a pause and does not change the level."""

_FILTERS = MelSettings(
    n_fft=_WINDOW,
    window=_WINDOW,
    hop=_COLUMN,
    mels=_MELS,
    fmin=0.0,
    fmax=SAMPLE_RATE / 2,
    pre_emphasis=0.0,
    log_floor=0.0,
    log_ceiling=1.0,
    half_range=1.0,
)
"""Only the filter bank is used: the network's input is powers, not their logarithms."""

Voice = npt.NDArray[np.float32]
"""A voice embedding: float32, 256 numbers of unit length, compared by cosine."""

Weights = Mapping[str, npt.NDArray[np.float32]]


def samples_for_hop(hop: int) -> int:
    """Number of samples from the start of a stream that ``VoiceStream`` needs for ``hop`` (from 0)."""
    return ((hop + 1) * _COLUMNS - 1) * _COLUMN + _WINDOW - _WINDOW // 2


class VoiceEncoder:
    """One step of all open windows. For one thread at a time."""

    def __init__(self, path: Path, precision: Precision | None = None) -> None:
        """``precision`` None: the fastest on this processor. Raises InputError when the file holds no such network."""
        precision = precision or fast_precision()
        try:
            weights = read_legacy(path)["model_state"]
            row = (_COLUMNS * _MELS + _STATE,)
            self._step = Compiled(lambda rows: _network(rows, weights), row, np.float32, precision, (WINDOWS,))
        except Exception as error:  # damaged bytes end in nearly any exception
            raise InputError(f"cannot use the voice encoder's file {path}: delete it and run again") from error

    def __call__(
        self, mel: npt.NDArray[np.float32], states: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """One hop of mel powers [20, 40] into windows with ``states`` [8, S]: new states, and embeddings [8, 256]."""
        rows = np.concatenate([np.tile(mel.reshape(1, -1), (len(states), 1)), states], axis=1)
        out = self._step(rows)
        return out[:, :_STATE], out[:, _STATE:]


class VoiceStream:
    """Embeds a stream of audio without gaps that begins at session time 0."""

    def __init__(self, encoder: VoiceEncoder) -> None:
        self._encoder = encoder
        self._pending = np.zeros(_WINDOW // 2, np.float32)
        self._columns = np.zeros((0, _MELS))
        self._powers = np.zeros(0)
        self._hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
        self._states = np.zeros((WINDOWS, _STATE), np.float32)
        self._power = 0.0
        self._hops = 0

    def push(self, samples: Samples) -> list[npt.NDArray[np.float32]]:
        """Consume the next samples; return for each completed hop the embeddings by window length, [8, 256].

        Row k is the embedding of the last (k + 1) · 0.2 s.
        """
        self._pending = np.concatenate([self._pending, samples])
        count = max(0, 1 + (len(self._pending) - _WINDOW) // _COLUMN)
        if count:
            windows = overlapping(self._pending.astype(np.float64), (count, _WINDOW), (_COLUMN, 1))
            powers = np.abs(np.fft.rfft(windows * self._hann, axis=1)) ** 2
            # One product per column: a single product would round differently depending on the number of columns.
            mel = (powers[:, None] @ mel_filters(_FILTERS))[:, 0]
            self._columns = np.concatenate([self._columns, mel])
            self._powers = np.concatenate([self._powers, (windows**2).mean(axis=1)])
            self._pending = self._pending[count * _COLUMN :].copy()
        out = []
        while len(self._columns) >= _COLUMNS:
            self._follow_level(self._powers[:_COLUMNS])
            out.append(self._hop(self._columns[:_COLUMNS]))
            self._columns, self._powers = self._columns[_COLUMNS:], self._powers[_COLUMNS:]
        return out

    def _follow_level(self, powers: npt.NDArray[np.float64]) -> None:
        """Update the running level of the speech from the power of each column."""
        for power in powers.tolist():
            if power > _SPEECH_SHARE * self._power:
                share = 1 / (_LEVEL_HOPS * _COLUMNS)
                self._power += (power - self._power) * (share if self._power else 1.0)
            else:
                self._power *= 1 - 1e-3  # lets a quieter voice count as speech again after a while

    def _hop(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        gain = _LEVEL**2 / max(self._power, 1e-10)
        self._states[self._hops % WINDOWS] = 0.0
        self._states, voices = self._encoder((columns * gain).astype(np.float32), self._states)
        ages = (self._hops - np.arange(WINDOWS)) % WINDOWS
        self._hops += 1
        return voices[np.argsort(ages)]


def _network(rows: Node, weights: Weights) -> Node:
    """[N, 800 + S] of mel powers and states to [N, S + 256] of states and embeddings."""
    mel = _columns(rows, 0, _COLUMNS * _MELS)
    x = ops.reshape(mel, np.array([-1, _COLUMNS, _MELS]), special_zero=False)
    lengths = ops.broadcast(ops.constant(np.int64(_COLUMNS)), ops.unsqueeze(ops.gather(ops.shape_of(rows), 0, 0), 0))
    states = []
    for layer in range(_LAYERS):
        first = _COLUMNS * _MELS + 2 * layer * _HIDDEN
        hidden, cell = (ops.unsqueeze(_columns(rows, k, k + _HIDDEN), 1) for k in (first, first + _HIDDEN))
        kernels = [_reordered(weights[f"lstm.weight_{kind}_l{layer}"])[None] for kind in ("ih", "hh")]
        bias = _reordered(weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"])[None]
        sequence = ops.lstm_sequence(x, hidden, cell, lengths, *kernels, bias, _HIDDEN, "FORWARD")
        x = ops.squeeze(sequence.output(0), 1)
        states += [ops.squeeze(sequence.output(1), 1), ops.squeeze(sequence.output(2), 1)]
    raw = ops.matmul(states[-2], weights["linear.weight"], transpose_a=False, transpose_b=True)
    active = ops.relu(ops.add(raw, weights["linear.bias"]))
    return ops.concat([*states, ops.normalize_l2(active, ops.constant([1]), 1e-10, "add")], 1)


def _columns(rows: Node, start: int, stop: int) -> Node:
    return ops.slice(rows, *(np.array([at]) for at in (start, stop, 1, 1)))


def _reordered(gates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """PyTorch's gates (input, forget, cell, output) in OpenVINO's order (forget, input, cell, output)."""
    i, f, c, o = np.split(gates, 4)
    return np.concatenate([f, i, c, o])


def read_legacy(path: Path) -> dict[str, Any]:
    """The content of a checkpoint in PyTorch's format before 1.6, tensors as float32 arrays, without PyTorch.

    Only dicts, lists, numbers, strings and float tensors are read. Raises nearly any exception for damaged bytes.
    """
    with path.open("rb") as file:
        for _ in range(3):  # magic number, protocol version, system
            _Legacy(file).load()
        reader = _Legacy(file)
        content: dict[str, Any] = reader.load()
        keys: Sequence[str] = _Legacy(file).load()
        for key in keys:
            count = int.from_bytes(file.read(8), "little")
            reader.storages[key][:] = np.frombuffer(file.read(4 * count), np.float32)
    return content


class _Legacy(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, npt.NDArray[np.float32]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): np.float32,
            ("collections", "OrderedDict"): _Dict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is not read")
        return known[module, name]

    def persistent_load(self, reference: tuple[str, type, str, str, int, object]) -> npt.NDArray[np.float32]:
        _, _, key, _, count, _ = reference
        return self.storages.setdefault(key, np.zeros(count, np.float32))


class _Dict(dict[str, Any]):
    """Takes the attributes that a state dict has, too."""


def _tensor(
    storage: npt.NDArray[np.float32], first: int, shape: tuple[int, ...], *_: object
) -> npt.NDArray[np.float32]:
    """A view: the storage is filled afterwards."""
    return storage[first : first + math.prod(shape)].reshape(shape)
