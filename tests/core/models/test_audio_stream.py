from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.media import Samples
from speakerlight.core.models.audio_stream import AudioEncoderStream
from speakerlight.core.models.compact import Compact
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.models.lipsync import audio_lookahead_seconds
from speakerlight.core.models.speech_head import MEAN_TICKS, speech_head_for
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from speakerlight.core.training.clips import read_samples
from speakerlight.core.training.evaluation import clip_mel
from tests.data import DEV, needs_clips

MEMORY = 128


def noise(seconds: float, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0, 0.2, int(seconds * 10) + 1), SAMPLE_RATE // 10)[: int(seconds * SAMPLE_RATE)]
    return (loudness * rng.standard_normal(len(loudness))).astype(np.float32)


def received(model: Compact, samples: Samples, pieces: list[int]) -> tuple[np.ndarray, list[float]]:
    audio_stream = AudioEncoderStream(model, MEMORY)
    for piece in np.split(samples, np.cumsum(pieces)):
        audio_stream.push_audio(piece)
    ticks = np.arange(audio_stream.through + 1)
    return audio_stream.vectors(ticks, audio_stream.through)[0], audio_stream.speech(ticks).tolist()


@torch.inference_mode()
def test_a_stream_gives_the_whole_clips_embeddings(network: CompactSyncNet, model: Compact) -> None:
    samples = noise(3.0)
    vectors, _ = received(model, samples, [])
    whole = network.sound(clip_mel(torch.from_numpy(samples)[None], len(vectors)))[0].T.numpy()
    assert len(vectors) >= 70
    np.testing.assert_allclose(vectors, whole, atol=1e-4)


