"""Fit of the speech head: speech or not, from voice activity and audio embeddings, in many kinds of noise.

What is speech in a clip is known from its voice activity without the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from speakerlight.core.media import Samples
from speakerlight.core.models.speech_head import MEAN_TICKS, head_inputs
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from speakerlight.core.training.augmentation import drawn_noise, in_room
from speakerlight.core.training.conversations import AudioEncoder
from speakerlight.core.training.dataset import speech_of, voiced_clips
from speakerlight.core.training.weights_file import save_weights

Floats = npt.NDArray[np.float32]

SOURCES = ("people", "single")
"""Folders of clips: real voices of many people."""

HIDDEN = 16

_NOISES = 4
"""Noises for each clip, beside the clip as it is."""

_MOST_SECONDS = 10.0
_PAUSE_SECONDS = 1.2
"""Silence before and after each clip: with noise, it is noise alone."""

_RMS = 0.08
_SNR_DB = (-5.0, 20.0)
_LEVELS_DB = (-30.0, 5.0)

_SPEECH_FROM, _SILENCE_BELOW = 0.5, 0.05
"""Voice activity of the clip as it is that counts as speech, and as silence …"""
_SILENCE_DB = -15.0
"""… where it is quieter than this, too, relative to the clip: a noisy clip may hold speech that was missed."""

_BATCH, _STEPS, _RATE = 2048, 3000, 3e-3

_CAUTION = 0.6
"""Log-odds by which the fitted probabilities are lowered: a noise that never ends, as of a fan, is all false alarms. Of
the ticks of a fan unlike the training noises 0.033 → 0.003 are taken for speech; of those of a voice beside it as loud
0.79 are found, 0.36 by voice activity alone (fitted: 0.86)."""


@dataclass(frozen=True, eq=False)
class HeadExample:
    """``inputs`` [T, INPUTS] of a clip's ticks and whether each is speech, [T]."""

    inputs: Floats
    speech: npt.NDArray[np.bool_]


def head_examples(folders: Sequence[Path], encode: AudioEncoder, seed: int = 0) -> Iterator[HeadExample]:
    """Each clip of ``folders`` that has audio, as it is and in several noises."""
    rng = np.random.default_rng(seed)
    for folder in folders:
        for _, samples in voiced_clips(folder):
            if np.any(samples):
                yield from in_noises(samples[: int(_MOST_SECONDS * SAMPLE_RATE)], encode, rng)


def in_noises(samples: Samples, encode: AudioEncoder, rng: np.random.Generator) -> Iterator[HeadExample]:
    """A clip as it is, then in noises, then a noise alone."""
    pause = np.zeros(int(_PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    clean = np.concatenate([pause, samples * np.float32(_RMS / samples.std()), pause])
    speech, is_known = labels(clean)
    speech, where = speech[MEAN_TICKS - 1 :], is_known[MEAN_TICKS - 1 :]

    def inputs(samples: Samples) -> Floats:
        heard = samples * np.float32(10 ** (rng.uniform(*_LEVELS_DB) / 20))
        return head_inputs(speech_of(heard), encode(heard, len(is_known)))

    for number in range(1 + _NOISES):
        yield HeadExample(inputs(noisy(clean, rng) if number else clean)[where], speech[where])
    alone = np.asarray(_RMS * drawn_noise(len(clean), rng), np.float32)
    yield HeadExample(inputs(alone), np.zeros_like(speech))


def labels(clean: Samples) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each tick is speech, and where that is known, [T] each."""
    voice = speech_of(clean)
    power = np.square(clean[: len(voice) * SAMPLES_PER_TICK].reshape(-1, SAMPLES_PER_TICK)).mean(axis=1)
    quiet = 10 * np.log10(power / np.quantile(power[power > 0], 0.9) + 1e-9) < _SILENCE_DB
    return voice >= _SPEECH_FROM, (voice >= _SPEECH_FROM) | ((voice < _SILENCE_BELOW) & quiet)


def noisy(clean: Samples, rng: np.random.Generator) -> Samples:
    """The clip in noise, some of them in a room, clipped or with an upper frequency limit."""
    samples = in_room(clean, rng) if rng.random() < 0.4 else clean
    samples = samples + _RMS * 10 ** (-rng.uniform(*_SNR_DB) / 20) * drawn_noise(len(samples), rng)
    if rng.random() < 0.3:
        samples = np.clip(samples, -2 * _RMS, 2 * _RMS)
    if rng.random() < 0.3:
        bins = np.fft.rfft(samples)
        bins[int(rng.uniform(0.4, 0.9) * len(bins)) :] = 0
        samples = np.fft.irfft(bins, len(samples))
    return np.asarray(samples, np.float32)


def fit_head(examples: Sequence[HeadExample], path: Path, card: dict[str, str], seed: int = 0) -> None:
    """Fit the head and write it to ``path``, with ``card`` as its header. Speech and silence count alike."""
    torch.manual_seed(seed)
    inputs = torch.from_numpy(np.concatenate([example.inputs for example in examples]))
    speech = torch.from_numpy(np.concatenate([example.speech for example in examples])).float()
    share = speech.mean()
    weights = torch.where(speech > 0, 0.5 / share, 0.5 / (1 - share))
    hidden, output = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    network = nn.Sequential(hidden, nn.Tanh(), output)
    optimiser = torch.optim.Adam(network.parameters(), _RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in range(_STEPS):
        picks = torch.randint(len(inputs), (_BATCH,))
        loss = nn.functional.binary_cross_entropy_with_logits(
            network(inputs[picks])[:, 0], speech[picks], weight=weights[picks]
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    arrays = {
        "hidden": hidden.weight.detach().T.numpy(),
        "hidden_bias": hidden.bias.detach().numpy(),
        "output": output.weight.detach()[0].numpy(),
        "bias": output.bias.detach().numpy() - np.float32(_CAUTION),
    }
    save_weights(arrays, path, card)
