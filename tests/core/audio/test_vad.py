"""Voice activity: silero-vad's own probabilities, however the stream is cut."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from speakerlight.core.audio.vad import CHUNK_SAMPLES, VoiceActivity
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from tests.data import DEV, needs_clips


def audio(seconds: float, seed: int = 0) -> Samples:
    """Buzzing vowels between pauses, over noise: enough to take the network through its range."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * n * time) * np.exp(-(((n * 120 - 700) / 500) ** 2)) for n in range(1, 30))
    voice = 0.2 * buzz * np.clip(np.sin(2 * np.pi * 1.5 * time), 0, 1)
    return np.asarray(voice + 1e-3 * rng.standard_normal(len(time)), np.float32)


def after_loud(samples: Samples) -> Samples:
    """The samples after a second at full scale: they are not amplified."""
    return np.concatenate([np.sign(audio(1.024)), samples])


def in_pieces(samples: Samples, piece: int) -> list[float]:
    voice = VoiceActivity()
    return [tick for at in range(0, len(samples), piece) for tick in voice.push(samples[at : at + piece])]


def test_probabilities_of_loud_audio_are_sileros_own() -> None:
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None and spec.origin is not None
    load: Any = torch.jit.load
    reference = load(str(Path(spec.origin).parent / "data" / "silero_vad.jit"))
    samples = after_loud(audio(1.28))
    chunks = torch.from_numpy(samples).reshape(-1, CHUNK_SAMPLES)
    with torch.no_grad():
        judged = [reference(chunk[None], SAMPLE_RATE).item() for chunk in chunks]
    assert max(judged) - min(judged) > 0.1, "audio that does not change the network's output proves nothing"

    ticks = VoiceActivity().push(samples)

    covering = [
        judged[k * SAMPLES_PER_TICK // CHUNK_SAMPLES : ((k + 1) * SAMPLES_PER_TICK - 1) // CHUNK_SAMPLES + 1]
        for k in range(len(ticks))
    ]
    assert ticks == pytest.approx([max(chunks) for chunks in covering], abs=1e-5)


@pytest.mark.parametrize("piece", [1, 333, SAMPLES_PER_TICK, 9000])
def test_a_stream_gives_the_same_ticks_however_it_is_cut(piece: int) -> None:
    samples = audio(0.6)
    whole = VoiceActivity().push(samples)
    pieces = in_pieces(samples, piece)
    assert len(pieces) == len(whole)
    assert pieces == whole


def test_a_tick_comes_at_most_24_ms_after_its_end() -> None:
    voice, pushed, ticks = VoiceActivity(), 0, 0
    for _ in range(300):
        ticks += len(voice.push(np.zeros(32, np.float32)))
        pushed += 32
        assert pushed - SAMPLES_PER_TICK * ticks < SAMPLES_PER_TICK + 0.024 * SAMPLE_RATE + 32
    assert voice.push(np.zeros(0, np.float32)) == []


def test_silence_is_no_speech() -> None:
    ticks = VoiceActivity().push(np.zeros(SAMPLE_RATE, np.float32))
    assert len(ticks) == 24  # the last tick's last chunk is not whole yet
    assert max(ticks[5:]) < 0.1


def test_noise_is_no_speech() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    assert np.median(VoiceActivity().push(noise)) < 0.35


def real_voice() -> Samples:
    clip = next(path for path in sorted((DEV / "single").glob("*.mp4")) if "RD_Radio" in path.name)
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(clip)) as container:
        parts = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate(parts)[: 4 * SAMPLE_RATE]


@needs_clips
@pytest.mark.parametrize("level_db", [0, -30, -40])
def test_a_real_voice_is_speech_however_quiet(level_db: float) -> None:
    voice = real_voice()
    voice *= 0.1 / voice.std() * 10 ** (level_db / 20)
    assert np.mean(np.array(VoiceActivity().push(voice)) > 0.5) > 0.6


@pytest.mark.parametrize("level_db", [-20, -40, -60])
def test_amplified_hiss_is_not_speech(level_db: float) -> None:
    hiss = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE) * 10 ** (level_db / 20)
    assert max(VoiceActivity().push(hiss.astype(np.float32))) < 0.25


def test_torch_keeps_its_threads() -> None:
    """The silero-vad package sets torch to one thread when it is imported; this module must not."""
    program = "import sys; from speakerlight.core.audio.vad import VoiceActivity; VoiceActivity();"
    program += " assert 'silero_vad' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2], timeout=60)
