"""The faces' side of SyncNet: crops in, for each face and tick a face embedding and a visual speech probability."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.geometry import Box
from core.lipsync import Crop, LipSyncModel
from core.timebase import TICK_RATE
from core.vision import Sighting

_FORGET_TICKS = TICK_RATE
"""A face that is out of view for longer than a second begins anew when it is back."""


@dataclass(eq=False)
class FaceMemory:
    """What is remembered of one face, by tick modulo the memory's length.

    ``vectors`` float32 [memory, D], zero where the face was not in view; ``activity`` float32 [memory], the probability
    that the mouth speaks, NaN where it was not in view or where the model does not tell; ``embedded`` bool [memory],
    whether it was in view; ``boxes``: where. ``crops``: the newest ones, none while it is out of view.
    """

    first_tick: int
    last_tick: int
    crops: deque[Crop]
    features: deque[torch.Tensor]
    vectors: npt.NDArray[np.float32]
    activity: npt.NDArray[np.float32]
    embedded: npt.NDArray[np.bool_]
    boxes: list[Box | None]


class Faces:
    """Embeds all faces of a tick in one batch. ``through`` is the newest embedded tick, −1 or less at first."""

    def __init__(self, model: LipSyncModel, memory_ticks: int) -> None:
        self._model = model
        self._memory = memory_ticks
        self._newest_seen = -1
        self.known: dict[int, FaceMemory] = {}

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
        left_out = range(self._newest_seen + 1, sighting.tick)
        if self.known and len(left_out) <= _FORGET_TICKS:
            stayed = tuple(f for f in sighting.faces if f.id in self.known and self.known[f.id].crops)
            for tick in left_out:
                crops = tuple(self.known[f.id].crops[-1] for f in stayed)
                self._take(Sighting(tick, sighting.time, stayed, crops))
        self._take(sighting)

    def finish(self) -> None:
        """Nothing more will be seen: what the last ticks lack of pictures to come counts as empty."""
        for _ in range(self._model.frame_lookahead):
            self._newest_seen += 1
            for memory in self.known.values():
                self._miss(memory)
            self._embed()

    def _take(self, sighting: Sighting) -> None:
        self._newest_seen = tick = sighting.tick
        self.known = {i: m for i, m in self.known.items() if tick - m.last_tick <= _FORGET_TICKS}
        stack = self._model.frame_stack
        for face, crop in zip(sighting.faces, sighting.crops, strict=True):
            if face.id not in self.known:
                self.known[face.id] = self._begun(tick)
            memory = self.known[face.id]
            memory.last_tick = tick
            # Before the first picture since it came into view stands that same picture.
            memory.crops.extend([crop] if memory.crops else [crop] * stack)
            memory.boxes[tick % self._memory] = face.box
        present = [self.known[face.id] for face in sighting.faces]
        if present:
            stacks = np.stack([np.stack(tuple(m.crops)) for m in present])
            for memory, feature in zip(present, self._model.encode_frames(stacks), strict=True):
                memory.features.append(feature)
        for memory in self.known.values():
            if memory.last_tick < tick:
                self._miss(memory)
        self._embed()

    def _begun(self, tick: int) -> FaceMemory:
        return FaceMemory(
            first_tick=tick,
            last_tick=tick,
            crops=deque(maxlen=self._model.frame_stack),
            features=deque(maxlen=self._model.frame_window),
            vectors=np.zeros((self._memory, 1), np.float32),
            activity=np.full(self._memory, np.nan, np.float32),
            embedded=np.zeros(self._memory, np.bool_),
            boxes=[None] * self._memory,
        )

    def _miss(self, memory: FaceMemory) -> None:
        """The face is not in view at the newest tick."""
        memory.crops.clear()
        memory.features.append(torch.zeros_like(memory.features[-1]))
        memory.boxes[self._newest_seen % self._memory] = None

    def _embed(self) -> None:
        """Embed the newest tick whose pictures to come are known, of every face that was in view then."""
        slot = self.through % self._memory
        for memory in self.known.values():
            memory.vectors[slot], memory.activity[slot], memory.embedded[slot] = 0.0, np.nan, False
        there = [self.known[i] for i in self.at(self.through)]
        if not there:
            return
        windows = torch.stack([self._window(memory) for memory in there])
        embedded = self._model.embed_faces(windows)
        for k, memory in enumerate(there):
            if memory.vectors.shape[1] != embedded.vectors.shape[1]:
                memory.vectors = np.zeros((self._memory, embedded.vectors.shape[1]), np.float32)
            memory.vectors[slot], memory.embedded[slot] = embedded.vectors[k].numpy(), True
            if embedded.activity is not None:
                memory.activity[slot] = float(embedded.activity[k])

    def _window(self, memory: FaceMemory) -> torch.Tensor:
        """The face's newest features; before its first one stand empty ones."""
        features = torch.stack(tuple(memory.features))
        return torch.cat([features.new_zeros(self._model.frame_window - len(features), *features.shape[1:]), features])