@pytest.mark.parametrize("piece", [160, 333, 640, 7000])
def test_it_does_not_matter_how_the_audio_is_cut(model: Compact, piece: int) -> None:
    samples = noise(1.5)
    vectors, speech = received(model, samples, [piece] * (len(samples) // piece))
    whole, whole_speech = received(model, samples, [])
    np.testing.assert_allclose(vectors, whole, atol=1e-5)
    np.testing.assert_allclose(speech, whole_speech, atol=1e-5)


def test_speech_is_that_of_voice_activity_and_embeddings(model: Compact) -> None:
    samples = noise(1.0)
    audio_stream = AudioEncoderStream(model, MEMORY)
    audio_stream.push_audio(samples)
    activity, through = VoiceActivity().push(samples), audio_stream.through
    head = speech_head_for(model.name)
    assert head is not None and MEAN_TICKS < through < len(activity) - 1
    vectors, _ = audio_stream.vectors(np.arange(through + 1), through)
    spoken = head.probabilities(np.array(activity[: through + 1], np.float32), vectors)
    assert [audio_stream.voice_activity(tick) for tick in range(len(activity))] == pytest.approx(activity)
    speech = audio_stream.speech(np.arange(len(activity)))
    assert speech[through + 1 :] == pytest.approx(activity[through + 1 :]), "not embedded yet"
    assert speech[MEAN_TICKS - 1 : through + 1] == pytest.approx(spoken, abs=1e-5)


@needs_clips
def test_speech_in_noise_is_found_and_noise_is_not_speech() -> None:
    """A fan at the level of the voice: noise around 400 Hz, which no training noise is like."""
    rng, model = np.random.default_rng(0), load_compact("cpu")
    found, missed, imagined = [], [], []
    for clip in sorted((DEV / "people").glob("*.mp4"))[:24:4]:
        voice = read_samples(clip)[: 4 * SAMPLE_RATE]
        voice *= 0.05 / voice.std()
        hertz = np.fft.rfftfreq(len(voice), 1 / SAMPLE_RATE)
        hiss = np.fft.rfft(rng.standard_normal(len(voice)))
        fan = np.fft.irfft(hiss * (np.exp(-(((hertz - 400) / 500) ** 2)) + 0.1), len(voice))
        fan = (0.05 / fan.std() * fan).astype(np.float32)
        spoken = np.array(received(model, voice, [])[1]) > 0.5
        audio_stream = AudioEncoderStream(model, MEMORY)
        audio_stream.push_audio(voice + fan)
        ticks = np.flatnonzero(spoken)
        found += (audio_stream.speech(ticks) > 0.5).tolist()
        missed += [audio_stream.voice_activity(tick) <= 0.5 for tick in ticks.tolist()]
        imagined += (np.array(received(model, fan, [])[1]) > 0.5).tolist()
    assert len(imagined) > 500 and np.mean(imagined) < 0.005
    assert np.mean(found) > 0.75 and np.mean(missed) > 1.5 * (1 - np.mean(found)), (np.mean(found), np.mean(missed))


def test_a_tick_is_known_no_later_than_the_stated_look_ahead(model: Compact) -> None:
    lookahead = audio_lookahead_seconds(model)
    assert lookahead <= 0.16
    audio_stream, samples = AudioEncoderStream(model, MEMORY), noise(1.0)
    for start in range(0, len(samples), 80):
        audio_stream.push_audio(samples[start : start + 80])
        sound_through = (start + 80) / SAMPLE_RATE
        assert (audio_stream.through + 1) * 0.04 + lookahead > sound_through
    assert audio_stream.through >= 20


def test_what_is_not_known_is_zero(model: Compact) -> None:
    audio_stream = AudioEncoderStream(model, MEMORY)
    assert audio_stream.through == -1
    vectors, known = audio_stream.vectors(np.arange(3), 2)
    assert not vectors.any() and not known.any()
    audio_stream.push_audio(noise(1.0))
    ticks = np.array([-5, -1, 0, audio_stream.through, audio_stream.through + 3])
    for newest, expected in ((1000, [False, False, True, True, False]), (0, [False, False, True, False, False])):
        vectors, known = audio_stream.vectors(ticks, newest)
        assert known.tolist() == vectors.any(axis=1).tolist() == expected
    assert audio_stream.speech(np.array([-1, 1000])).tolist() == [0, 0]


def test_only_the_last_ticks_are_remembered(model: Compact) -> None:
    audio_stream = AudioEncoderStream(model, 16)
    audio_stream.push_audio(noise(2.0))
    ticks = np.arange(audio_stream.through + 1)
    known = audio_stream.vectors(ticks, audio_stream.through)[1]
    assert known.tolist() == [tick > audio_stream.through - 16 for tick in ticks]
    whole = AudioEncoderStream(model, MEMORY)
    whole.push_audio(noise(2.0))
    last = ticks[-10:]
    np.testing.assert_allclose(audio_stream.vectors(last, last[-1])[0], whole.vectors(last, last[-1])[0], atol=1e-5)


def test_no_audio_is_no_progress(model: Compact) -> None:
    audio_stream = AudioEncoderStream(model, MEMORY)
    audio_stream.push_audio(np.zeros(0, np.float32))
    assert audio_stream.through == -1


def test_memory_does_not_grow_with_time(model: Compact) -> None:
    audio_stream, second = AudioEncoderStream(model, MEMORY), np.zeros(SAMPLE_RATE, np.float32)
    for _ in range(8):
        audio_stream.push_audio(second)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in range(40):
        audio_stream.push_audio(second)
    grown = sum(entry.size_diff for entry in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    # A minute of log-mel alone would be a megabyte.
    assert grown < 200_000
    assert audio_stream.through >= 48 * SAMPLE_RATE // SAMPLES_PER_TICK - 5


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf, 3e38])
def test_damaged_samples_are_forgotten_within_two_seconds(model: Compact, damage: float) -> None:
    samples = noise(4.0)
    damaged = samples.copy()
    damaged[SAMPLE_RATE : SAMPLE_RATE + 3] = damage
    vectors, speech = received(model, damaged, [])
    right, right_speech = received(model, samples, [])
    assert np.isfinite(vectors).all() and np.isfinite(speech).all()
    later = 3 * 25
    np.testing.assert_allclose(vectors[later:], right[later:], atol=1e-3)
    np.testing.assert_allclose(speech[later:], right_speech[later:], atol=0.02)
