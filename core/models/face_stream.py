"""Face encoder stream: face crops in; a face embedding and a visual speech probability for each face and tick out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.models.face_memory import FaceMemory
from speakerlight.core.models.features import joined
from speakerlight.core.models.lipsync import Crop, LipSyncModel
from speakerlight.core.timebase import TICK_RATE

_FORGET_TICKS = TICK_RATE
"""A face that was out of view for longer than this, a second, starts anew when it returns."""


@dataclass(eq=False)
class KnownFace:
    """Record of one face: its row in the face memory, the ticks at which it is known, and its place by tick.

    ``crops``: the newest ones, none while it is not found. By tick modulo the memory's length: ``boxes``, and whether
    it was ``found`` there. Where it was not, its pixels are no evidence.
    """

    row: int
    first_tick: int
    last_tick: int
    crops: deque[Crop]
    boxes: list[Box | None]
    found: list[bool]
    ages: npt.NDArray[np.int32]
    """Consecutive ticks in which the face was found, indexed as ``boxes``."""
    fresh: npt.NDArray[np.bool_]
    """Whether the tick has a frame of its own, indexed as ``boxes``."""


@dataclass(frozen=True, eq=False)
class _Step:
    """The work of a tick: features of the faces that are ``seen`` at ``tick``, each from a stack of
    ``crops``; then embeddings of those that were at ``embedded_tick``. Faces are given by their rows."""

    tick: int
    seen: list[int]
    crops: list[Crop]
    embedded_tick: int
    embedded: list[int]


class FaceEncoderStream:
    """Embeds all faces of a tick in one batch. ``through`` is the newest embedded tick, −1 or less at first."""

    def __init__(self, model: LipSyncModel, memory_ticks: int) -> None:
        self._model = model
        self._ticks = memory_ticks
        self.memory = FaceMemory(model.frame_window, memory_ticks, model.dimensions)
        self._newest_seen = -1
        self.known: dict[int, KnownFace] = {}

    @property
    def through(self) -> int:
        return self._newest_seen - self._model.frame_lookahead

    def through_with(self, tracks: FrameTracks) -> int:
        """The value of ``through`` after ``tracks`` was pushed."""
        return tracks.tick - self._model.frame_lookahead

    def at(self, tick: int) -> dict[int, Box]:
        """The boxes of the faces in view at ``tick``, by id."""
        there = ((i, f.boxes[tick % self._ticks]) for i, f in self.known.items() if f.first_tick <= tick <= f.last_tick)
        return {i: box for i, box in there if box is not None}

    def vectors(self, ids: Sequence[int], ticks: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
        """Unit vectors of F known faces at T remembered ticks, [F, T, D].

        Zero where a face has none: it was not in view, or the tick was not embedded.
        """
        return self.memory.vectors([self.known[i].row for i in ids], ticks)

    def embedded(self, ids: Sequence[int], ticks: npt.NDArray[np.int_], least: int) -> npt.NDArray[np.bool_]:
        """Where F known faces have a vector and were in view for more than ``least`` ticks in a row, [F, T]."""
        there = self.memory.visual_vad([self.known[i].row for i in ids], ticks)[1]
        ages = np.array([self.known[i].ages[ticks % self._ticks] for i in ids])
        return np.asarray(there & (ages > least))

    def fresh(self, ids: Sequence[int], tick: int) -> npt.NDArray[np.float32]:
        """1 where a known face has a frame of its own at ``tick``, 0 where it repeats the one before, [F]."""
        return np.array([self.known[i].fresh[tick % self._ticks] for i in ids], np.float32)

    def visual_vad(
        self, ids: Sequence[int], ticks: npt.NDArray[np.int_]
    ) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_]]:
        """The log-odds that the mouths of F known faces speak at T remembered ticks, [F, T].

        0 where a face has no vector; also, where it has one, [F, T]. None instead of log-odds from a model without
        visual voice activity.
        """
        return self.memory.visual_vad([self.known[i].row for i in ids], ticks)

    def push(self, frame_tracks: Sequence[FrameTracks], stride: int = 1) -> None:
        """Consume the next frame tracks; many at once cost less. Only every ``stride``-th tick is embedded.

        Skipped ticks before one of them are filled with the faces that were there already.
        """
        steps: list[_Step] = []
        for tracks in frame_tracks:
            for each in chain(self._skipped(tracks), [tracks]):
                # A row must not be reassigned within a batch in which its former face was still seen.
                if steps and each.tick - steps[0].tick >= _FORGET_TICKS:
                    self._compute(steps)
                    steps = []
                steps.append(self._step(each, stride))
        self._compute(steps)

    def finish(self) -> None:
        """End the stream: the frames that the last ticks still lack count as empty."""
        ticks = range(self._newest_seen + 1, self._newest_seen + 1 + self._model.frame_lookahead)
        self._compute([self._step(FrameTracks(tick, tick / TICK_RATE, (), ()), stride=1) for tick in ticks])

    def _skipped(self, tracks: FrameTracks) -> Iterator[FrameTracks]:
        skipped = range(self._newest_seen + 1, tracks.tick)
        if self.known and len(skipped) <= _FORGET_TICKS:
            stayed = tuple(f for f in tracks.faces if f.id in self.known and self.known[f.id].crops)
            for tick in skipped:
                crops = tuple(self.known[f.id].crops[-1] for f in stayed)
                yield FrameTracks(tick, tracks.time, stayed, crops)

    def _step(self, tracks: FrameTracks, stride: int) -> _Step:
        """Record the faces of a tick and return what is to be computed."""
        self._newest_seen = tick = tracks.tick
        self._forget()
        stack = self._model.frame_stack
        for face, crop in zip(tracks.faces, tracks.crops, strict=True):
            if face.id not in self.known:
                self.known[face.id] = self._begun(tick)
            known = self.known[face.id]
            known.last_tick = tick
            slot = tick % self._ticks
            known.boxes[slot], known.found[slot] = face.box, face.is_found
            if not face.is_found:
                known.crops.clear()
                known.ages[slot] = 0
                continue
            known.ages[slot] = known.ages[slot - 1] + 1 if known.crops else 1
            # A frame that stands for several ticks comes with the very same crop.
            known.fresh[slot] = not known.crops or crop is not known.crops[-1]
            # The first frame since the face came into view also stands for the frames before it.
            known.crops.extend([crop] if known.crops else [crop] * stack)
        for known in self.known.values():
            if known.last_tick < tick:
                known.crops.clear()
                known.boxes[tick % self._ticks] = None
        seen = [self.known[face.id] for face in tracks.faces if face.is_found]
        embedded = [] if self.through % stride else self._found_rows(self.through)
        crops = [crop for face in seen for crop in face.crops]
        return _Step(tick, [face.row for face in seen], crops, self.through, embedded)

    def _found_rows(self, tick: int) -> list[int]:
        known = [self.known[i] for i in self.at(tick)]
        return [face.row for face in known if face.found[tick % self._ticks]]

    def _forget(self) -> None:
        for i in [i for i, face in self.known.items() if self._newest_seen - face.last_tick > _FORGET_TICKS]:
            self.memory.release(self.known.pop(i).row)

    def _begun(self, tick: int) -> KnownFace:
        crops: deque[Crop] = deque(maxlen=self._model.frame_stack)
        boxes: list[Box | None] = [None] * self._ticks
        found, ages, fresh = [False] * self._ticks, np.zeros(self._ticks, np.int32), np.ones(self._ticks, np.bool_)
        return KnownFace(self.memory.take(), tick, tick, crops, boxes, found, ages, fresh)

    def _stacks(self, crops: list[Crop]) -> npt.NDArray[np.uint8]:
        return np.array(crops).reshape(-1, self._model.frame_stack, *crops[0].shape)

    def _compute(self, steps: Sequence[_Step]) -> None:
        """Encode all new frames in one batch; embed, in another, every face whose look-ahead frames are known."""
        crops = [crop for step in steps for crop in step.crops]
        features = self._model.encode_frames(self._stacks(crops)) if crops else None
        windows, first = [], 0
        for step in steps:
            last = first + len(step.seen)
            self.memory.put_features(step.tick, step.seen, None if features is None else features[first:last])
            if step.embedded:
                windows.append(self.memory.windows(step.tick, step.embedded))
            first = last
        embeddings = self._model.embed_faces(joined(windows)) if windows else None
        first = 0
        for step in steps:
            last = first + len(step.embedded)
            self.memory.put_embeddings(step.embedded_tick, step.embedded, embeddings and embeddings[first:last])
            first = last
