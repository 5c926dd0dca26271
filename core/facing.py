"""The faces' side of SyncNet: crops in, for each face and tick a face embedding and a visual speech probability."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from core.geometry import Box
from core.lipsync import Crop, LipSyncModel
from core.timebase import TICK_RATE
from core.vision import Sighting

_FORGET_TICKS = TICK_RATE
"""A face that is out of view for a second begins anew when it is back."""


@dataclass(eq=False)
class FaceMemory:
    """What is remembered of one face, by tick modulo the memory's length.

    ``vectors`` float32 [memory, D], zero where not known; ``activity`` float32 [memory], the probability that the mouth
    speaks, NaN where not known or where the model does not tell; ``boxes``: where the face was.
    """

    first_tick: int
    last_tick: int
    crops: deque[Crop]
    features: deque[torch.Tensor]
    vectors: npt.NDArray[np.float32]
    activity: npt.NDArray[np.float32]
    boxes: list[Box | None] = field(default_factory=list)


class Faces:
    """Embeds all faces of a tick in one batch. ``through`` is the newest embedded tick, −1 at first."""

    def __init__(self, model: LipSyncModel, memory_ticks: int) -> None:
        self._model = model
        self._memory = memory_ticks
        self._newest_seen = -1
        self.known: dict[int, FaceMemory] = {}
        self._void: torch.Tensor | None = None

    @property
    def through(self) -> int:
        return self._newest_seen - self._model.frame_lookahead

    def at(self, tick: int) -> dict[int, Box]:
        """The faces that were in view at ``tick`` and where, by id."""
        there = (
            (i, m.boxes[tick % self._memory]) for i, m in self.known.items() if m.first_tick <= tick <= m.last_tick
        )
        return {i: box for i, box in there if box is not None}

    def see(self, sighting: Sighting) -> None:
        """Take the next sighting. Ticks left out before it are filled with the faces that were there already."""
        missing = sighting.tick - self._newest_seen - 1
        filled = [f for f in sighting.faces if f.id in self.known] if 0 < missing < self._memory else []
        for tick in range(sighting.tick - missing, sighting.tick) if filled else ():
            crops = tuple(self.known[f.id].crops[-1] for f in filled)
            self._take(Sighting(tick, sighting.time, tuple(filled), crops))
        self._take(sighting)

    def finish(self) -> None:
        """Nothing more will be seen: what the last ticks lack of pictures to come counts as empty."""
        for _ in range(self._model.frame_lookahead):
            self._newest_seen += 1
            self._embed([m for m in self.known.values() if m.last_tick > self.through - 1 and m.features], void=True)

    def _take(self, sighting: Sighting) -> None:
        self._newest_seen = tick = sighting.tick
        for face, crop in zip(sighting.faces, sighting.crops, strict=True):
            if face.id not in self.known:
                self.known[face.id] = self._begin(tick, crop)
            memory = self.known[face.id]
            memory.last_tick = tick
            memory.crops.append(crop)
            memory.boxes[tick % self._memory] = face.box
        self.known = {i: m for i, m in self.known.items() if tick - m.last_tick <= _FORGET_TICKS}
        present = [self.known[face.id] for face in sighting.faces]
        if present:
            stacks = np.stack([np.stack(tuple(m.crops)) for m in present])
            for memory, feature in zip(present, self._model.encode_frames(stacks), strict=True):
                memory.features.append(feature)
        self._embed(present)

    def _begin(self, tick: int, crop: Crop) -> FaceMemory:
        stack = self._model.frame_stack
        return FaceMemory(
            first_tick=tick,
            last_tick=tick,
            crops=deque([crop] * stack, maxlen=stack),
            features=deque(maxlen=self._model.frame_window),
            vectors=np.zeros((self._memory, 1), np.float32),
            activity=np.full(self._memory, np.nan, np.float32),
            boxes=[None] * self._memory,
        )

    def _embed(self, present: list[FaceMemory], void: bool = False) -> None:
        """Embed the tick ``frame_lookahead`` before the newest of every face in ``present``."""
        if not present:
            return
        if self._void is None:
            self._void = torch.zeros_like(present[0].features[-1])
        if void:
            for memory in present:
                memory.features.append(self._void)
        missing = self._model.frame_window
        windows = torch.stack(
            [torch.stack([self._void] * (missing - len(m.features)) + list(m.features)) for m in present]
        )
        embedded = self._model.embed_faces(windows)
        slot = self.through % self._memory
        vectors = embedded.vectors.numpy()
        for k, memory in enumerate(present):
            if memory.vectors.shape[1] != vectors.shape[1]:
                memory.vectors = np.zeros((self._memory, vectors.shape[1]), np.float32)
            # A face that was first seen less than the look-ahead ago has no picture of this tick yet.
            is_there = self.through >= memory.first_tick
            memory.vectors[slot] = vectors[k] if is_there else 0.0
            if embedded.activity is not None:
                memory.activity[slot] = float(embedded.activity[k]) if is_there else np.nan
