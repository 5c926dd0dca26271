"""Cost of a remote scorer: a host's processor time for a batch of faces, scored locally or sent to Ray Serve.

The scorer of this benchmark runs a small network, so its time is that of the transport: request, Serve's proxy, batch.
Local times are those of the networks themselves; the expert's weights are untrained, which takes as long.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import ray
import torch
from ray import serve

from speakerlight.cluster.ray_scorer import start_scorer
from speakerlight.cluster.remote_model import RemoteExpert
from speakerlight.core.models.compact import CROP, Compact
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.expert import CROP_SHAPE, Expert, SyncNetColor, fast_dtype
from speakerlight.core.timebase import TICK_RATE
from tests.benchmarks.measure import Row, header, line, spread
from tests.stream.cluster.small_expert import SmallExpert
from tests.stream.server.test_server_factory import free_port

FACES = (1, 2, 8, 32)
ROUNDS = 30


def windows(faces: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 200, (faces, Expert.frame_window, *CROP_SHAPE), np.uint8)


def timed(work: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time of this process, and of wall time, of each call."""
    used, waited = [], []
    for _ in range(ROUNDS):
        begun, cpu = time.perf_counter(), time.process_time()
        work()
        used.append(1000 * (time.process_time() - cpu))
        waited.append(1000 * (time.perf_counter() - begun))
    return used, waited


def show(way: str, model: str, faces: int, work: Callable[[], object]) -> None:
    work()
    used, waited = timed(work)
    share = TICK_RATE * float(np.median(used)) / 1000
    clock = f"clock: median {np.median(waited):.1f}, p95 {np.quantile(waited, 0.95):.1f} ms"
    note = f"{share:.3f} cores at 25 a second; {clock}"
    print(line(Row("scorer", way, model, faces, spread(used), "ms CPU", note=note)), flush=True)


def compact_tick(model: Compact, faces: int) -> None:
    """One tick: a new frame of each face encoded, and each face embedded."""
    side = CROP.side_pixels
    features = model.encode_frames(np.zeros((faces, model.frame_stack, side, side), np.uint8))
    model.embed_faces(np.stack([np.asarray(features)] * model.frame_window, axis=1))


def main(arguments: list[str]) -> int:
    """Print a table."""
    argparse.ArgumentParser(prog="python -m tests.benchmarks load_scorer", description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    print(f"load average {os.getloadavg()[0]:.1f}\n{header()}", flush=True)
    cpu = torch.device("cpu")
    expert, compact = Expert(SyncNetColor(), cpu, fast_dtype(cpu)), load_compact("cpu")
    for faces in FACES:
        show("local", "compact", faces, partial(compact_tick, compact, faces))
        crops = expert.encode_frames(windows(faces).reshape(-1, 1, *CROP_SHAPE))
        show("local", "expert", faces, partial(expert.embed_faces, crops.reshape(faces, -1, *CROP_SHAPE)))
    ray.init("local", num_cpus=2, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False)
    try:
        remote = RemoteExpert(start_scorer(SmallExpert, 1, gpus=0, port=free_port()), deadline_seconds=5.0)
        for faces in FACES:
            show("remote", "expert", faces, partial(remote.embed_faces, windows(faces)))
    finally:
        serve.shutdown()
        ray.shutdown()
    return 0
