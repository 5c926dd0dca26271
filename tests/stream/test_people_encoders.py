from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.people.voice_encoder import VoiceEncoder, VoiceStream, samples_for_hop
from speakerlight.model_cache import VOICE_ENCODER
from speakerlight.people_encoders import FIRST_HOPS, BackgroundVoices, voices_in_background
from tests.core.people.encoders import model_file

SAMPLES = np.random.default_rng(0).normal(0, 0.05, 3 * 16000).astype(np.float32)
HOPS = 14


def encoder() -> VoiceEncoder:
    return VoiceEncoder(model_file(VOICE_ENCODER))


@contextmanager
def background() -> Iterator[BackgroundVoices]:
    model_file(VOICE_ENCODER)  # skips where there is none
    with voices_in_background(encoder) as voices:
        yield voices


@pytest.mark.parametrize("block", [640, 1001, 48000])
def test_each_hop_is_there_once_its_audio_is_with_the_values_of_a_stream(block: int) -> None:
    expected = VoiceStream(encoder()).push(SAMPLES)
    assert len(expected) == HOPS
    taken: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    with background() as voices:
        for first in range(0, len(SAMPLES), block):
            voices.push(SAMPLES[first : first + block])
            while (hop := voices.take()) is not None:
                taken.append(hop)
            pushed = min(first + block, len(SAMPLES))
            complete = sum(samples_for_hop(k) <= pushed for k in range(HOPS + 1))
            assert len(taken) == (complete if complete >= FIRST_HOPS else 0)
    np.testing.assert_array_equal(taken, expected)


def test_nothing_is_loaded_before_the_first_hops_are_complete() -> None:
    loads: list[int] = []

    def load() -> VoiceEncoder:
        loads.append(1)
        return encoder()

    with voices_in_background(load) as voices:
        voices.push(SAMPLES[: samples_for_hop(FIRST_HOPS - 1) - 1])
        assert voices.take() is None and not loads
        voices.push(SAMPLES[:1])
        assert voices.take() is not None and loads == [1]


def test_a_file_that_does_not_load_is_reported_to_who_needs_the_voices() -> None:
    def load() -> VoiceEncoder:
        raise InputError("cannot use the voice encoder's file")

    with voices_in_background(load) as voices, pytest.raises(InputError, match="voice encoder"):
        voices.push(SAMPLES)
        voices.take()


def test_the_end_does_not_wait_for_audio_that_is_never_read() -> None:
    with background() as voices:
        for _ in range(40):
            voices.push(SAMPLES[:4000])
