"""Vision stage: one frame in, the tracked faces in it with their crops out. Detect, track, crop.

Tracked faces are followed in a crop around each, one BlazeFace pass per face; new ones are searched in tiles of the
frame, a few tiles per tick. Both have a budget of passes per tick, so a tick costs the same with 2 faces as with 25.
A cut ends all tracks, and the whole new shot is searched within a few ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.crops import Crop
from speakerlight.core.faces.cuts import CutDetector
from speakerlight.core.faces.detection import Detection, FaceDetector, SearchRegion, region_around, search_tiles
from speakerlight.core.faces.selection import FaceSelection
from speakerlight.core.faces.tracking import Prediction, TrackedFace, Tracker
from speakerlight.core.geometry import Box, iou_matrix
from speakerlight.core.identities import NO_IDENTITIES, Identities
from speakerlight.core.media import Image
from speakerlight.core.timebase import TICK_RATE


@dataclass(frozen=True)
class VisionSettings:
    """Budgets of one tick, and thresholds."""

    max_faces: int = 25
    """Maximum number of faces shown: the largest ones, with hysteresis."""
    follow_passes: int = 6
    """Tracked faces searched in one tick (1.7 ms each on one core): each of 25 faces every fifth tick."""
    confirm_passes: int = 12
    """Candidates for new faces checked again in one tick, beside the tracked ones."""
    follow_still_ticks: int = 3
    """Interval in ticks between searches for a face that hardly moves."""
    still_widths_a_second: float = 0.15
    """Speed below which a face counts as still."""
    follow_moving_ticks: int = 2
    """Interval for a face that moves as heads do in talk: extrapolation in between places the mouth equally well."""
    fast_widths_a_second: float = 1.0
    """Speed above which a face is searched in every tick."""
    first_search_tiles: int = 24
    """Tiles searched per tick until the whole frame has been searched once, at the start, after a cut and when the last
    face is gone: the 67 tiles of a 1280×720 frame take three ticks."""
    empty_search_tiles_a_second: float = 75.0
    """Tiles searched while no face is in view, and once more after the first is found: everybody who comes into an
    empty 1280×720 frame is found within 0.9 s."""
    search_seconds: float = 2.7
    """Time in which the whole frame is searched while faces are tracked: one tile per tick at 1280×720."""
    unchanged_seconds: float = 8.0
    """Where faces are tracked, a tile that looks as it did when it was searched is left out for this long …"""
    changed_levels: float = 8.0
    changed_pixels: int = 3
    """… unless so many pixels of the small frame in which cuts are found differ by more grey levels than this. A
    camera's noise (deviation 4 levels) stays below; a person at the back of a room changes 10 pixels."""
    follow_field: float = 2.0
    """Side of the search crop of a tracked face, in face widths: the face may move half a width per tick."""
    min_new_score: float = 0.6
    """BlazeFace score of a new face, in the tile and again in a crop around the face."""
    same_face_overlap: float = 0.35
    """Two detections that overlap more than this (intersection over union) are one face."""


class Cropper(Protocol):
    """The model's input of a face: uint8, of one shape for all faces."""

    def __call__(self, image: Image, face: TrackedFace) -> Crop: ...


class Recognizer(Protocol):
    """Assigns tracks to persons (:class:`speakerlight.core.people.recognition.FaceRecognizer`)."""

    def identify(self, time: float, image: Image, faces: Sequence[TrackedFace]) -> Identities: ...


@dataclass(frozen=True, eq=False)
class FrameTracks:
    """The faces in view at one tick, each with the model's crop.

    ``time`` is the source frame's, in seconds. ``is_cut``: the frame begins a new shot.
    """

    tick: int
    time: float
    faces: tuple[TrackedFace, ...]
    crops: tuple[Crop, ...]
    is_cut: bool = False
    identities: Identities = NO_IDENTITIES

    def person(self, track: int) -> int:
        """The id of the person that the track with this id shows."""
        return self.identities.persons.get(track, track)


