from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.people.voice_encoder import VoiceEncoder, VoiceStream, samples_for_hop
from speakerlight.model_files import VOICE_ENCODER
from speakerlight.model_loading import Models
from speakerlight.people_encoders import FIRST_HOPS, BackgroundVoices, PeopleEncoders
from tests.core.people.encoders import model_file

SAMPLES = np.random.default_rng(0).normal(0, 0.05, 3 * 16000).astype(np.float32)
HOPS = 14


def encoder() -> VoiceEncoder:
    return VoiceEncoder(model_file(VOICE_ENCODER))


@contextmanager
def background(load: Callable[[], VoiceEncoder] = encoder) -> Iterator[BackgroundVoices]:
    model_file(VOICE_ENCODER)  # skips where there is none
    with ThreadPoolExecutor(1) as thread:
        yield BackgroundVoices(thread, load)


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

    with background(load) as voices:
        voices.push(SAMPLES[: samples_for_hop(FIRST_HOPS - 1) - 1])
        assert voices.take() is None and not loads
        voices.push(SAMPLES[:1])
        assert voices.take() is not None and loads == [1]


def test_a_file_that_does_not_load_is_reported_to_who_needs_the_voices() -> None:
    def load() -> VoiceEncoder:
        raise InputError("cannot use the voice encoder's file")

    with background(load) as voices, pytest.raises(InputError, match="voice encoder"):
        voices.push(SAMPLES)
        voices.take()


@pytest.fixture
def shared(models: Models) -> Iterator[PeopleEncoders]:
    if models.people is None:
        pytest.skip("the files of the people encoders are not there")
    with PeopleEncoders(models.people) as encoders:
        encoders.load()
        yield encoders


def test_two_engines_share_the_encoders_and_get_their_own_voices(shared: PeopleEncoders) -> None:
    audio = [SAMPLES, SAMPLES[::-1].copy()]
    voices = [shared.voices(), shared.voices()]
    for first in range(0, len(SAMPLES), 4000):
        for each, samples in zip(voices, audio, strict=True):
            each.push(samples[first : first + 4000])
    for each, samples in zip(voices, audio, strict=True):
        taken = [each.take() for _ in range(HOPS)]
        np.testing.assert_array_equal(np.array(taken), VoiceStream(encoder()).push(samples))


def test_faces_of_several_threads_are_embedded_as_those_of_one(shared: PeopleEncoders) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (4, 1, 150, 150, 3), np.uint8)
    alone = [shared.embed_faces(crop) for crop in crops]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(shared.embed_faces, np.repeat(crops, 3, axis=0)))
    np.testing.assert_array_equal(together, np.repeat(alone, 3, axis=0))


def test_the_end_does_not_wait_for_audio_that_is_never_read(shared: PeopleEncoders) -> None:
    with shared:
        voices = shared.voices()
        for _ in range(40):
            voices.push(SAMPLES[:4000])
