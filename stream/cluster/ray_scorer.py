"""Ray scorer: a Ray Serve deployment that computes the expert for many hosts in batches on the cluster's GPUs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ray import serve
from ray.util import get_node_ip_address
from starlette.requests import Request
from starlette.responses import Response

from speakerlight.cluster.remote_model import AUDIO, FACES, audio_in, faces_in

if TYPE_CHECKING:
    from speakerlight.core.models.lipsync import LipSyncModel

NAME, ROUTE = "speakerlight-scorer", "/scorer"
PORT = 8799
"""Port of Serve's HTTP proxy on the cluster's head. Serve's default of 8000 is the door's."""

BATCH_ROWS = 256
"""Maximum number of faces or audio windows in a batch: about ten milliseconds on a GPU (estimated)."""

WAIT_SECONDS = 0.002
"""How long a request may wait for requests of other hosts: a twentieth of a tick."""

GPU_SHARE = 0.5
"""Share of each GPU. The other half is for the host on it, whose rooms score locally."""

Rows = npt.NDArray[Any]
Vectors = npt.NDArray[np.float32]


class Scorer:
    """A replica. ``load``: loads the model in the replica's process."""

    def __init__(self, load: Callable[[], LipSyncModel]) -> None:
        self._model = load()
        self._works: dict[str, tuple[Callable[[bytes], Rows], Callable[[Rows], Awaitable[Vectors]]]] = {
            FACES: (faces_in, _batched(self._faces)),
            AUDIO: (audio_in, _batched(self._model.embed_audio)),
        }

    async def __call__(self, request: Request) -> Response:
        read, work = self._works.get("/" + request.url.path.rpartition("/")[2], (None, None))
        if read is None or work is None:
            return Response("there is no such encoder", 404)
        try:
            rows = read(await request.body())
        except ValueError:
            return Response("the body has another size", 400)
        return Response((await work(rows)).astype("<f4").tobytes(), media_type="application/octet-stream")

    def _faces(self, windows: Rows) -> Vectors:
        count, frames = windows.shape[:2]
        features = self._model.encode_frames(windows.reshape(count * frames, 1, *windows.shape[2:]))
        return self._model.embed_faces(features.reshape(count, frames, *features.shape[1:])).vectors


def _batched(embed: Callable[[Rows], Vectors]) -> Callable[[Rows], Awaitable[Vectors]]:
    """``embed`` for one request, computed in a batch with other requests."""

    async def together(requests: Sequence[Rows]) -> list[Vectors]:
        vectors = embed(np.concatenate(requests))
        return np.split(vectors, np.cumsum([len(each) for each in requests])[:-1])

    options = {"max_batch_size": BATCH_ROWS, "batch_wait_timeout_s": WAIT_SECONDS}
    batched: Callable[[Rows], Awaitable[Vectors]]
    batched = serve.batch(batch_size_fn=lambda requests: sum(map(len, requests)), **options)(together)
    return batched


def start_scorer(load: Callable[[], LipSyncModel], replicas: int, gpus: float = GPU_SHARE, port: int = PORT) -> str:
    """Start or update the deployment; returns its address once it answers. ``gpus``: of each replica."""
    address = get_node_ip_address()
    quiet = {"log_level": "WARNING", "enable_access_log": False}  # each host sends fifty requests a second
    serve.start(proxy_location="HeadOnly", http_options={"host": address, "port": port}, logging_config=quiet)
    deployment = serve.deployment(Scorer).options(num_replicas=replicas, ray_actor_options={"num_gpus": gpus})
    serve.run(deployment.bind(load), name=NAME, route_prefix=ROUTE, logging_config=quiet)
    return f"http://{address}:{port}{ROUTE}"


def expert_on_gpu(path: Path) -> LipSyncModel:
    """Load the expert from its checkpoint, in a replica with a GPU."""
    import torch

    from speakerlight.core.models.expert import load_expert

    return load_expert(path, torch.device("cuda"))