class Vision:
    """Detect, track and crop, tick by tick. Not to be shared between threads (BlazeFace is not)."""

    def __init__(
        self,
        detector: FaceDetector,
        crop: Cropper,
        settings: VisionSettings | None = None,
        recognizer: Recognizer | None = None,
    ) -> None:
        self._detector = detector
        self._crop = crop
        self._settings = settings or VisionSettings()
        self._recognizer = recognizer
        self._tracker = Tracker()
        self._shots = CutDetector()
        self._selection = FaceSelection()
        self._tiles: list[SearchRegion] = []
        self._size = (0, 0)
        self._next_tile = 0
        self._searched_all = False
        self._searched_since_empty = 0
        self._searched_until = 0.0
        self._owed_tiles = 0.0
        # When each tile was searched last, and the small frame of that time.
        self._searched: dict[int, tuple[float, npt.NDArray[np.float32]]] = {}
        self._followed = 0

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
        """The faces in ``image``. ``stride`` > 1 (load shedding) divides how often each face is searched."""
        height, width = image.shape[:2]
        if self._size != (width, height):
            self._size, self._tiles = (width, height), search_tiles(width, height)
            self._search_anew()
        is_cut, found, known = self._end_replaced(time, image)
        followed = sum(p.is_confirmed for p in known)
        if followed < self._followed:
            self._searched.clear()  # who was followed may still be there
        self._followed = followed
        chosen = self._due(known, stride)
        found += [d for p in chosen for d in self._look(image, p.box)]
        found += self._search(time, image, [p.box for p in known] + [d.box for d in found], stride)
        faces = self._tracker.update(time, image, self._merged(found), {p.id for p in chosen})
        if known and not self._tracker.is_following(time):
            self._search_anew()
        faces = self._selection.select(faces, self._settings.max_faces)
        faces.sort(key=lambda f: f.id)
        identities = NO_IDENTITIES if self._recognizer is None else self._recognizer.identify(time, image, faces)
        crops = tuple(self._crop(image, face) for face in faces)
        return FrameTracks(tick, time, tuple(faces), crops, is_cut, identities)

    def _search_anew(self) -> None:
        self._next_tile, self._searched_all = 0, False
        self._searched.clear()

    def _end_replaced(self, time: float, image: Image) -> tuple[bool, list[Detection], list[Prediction]]:
        """End the tracks that a cut ended: whether the frame begins a new shot, the faces found in their place, and
        the predictions of the tracks that go on."""
        known = self._tracker.predictions(time)
        change = self._shots.update(time, image, [p.box for p in known])
        if change.is_cut:
            self._tracker.end_all()
            self._search_anew()
            return True, [], []
        # A recording that jumps in time shows the same person in the same place: that track goes on.
        ended = self._tracker.end_dissimilar({known[i].id for i in change.replaced}, image)
        found = [d for p in known if p.id in ended for d in self._look(image, p.box)]
        return False, found, [p for p in known if p.id not in ended] if ended else known

    def _due(self, known: list[Prediction], stride: int) -> list[Prediction]:
        """The faces to search now, within the budgets: new ones, then those not found for longest and the fastest."""
        s = self._settings

        def ticks_between(p: Prediction) -> int:
            if p.widths_a_second > s.fast_widths_a_second:
                return stride
            is_still = p.widths_a_second < s.still_widths_a_second
            return stride * (s.follow_still_ticks if is_still else s.follow_moving_ticks)

        # Half a tick of tolerance: tick times are not exact multiples of 40 ms.
        due = [p for p in known if p.is_confirmed and p.unfound_seconds * TICK_RATE >= ticks_between(p) - 0.5]
        due.sort(key=lambda p: -(p.unfound_seconds * (1.0 + p.widths_a_second)))
        candidates = [p for p in known if not p.is_confirmed]
        return candidates[: s.confirm_passes] + due[: max(1, s.follow_passes // stride)]

    def _look(self, image: Image, box: Box) -> list[Detection]:
        height, width = image.shape[:2]
        return self._detector.detect(image, region_around(box, self._settings.follow_field, width, height))

    def _search(self, time: float, image: Image, known: list[Box], stride: int) -> list[Detection]:
        """New faces in the next tiles, each found again in a crop around it."""
        s = self._settings
        if self._searched_all and not known:
            self._searched_since_empty = 0
        count = self._tiles_due(time, stride)
        self._searched_since_empty += count
        found: list[Detection] = []
        for _ in range(count):
            for face in self._search_tile(time, image):
                if face.score >= s.min_new_score and not self._is_known(face.box, known):
                    near = [d for d in self._look(image, face.box) if self._is_known(d.box, [face.box])]
                    found += [d for d in near if d.score >= s.min_new_score]
                    known = [*known, *(d.box for d in near)]
        return found

    def _search_tile(self, time: float, image: Image) -> list[Detection]:
        """The faces in the next tile; none where it has not changed."""
        number, small = self._next_tile, self._shots.small
        may_wait = self._searched_since_empty > 2 * len(self._tiles)
        self._next_tile = (number + 1) % len(self._tiles)
        self._searched_all = self._searched_all or self._next_tile == 0
        if may_wait and self._followed and self._is_unchanged(number, time, small, image):
            return []
        self._searched[number] = (time, small)
        return self._detector.detect(image, self._tiles[number])

    def _is_unchanged(self, number: int, time: float, small: npt.NDArray[np.float32], image: Image) -> bool:
        """Whether a tile looks as it did when it was searched last, not long ago."""
        s = self._settings
        if number not in self._searched or time - self._searched[number][0] >= s.unchanged_seconds:
            return False
        before = self._searched[number][1]
        tile, (height, width) = self._tiles[number], image.shape[:2]
        rows = slice(tile.top * len(small) // height, -(-(tile.top + tile.height) * len(small) // height))
        left, right = tile.left * small.shape[1], (tile.left + tile.width) * small.shape[1]
        columns = slice(left // width, -(-right // width))
        changed = np.abs(small[rows, columns] - before[rows, columns]) > s.changed_levels
        return int(changed.sum()) < s.changed_pixels

    def _tiles_due(self, time: float, stride: int) -> int:
        """Number of tiles to search now, by time: a slow camera has frames at few ticks."""
        s = self._settings
        seconds, self._searched_until = time - self._searched_until, time
        if not self._searched_all:
            return min(max(1, s.first_search_tiles // stride), len(self._tiles) - self._next_tile)
        is_hurried = self._searched_since_empty < len(self._tiles)
        a_second = s.empty_search_tiles_a_second if is_hurried else len(self._tiles) / s.search_seconds
        owed = min(self._owed_tiles + seconds * a_second / stride, s.first_search_tiles)
        self._owed_tiles = owed - int(owed)
        return int(owed)

    def _is_known(self, box: Box, known: list[Box]) -> bool:
        return bool(iou_matrix([box], known).max(initial=0.0) > self._settings.same_face_overlap)

    def _merged(self, found: list[Detection]) -> list[Detection]:
        """Non-maximum suppression: the best detection of each face."""
        kept: list[Detection] = []
        for face in sorted(found, key=lambda d: -d.score):
            if not self._is_known(face.box, [k.box for k in kept]):
                kept.append(face)
        return kept
