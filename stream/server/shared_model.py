"""Shared model: calls from the threads of all rooms are computed together, fairly, one batch at a time.

A room waits for each of its calls, so it has at most one in the queue. The thread that finds no other one computing
leads: it computes for all waiting calls and hands the lead on when its own call is done. A single room thus never
changes threads, which on a busy machine would cost more than the batch. A batch holds calls of the same kind as the
oldest one. Where they have too many rows for one batch, all get the same share, so a small call never waits for a
large one.

On an accelerator rows in one batch are nearly free, so a batch waits a little for the other rooms.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import MelSettings
from speakerlight.core.faces.detection import Keypoints
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.models.features import Features, joined
from speakerlight.core.models.lipsync import Crop, FaceEmbeddings, LipSyncModel

BATCH_ROWS = 64
"""Maximum rows (faces or audio windows) of a batch: a few milliseconds on a slow machine, and bounded memory."""

ACCELERATOR_WAIT_SECONDS = 0.002
"""How long a call may wait for calls of other rooms: a twentieth of a tick."""


@dataclass(frozen=True)
class _Kind:
    """One of the model's methods. ``join`` concatenates the results of several batches."""

    compute: Callable[[Any], Any]
    join: Callable[[list[Any]], Any]


@dataclass(eq=False)
class _Call:
    """A request from one room: ``rows`` to compute, of which the first ``done`` are in ``parts``.

    ``turn`` is set when the call is over, or when its thread takes the lead.
    """

    kind: _Kind
    rows: Features
    due: float
    turn: threading.Event = field(default_factory=threading.Event)
    parts: list[Any] = field(default_factory=list)
    done: int = 0
    error: Exception | None = None

    @property
    def left(self) -> int:
        return len(self.rows) - self.done

    @property
    def is_over(self) -> bool:
        # A call without rows is computed once as well, so that its result has the model's shape.
        return self.error is not None or (bool(self.parts) and not self.left)

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.parts[0] if len(self.parts) == 1 else self.kind.join(self.parts)


class SharedModel:
    """Runs ``model`` for rooms, each in a thread of its own."""

    def __init__(
        self, model: LipSyncModel, device: str, batch_rows: int = BATCH_ROWS, wait_seconds: float | None = None
    ) -> None:
        """``wait_seconds``: how long a call may wait for calls of other rooms; None: chosen for ``device``."""
        self.model = model
        self._batch_rows = batch_rows
        self._wait = _wait_seconds(device) if wait_seconds is None else wait_seconds
        self.encode_frames = _Kind(model.encode_frames, joined)
        self.embed_faces = _Kind(model.embed_faces, _joined_embeddings)
        self.embed_audio = _Kind(model.embed_audio, joined)
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._rooms = 0
        self._is_led = False

    @contextmanager
    def room(self) -> Iterator[LipSyncModel]:
        """The model for one more room, whose calls come from one thread at a time."""
        with self._changed:
            self._rooms += 1
        try:
            yield _RoomModel(self)
        finally:
            with self._changed:
                self._rooms -= 1
                self._changed.notify()

    def compute(self, kind: _Kind, rows: Features) -> Any:
        """The result of the model's method for ``rows``. Raises what the method raises."""
        call = _Call(kind, rows, time.monotonic() + self._wait)
        with self._changed:
            self._waiting.append(call)
            leads, self._is_led = not self._is_led, True
            self._changed.notify()
        if not leads:
            call.turn.wait()
        if not call.is_over:
            self._lead(call)
        return call.result()

    def _lead(self, own: _Call) -> None:
        """Compute until ``own`` is over, then hand the lead to the oldest waiting call."""
        while not own.is_over:
            calls = self._next()
            shares = _shares([call.left for call in calls], self._batch_rows)
            batch = [(call, slice(call.done, call.done + share)) for call, share in zip(calls, shares, strict=True)]
            try:
                _compute(batch)
            except Exception:  # computed one by one, so that only the call that caused the error fails
                for part in batch:
                    _compute_alone(part)
            self._hand_back(calls)
        with self._changed:
            successor = self._waiting[0] if self._waiting else None
            self._is_led = successor is not None
        if successor is not None:
            successor.turn.set()

    def _next(self) -> list[_Call]:
        """The calls of the next batch, oldest first."""
        with self._changed:
            due = self._waiting[0].due
            while len(self._waiting) < self._rooms and (left := due - time.monotonic()) > 0:
                self._changed.wait(left)
            kind = self._waiting[0].kind
            return [call for call in self._waiting if call.kind is kind][: self._batch_rows]

    def _hand_back(self, calls: list[_Call]) -> None:
        with self._changed:
            for call in calls:
                self._waiting.remove(call)
                if not call.is_over:  # calls of another kind that arrived meanwhile go first
                    self._waiting.append(call)
        for call in calls:
            if call.is_over:
                call.turn.set()


def _wait_seconds(device: str) -> float:
    return 0.0 if device == "cpu" else ACCELERATOR_WAIT_SECONDS


def _compute(batch: list[tuple[_Call, slice]]) -> None:
    kind = batch[0][0].kind
    results = kind.compute(joined([call.rows[rows] for call, rows in batch]))
    first = 0
    for call, rows in batch:
        count = rows.stop - rows.start
        call.parts.append(results[first : first + count])  # a view: the engine copies it into its own memory
        call.done = rows.stop
        first += count


def _compute_alone(part: tuple[_Call, slice]) -> None:
    try:
        _compute([part])
    except Exception as error:
        part[0].error = error


def _shares(wanted: list[int], capacity: int) -> list[int]:
    """Number of rows per call: all that it needs, or an equal share; at least one each."""
    shares = [0] * len(wanted)
    for place, index in enumerate(sorted(range(len(wanted)), key=lambda index: wanted[index])):
        shares[index] = min(wanted[index], max(capacity // (len(wanted) - place), 1))
        capacity -= shares[index]
    return shares


def _joined_embeddings(parts: list[FaceEmbeddings]) -> FaceEmbeddings:
    visual_vads = [part.visual_vad for part in parts if part.visual_vad is not None]
    return FaceEmbeddings(
        np.concatenate([part.vectors for part in parts]), np.concatenate(visual_vads) if visual_vads else None
    )


class _RoomModel:
    """The shared model with the interface of a model, for one room."""

    def __init__(self, shared: SharedModel) -> None:
        self._shared, self._model = shared, shared.model

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def dimensions(self) -> int:
        return self._model.dimensions

    @property
    def mel(self) -> MelSettings:
        return self._model.mel

    @property
    def frame_stack(self) -> int:
        return self._model.frame_stack

    @property
    def frame_window(self) -> int:
        return self._model.frame_window

    @property
    def frame_lookahead(self) -> int:
        return self._model.frame_lookahead

    @property
    def mel_window(self) -> int:
        return self._model.mel_window

    def mel_start(self, tick: int) -> int:
        return self._model.mel_start(tick)

    def crop(self, image: Image, box: Box, keypoints: Keypoints) -> Crop:
        return self._model.crop(image, box, keypoints)

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:
        features: Features = self._shared.compute(self._shared.encode_frames, stacks)
        return features

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        embeddings: FaceEmbeddings = self._shared.compute(self._shared.embed_faces, windows)
        return embeddings

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = self._shared.compute(self._shared.embed_audio, mel)
        return vectors
