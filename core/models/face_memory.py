"""Face memory: features and embeddings of all faces in shared arrays, so that a tick of all faces is one slice.

A face has a row as long as it is known; the next axis holds ticks, modulo its length.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speakerlight.core.models.features import Features, joined, zeros
from speakerlight.core.models.lipsync import FaceEmbeddings

_FIRST_ROWS = 4


class FaceMemory:
    """Features of the last ``window`` ticks, on the model's device, and embeddings of the last ``ticks`` ticks."""

    def __init__(self, window: int, ticks: int, dimensions: int) -> None:
        self._window, self._ticks = window, ticks
        self._free = list(range(_FIRST_ROWS))
        self._features: Features | None = None
        self._vectors = np.zeros((_FIRST_ROWS, ticks, dimensions), np.float32)
        self._visual_vad = np.zeros((_FIRST_ROWS, ticks), np.float32)
        self._has_visual_vad = False
        self._embedded = np.zeros((_FIRST_ROWS, ticks), np.bool_)

    @property
    def rows(self) -> int:
        """Number of rows, used or free."""
        return len(self._embedded)

    def take(self) -> int:
        """An empty row for one more face."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._vectors[row], self._visual_vad[row], self._embedded[row] = 0.0, 0.0, False
        if self._features is not None:
            self._features[row] = 0
        return row

    def release(self, row: int) -> None:
        """Forget the face of ``row``."""
        self._free.append(row)

    def _grow(self) -> None:
        self._free.extend(range(self.rows, 2 * self.rows))
        self._vectors, self._visual_vad = np.tile(self._vectors, (2, 1, 1)), np.tile(self._visual_vad, (2, 1))
        self._embedded = np.tile(self._embedded, (2, 1))
        if self._features is not None:
            self._features = joined([self._features, self._features])

    def put_features(self, tick: int, rows: list[int], features: Features | None) -> None:
        """Store the features of ``tick``, [len(rows), *feature]; all other faces have zeros. None: no face has any."""
        if self._features is not None:
            self._features[:, tick % self._window] = 0
        if features is None:
            return
        if self._features is None:
            self._features = zeros(features, (self.rows, self._window, *features.shape[1:]))
        self._features[rows, tick % self._window] = features  # type: ignore[assignment]  # both of one kind

    def windows(self, newest: int, rows: list[int]) -> Features:
        """The features of the ``window`` ticks up to ``newest``, oldest first: [len(rows), window, *feature]."""
        assert self._features is not None
        order = np.arange(newest + 1, newest + 1 + self._window) % self._window
        return self._features[_cells(rows, order)]

    def put_embeddings(self, tick: int, rows: list[int], embeddings: FaceEmbeddings | None) -> None:
        """Store the embeddings of ``tick``, in the order of ``rows``; other faces have none. None: no face has any."""
        slot = tick % self._ticks
        self._vectors[:, slot], self._visual_vad[:, slot], self._embedded[:, slot] = 0.0, 0.0, False
        if embeddings is None:
            return
        self._vectors[rows, slot], self._embedded[rows, slot] = embeddings.vectors, True
        if embeddings.visual_vad is not None:
            self._visual_vad[rows, slot], self._has_visual_vad = _log_odds(embeddings.visual_vad), True

    def vectors(self, rows: list[int], ticks: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
        """[F, T, D], zero where there are none."""
        return self._vectors[_cells(rows, ticks % self._ticks)]

    def visual_vad(
        self, rows: list[int], ticks: npt.NDArray[np.int_]
    ) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_]]:
        """Log-odds of visual speech [F, T], 0 without an embedding; also, where there is one, [F, T].

        None instead of log-odds while no embedding had visual voice activity.
        """
        cells = _cells(rows, ticks % self._ticks)
        return self._visual_vad[cells] if self._has_visual_vad else None, self._embedded[cells]


def _log_odds(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    p = probabilities.clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def _cells(rows: list[int], slots: npt.NDArray[np.int_]) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    return np.array(rows)[:, None], slots
