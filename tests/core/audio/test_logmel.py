from __future__ import annotations

import librosa
import numpy as np
import pytest
from scipy.signal import lfilter

from speakerlight.core.audio.logmel import COMPACT_MEL, EXPERT_MEL, MelSettings, StreamingLogMel, log_mel, mel_filters
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE

both = pytest.mark.parametrize("settings", [EXPERT_MEL, COMPACT_MEL], ids=["expert", "compact"])


def voice_like(seconds: float = 3.0, seed: int = 0) -> Samples:
    """Harmonics that swell and fade, over faint noise: loud and very quiet bands side by side."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 140 * n * time + n) / n for n in range(1, 25))
    return np.asarray(
        0.1 * tones * np.sin(2 * np.pi * 2 * time) ** 2 + 1e-4 * rng.standard_normal(len(time)), np.float32
    )


def stft_mel(samples: Samples, settings: MelSettings) -> np.ndarray:
    """librosa's mel magnitudes of pre-emphasised audio, columns × mels, in double precision."""
    emphasised = lfilter([1, -settings.pre_emphasis], [1], samples.astype(np.float64))
    spectrum = librosa.stft(
        emphasised, n_fft=settings.n_fft, hop_length=settings.hop, win_length=settings.window, pad_mode="constant"
    )
    filters = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=settings.n_fft, n_mels=settings.mels, fmin=settings.fmin, fmax=settings.fmax
    )
    return np.asarray((filters @ np.abs(spectrum)).T)


def test_the_expert_receives_what_wav2lip_computes() -> None:
    samples = voice_like()
    decibels = 20 * np.log10(np.maximum(1e-5, stft_mel(samples, EXPERT_MEL))) - 20
    expected = np.clip((decibels + 100) / 100 * 8 - 4, -4, 4)
    interior = slice(None, -2)  # the audio's end is an edge for pre-emphasis, which librosa does not know of
    assert log_mel(samples, EXPERT_MEL)[interior] == pytest.approx(expected[interior], abs=1e-4)
    assert expected.min() == -4 and expected.max() > 0


def test_the_compact_model_receives_a_plain_log_mel() -> None:
    samples = voice_like()
    expected = (np.log10(np.clip(stft_mel(samples, COMPACT_MEL), 1e-5, 10)) + 2) / 3
    assert log_mel(samples, COMPACT_MEL) == pytest.approx(expected, abs=1e-4)


@both
def test_filters_are_librosas(settings: MelSettings) -> None:
    expected = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=settings.n_fft, n_mels=settings.mels, fmin=settings.fmin, fmax=settings.fmax
    )
    np.testing.assert_allclose(mel_filters(settings).T, expected, atol=1e-8)


@both
@pytest.mark.parametrize("piece", [1, 37, 640, 5000])
def test_a_stream_gives_the_whole_recordings_columns(settings: MelSettings, piece: int) -> None:
    samples = voice_like(seconds=0.5)
    whole = log_mel(samples, settings)
    stream = StreamingLogMel(settings)
    pieces = [stream.push(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    streamed = np.concatenate(pieces)
    assert streamed.shape == (1 + (len(samples) - settings.window // 2) // settings.hop, settings.mels)
    assert streamed.dtype == np.float32
    assert streamed == pytest.approx(whole[: len(streamed)], abs=1e-6)


@both
def test_a_column_comes_as_soon_as_half_a_window_after_its_centre_is_known(settings: MelSettings) -> None:
    stream = StreamingLogMel(settings)
    centre = 3 * settings.hop
    known = centre + settings.window // 2
    assert len(stream.push(np.zeros(known - 1, np.float32))) == 3
    assert len(stream.push(np.zeros(1, np.float32))) == 1
    assert len(stream.push(np.zeros(0, np.float32))) == 0


@both
def test_a_click_is_loudest_in_the_column_centred_on_it(settings: MelSettings) -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[20 * settings.hop] = 0.5
    assert log_mel(samples, settings).mean(axis=1).argmax() == 20


@both
def test_silence_is_the_floor_and_nothing_leaves_the_range(settings: MelSettings) -> None:
    assert np.all(log_mel(np.zeros(1000, np.float32), settings) == settings.silence)
    noise = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    assert np.abs(log_mel(noise, settings)).max() <= settings.half_range


def test_columns_cover_the_recording() -> None:
    assert SAMPLE_RATE / EXPERT_MEL.hop == 80
    assert SAMPLE_RATE / COMPACT_MEL.hop == 100
    assert log_mel(np.zeros(0, np.float32), COMPACT_MEL).shape == (1, 40)
    assert log_mel(np.zeros(SAMPLE_RATE, np.float32), COMPACT_MEL).shape == (101, 40)
