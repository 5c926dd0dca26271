"""Vision: one picture in, the people in it with their crops out. Detect, track, crop.

Known faces are followed in a crop around each, one BlazeFace pass a face; new ones are searched in tiles of the frame,
a few tiles a tick. Both have a budget of passes a tick, so a tick costs the same with 2 faces as with 25.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from speakerlight.core.faces.crops import Crop
from speakerlight.core.faces.detection import Detection, FaceDetector, SearchRegion, region_around, search_tiles
from speakerlight.core.faces.tracking import Prediction, TrackedFace, Tracker
from speakerlight.core.geometry import Box, iou_matrix
from speakerlight.core.media import Image
from speakerlight.core.timebase import TICK_RATE


@dataclass(frozen=True)
class VisionSettings:
    """How much is looked at in one tick."""

    max_faces: int = 25
    """More people than this are not followed; the largest faces are kept."""
    follow_passes: int = 6
    """Faces looked for again in one tick (1.7 ms each on one core): 25 faces are each seen every fifth tick."""
    follow_still_ticks: int = 3
    """A face that hardly moves is looked for every this many ticks."""
    still_widths_a_second: float = 0.15
    """Slower than this is still."""
    follow_moving_ticks: int = 2
    """A head that moves as heads do in talk: its movement is carried on in between, and as right a mouth is found."""
    fast_widths_a_second: float = 1.0
    """Faster than this, a face is looked for every tick."""
    first_search_tiles: int = 8
    """Tiles searched a tick until the whole frame has been seen once (and again when everybody is gone), …"""
    empty_search_tiles_a_second: float = 75.0
    """Tiles searched while nobody is in view, and once more after the first is found: a cut back to the room finds
    everybody of a 1280×720 frame within 0.9 s, …"""
    search_seconds: float = 2.7
    """… and beside faces that are followed, the whole frame in this time: a newcomer waits no longer. The 67 tiles of
    1280×720 make it one a tick."""
    follow_field: float = 2.0
    """Side of the crop in which a known face is looked for, in face widths: it may move half a width a tick."""
    min_new_score: float = 0.6
    """BlazeFace score that makes a new person, in the tile and again in a crop around the face."""
    same_face_overlap: float = 0.35
    """Two detections that overlap more than this (intersection over union) are one face."""


class Cropper(Protocol):
    """What a model sees of a face: uint8, of one shape for all faces."""

    def __call__(self, image: Image, face: TrackedFace) -> Crop: ...


@dataclass(frozen=True, eq=False)
class FrameTracks:
    """The people in view at one tick, each with the model's crop. ``time`` is the source frame's, in seconds."""

    tick: int
    time: float
    faces: tuple[TrackedFace, ...]
    crops: tuple[Crop, ...]


class Vision:
    """Detect, track and crop, tick by tick. Not to be shared between threads (BlazeFace is not)."""

    def __init__(self, detector: FaceDetector, crop: Cropper, settings: VisionSettings | None = None) -> None:
        self._detector = detector
        self._crop = crop
        self._settings = settings or VisionSettings()
        self._tracker = Tracker()
        self._tiles: list[SearchRegion] = []
        self._size = (0, 0)
        self._next_tile = 0
        self._seen_all = False
        self._searched_since_empty = 0
        self._searched_until = 0.0
        self._owed_tiles = 0.0

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
        """The people in ``image``. ``stride`` > 1 (load shedding) looks for each face only that much less often."""
        height, width = image.shape[:2]
        if self._size != (width, height):
            self._size, self._tiles = (width, height), search_tiles(width, height)
            self._next_tile, self._seen_all = 0, False
        known = self._tracker.predictions(time)
        chosen = self._due(known, stride)
        found = [d for p in chosen for d in self._look(image, p.box)]
        found += self._search(time, image, [p.box for p in known] + [d.box for d in found], stride)
        faces = self._tracker.update(time, image, self._merged(found), {p.id for p in chosen})
        if not faces and known:
            self._next_tile, self._seen_all = 0, False
        faces = sorted(faces, key=lambda f: -f.box.area)[: self._settings.max_faces]
        faces.sort(key=lambda f: f.id)
        return FrameTracks(tick, time, tuple(faces), tuple(self._crop(image, face) for face in faces))

    def _due(self, known: list[Prediction], stride: int) -> list[Prediction]:
        """The faces to look for now: the longest unseen and fastest first, within the budget."""
        s = self._settings

        def ticks_between(p: Prediction) -> int:
            if p.widths_a_second > s.fast_widths_a_second:
                return stride
            is_still = p.widths_a_second < s.still_widths_a_second
            return stride * (s.follow_still_ticks if is_still else s.follow_moving_ticks)

        # Half a tick of slack: times of ticks are not exact multiples of 40 ms.
        due = [p for p in known if p.unseen_seconds * TICK_RATE >= ticks_between(p) - 0.5]
        due.sort(key=lambda p: -(p.unseen_seconds * (1.0 + p.widths_a_second)))
        return due[: max(1, s.follow_passes // stride)]

    def _look(self, image: Image, box: Box) -> list[Detection]:
        height, width = image.shape[:2]
        return self._detector.detect(image, region_around(box, self._settings.follow_field, width, height))

    def _search(self, time: float, image: Image, known: list[Box], stride: int) -> list[Detection]:
        """New faces in the next tiles, each confirmed by a second look from near."""
        s = self._settings
        if self._seen_all and not known:
            self._searched_since_empty = 0
        count = self._tiles_due(time, stride)
        self._searched_since_empty += count
        found: list[Detection] = []
        for _ in range(count):
            tile = self._tiles[self._next_tile]
            for face in self._detector.detect(image, tile):
                if face.score >= s.min_new_score and not self._is_known(face.box, known):
                    near = [d for d in self._look(image, face.box) if self._is_known(d.box, [face.box])]
                    found += [d for d in near if d.score >= s.min_new_score]
                    known = [*known, *(d.box for d in near)]
            self._next_tile = (self._next_tile + 1) % len(self._tiles)
            self._seen_all = self._seen_all or self._next_tile == 0
        return found

    def _tiles_due(self, time: float, stride: int) -> int:
        """How many tiles to search now. By time, not by tick: a slow camera's pictures fall on few ticks."""
        s = self._settings
        seconds, self._searched_until = time - self._searched_until, time
        if not self._seen_all:
            return min(s.first_search_tiles, len(self._tiles) - self._next_tile)
        is_hurried = self._searched_since_empty < len(self._tiles)
        a_second = s.empty_search_tiles_a_second if is_hurried else len(self._tiles) / s.search_seconds
        owed = min(self._owed_tiles + seconds * a_second / stride, s.first_search_tiles)
        self._owed_tiles = owed - int(owed)
        return int(owed)

    def _is_known(self, box: Box, known: list[Box]) -> bool:
        return bool(iou_matrix([box], known).max(initial=0.0) > self._settings.same_face_overlap)

    def _merged(self, found: list[Detection]) -> list[Detection]:
        """Each face once, the best look at it."""
        kept: list[Detection] = []
        for face in sorted(found, key=lambda d: -d.score):
            if not self._is_known(face.box, [k.box for k in kept]):
                kept.append(face)
        return kept
