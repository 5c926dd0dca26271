"""The scorer on Ray Serve, on the CPU with a small network: the same vectors as locally, batches, and its deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("ray", reason="the extra [cluster] is not installed: pip install '.[cluster]'")

import ray
from ray import serve

from speakerlight.cluster.ray_scorer import start_scorer
from speakerlight.cluster.remote_model import RemoteExpert
from speakerlight.core.errors import InputError
from speakerlight.core.models.expert import CROP_SHAPE, Expert
from tests.stream.cluster.small_expert import SLOW_LEVEL, SLOW_SECONDS, SmallExpert
from tests.stream.server.test_server_factory import free_port

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def url(mediapipe_loaded: None) -> Iterator[str]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    ray.init("local", num_cpus=2, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False)
    try:
        yield start_scorer(SmallExpert, 1, gpus=0, port=free_port())
    finally:
        serve.shutdown()
        ray.shutdown()


def windows(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 200, (count, Expert.frame_window, *CROP_SHAPE), np.uint8)


def slow() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((1, Expert.frame_window, *CROP_SHAPE), SLOW_LEVEL, np.uint8)


def mel(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    shape = (count, Expert.mel_window, Expert.mel.mels)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_vectors_are_those_of_the_model_itself(url: str) -> None:
    remote, local = RemoteExpert(url, deadline_seconds=5.0), SmallExpert()
    features = remote.encode_frames(windows(3).reshape(-1, 1, *CROP_SHAPE))
    assert features.shape == (3 * Expert.frame_window, *CROP_SHAPE)
    expected = local.embed_faces(windows(3)).vectors
    assert np.allclose(remote.embed_faces(windows(3)).vectors, expected)
    assert np.allclose(remote.embed_audio(mel(2)), local.embed_audio(mel(2)))
    assert remote.missed == 0


def test_hosts_are_computed_together(url: str) -> None:
    remotes = [RemoteExpert(url, deadline_seconds=10.0) for _ in range(6)]
    inputs = [windows(2, seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as threads:
        begun = time.monotonic()
        list(threads.map(lambda each: each.embed_faces(slow()), remotes))
        took = time.monotonic() - begun
        found = list(threads.map(lambda pair: pair[0].embed_faces(pair[1]), zip(remotes, inputs, strict=True)))
    assert took < 4.5 * SLOW_SECONDS, "six slow requests of six hosts in fewer batches"
    for own, each in zip(inputs, found, strict=True):
        assert np.allclose(each.vectors, SmallExpert().embed_faces(own).vectors)


def test_a_batch_that_misses_its_deadline_has_no_evidence_and_the_next_one_is_right(url: str) -> None:
    remote = RemoteExpert(url, deadline_seconds=0.2)
    begun = time.monotonic()
    late = remote.embed_faces(slow())
    assert 0.2 <= time.monotonic() - begun < SLOW_SECONDS and remote.missed == 1
    assert not late.vectors.any()
    time.sleep(SLOW_SECONDS)
    deadline = time.monotonic() + 10
    while not (found := remote.embed_faces(windows(2)).vectors).any():
        assert time.monotonic() < deadline
    assert np.allclose(found, SmallExpert().embed_faces(windows(2)).vectors)


def test_without_a_scorer_there_is_one_line() -> None:
    with pytest.raises(InputError, match="no scorer answers"):
        RemoteExpert(f"http://127.0.0.1:{free_port()}/scorer")
