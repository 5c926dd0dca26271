"""Remote model: the expert's interface over HTTP, computed by a scorer elsewhere, for machines without a GPU.

Each batch is the body of a POST request: uint8 crops to ``/faces``, float32 mel columns to ``/audio``. The response is
float32 embeddings.
"""

from __future__ import annotations

import logging
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.models.expert import CROP_SHAPE, Expert
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import FaceEmbeddings

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 0.06
"""Timeout of one batch: one and a half ticks. A slower scorer makes rooms late, and they shed load."""

START_SECONDS = 30.0
"""Timeout of the first batch, for which kernels are compiled."""

FACES, AUDIO = "/faces", "/audio"


class RemoteExpert(Expert):
    """The expert at ``url``. A batch that misses its deadline gives no evidence: zero vectors for its faces, NaN for
    its audio. The wait makes the room late, so that it scores fewer faces and ticks.

    For one thread at a time, like all models. Raises InputError where there is no scorer.
    """

    def __init__(self, url: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        parts = urlsplit(url)
        self._path = parts.path.rstrip("/")
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=START_SECONDS)
        self.missed = 0
        """Number of batches that missed the deadline or failed."""
        silence = np.full((1, self.mel_window, self.mel.mels), self.mel.silence, np.float32)
        if self._embedded(AUDIO, silence) is None:
            raise InputError(f"--model {url}: no scorer answers there")
        self._connection.timeout = deadline_seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(deadline_seconds)

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:  # type: ignore[override]
        return stacks[:, 0]

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        found = self._embedded(FACES, np.asarray(windows, np.uint8))
        return FaceEmbeddings(np.zeros((len(windows), self.dimensions), np.float32) if found is None else found, None)

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found = self._embedded(AUDIO, mel)
        return np.full((len(mel), self.dimensions), np.nan, np.float32) if found is None else found

    def _embedded(self, path: str, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.float32] | None:
        headers = {"Content-Type": "application/octet-stream", "Connection": "keep-alive"}
        try:
            self._connection.request("POST", self._path + path, np.ascontiguousarray(rows).tobytes(), headers)
            answer = self._connection.getresponse()
            body = answer.read()
            vectors = np.frombuffer(body, "<f4").reshape(-1, self.dimensions) if answer.status == 200 else None
        except (OSError, HTTPException, ValueError) as failure:
            logger.debug("the scorer does not answer: %r", failure)
            vectors = None
        if vectors is not None and len(vectors) == len(rows):
            return vectors.astype(np.float32)
        self._connection.close()  # a late response must not be read as that of the next batch
        self.missed += 1
        return None


def faces_in(body: bytes) -> npt.NDArray[np.uint8]:
    """The crops of a request's body, uint8 [B, W, *crop]. Raises ValueError for another size."""
    return np.frombuffer(body, np.uint8).reshape(-1, Expert.frame_window, *CROP_SHAPE)


def audio_in(body: bytes) -> npt.NDArray[np.float32]:
    """The mel columns of a request's body, float32 [B, mel_window, mels]. Raises ValueError for another size."""
    return np.frombuffer(body, "<f4").reshape(-1, Expert.mel_window, Expert.mel.mels)
