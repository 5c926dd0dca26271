"""Face tracking: the detections of successive frames become tracks, each with an id that is never reused.

A track keeps smoothed keypoints, a velocity and a colour signature. Detections are assigned to tracks by overlap with
the predicted box and similarity of the signature. A new track is *confirmed* by several detections before it is shown.
A track that was looked for and not found *coasts*: it is still shown, at its place. Then it is *lost*: not shown, but a
similar face near its last place revives it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.assignment import best_pairs
from speakerlight.core.faces.detection import Detection, Keypoints
from speakerlight.core.geometry import Box, iou_matrix
from speakerlight.core.media import Image

Signature = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrackingSettings:
    """The life of a track. Lengths are in face widths, so that they hold for any size of face."""

    min_new_score: float = 0.65
    """BlazeFace score that begins a track. Followed faces may score less; photographs on walls mostly do."""
    confirm_count: int = 3
    """Detections that confirm a new track …"""
    confirm_seconds: float = 0.1
    """… or two that are at least this far apart: a slow camera needs no more frames than that."""
    confirm_score: float = 0.68
    """Least mean score of the detections that confirm a track; without it the track is dropped after twice as many.
    Shoulders, hands and captions that BlazeFace takes for a face keep a mean of 0.53 to 0.66; of 200 tracks of faces,
    all but one (24 pixels wide, 0.69) reached 0.75 and most 0.85."""
    confirm_misses: int = 2
    """A new track that is not found this many times is dropped."""
    min_overlap: float = 0.15
    """Intersection over union with the predicted box below which a detection is not this track's."""
    signature_weight: float = 0.5
    """Weight of colour similarity beside overlap: it separates two tracks whose boxes cross."""
    coast_seconds: float = 0.6
    """How long a face that is not found is still shown: a hand covers the mouth, or the head turns."""
    lost_seconds: float = 4.0
    """How long after that a lost track can be revived."""
    revive_distance: float = 1.5
    """A lost track is revived by a face whose centre is within this many face widths of its last place …"""
    revive_similarity: float = 0.6
    """… and whose signature is at least this similar."""
    point_smoothing: float = 0.3
    """Share of a new keypoint that enters the smoothed one while the face is still (time constant of 3 frames)."""
    point_agility: float = 6.0
    """Growth of that share per face width of movement, so that a moving face is followed at once."""
    prediction_seconds: float = 0.25
    """Longest time over which a velocity is extrapolated."""

    @property
    def revivable_seconds(self) -> float:
        """Time since the last detection up to which a track can be revived."""
        return self.coast_seconds + self.lost_seconds


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One track at one tick. ``keypoints`` are smoothed.

    ``is_found``: False while the track coasts. The box then shows where the face was, and what its pixels show is no
    evidence of it.
    """

    id: int
    box: Box
    keypoints: Keypoints
    is_found: bool = True


@dataclass(frozen=True)
class Prediction:
    """Search prediction of a tracked face: expected box, time since the last detection, speed.

    ``id`` is negative while the track is not confirmed.
    """

    id: int
    box: Box
    unfound_seconds: float
    widths_a_second: float

    @property
    def is_confirmed(self) -> bool:
        return self.id > 0


@dataclass(eq=False)
class _Track:
    id: int
    box: Box
    keypoints: Keypoints
    signature: Signature
    score: float
    """Mean of its detections' scores until it is confirmed."""
    found_at: float
    begun_at: float
    found_count: int = 1
    missed_count: int = 0
    missing_since: float | None = None
    velocity: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))


class Tracker:
    """Assigns the faces of successive frames to tracks. The same detections give the same ids; ids count from 1."""

    def __init__(self, settings: TrackingSettings | None = None) -> None:
        self._settings = settings or TrackingSettings()
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._candidates = 0

    def predictions(self, time: float) -> list[Prediction]:
        """Predicted place of each shown or unconfirmed face at ``time`` (seconds)."""
        return [
            Prediction(
                t.id,
                self._predicted_box(t, time),
                time - t.found_at,
                float(np.hypot(*t.velocity)) / max(t.box.width, 1.0),
            )
            for t in self._shown(time)
        ]

    def is_following(self, time: float) -> bool:
        """Whether there are predictions at ``time`` (seconds)."""
        return bool(self._shown(time))

    def update(
        self, time: float, image: Image, detections: Sequence[Detection], looked_for: Set[int]
    ) -> list[TrackedFace]:
        """Assign the faces found in ``image`` at ``time`` (seconds) and return the confirmed tracks, oldest first.

        ``looked_for``: ids of the predictions around which a face was searched. Only those can be found missing.
        """
        shown = self._shown(time)
        signatures = [_signature(image, d.box) for d in detections]
        given = self._assign(shown, time, detections, signatures)
        for track in shown:
            if track.id in given:
                self._observe(track, time, detections[given[track.id]], signatures[given[track.id]])
            elif track.id in looked_for:
                track.missed_count += 1
                track.missing_since = time if track.missing_since is None else track.missing_since
        for i in sorted(set(range(len(detections))) - set(given.values())):
            self._revive_or_begin(time, detections[i], signatures[i])
        self._confirm(time)
        self._forget(time)
        return [TrackedFace(t.id, t.box, t.keypoints, t.missing_since is None) for t in self._shown(time) if t.id > 0]

    def end_dissimilar(self, ids: Set[int], image: Image) -> set[int]:
        """End the tracks of ``ids`` at whose place ``image`` looks different, for good; return their ids."""
        limit = self._settings.revive_similarity
        ended = {
            t.id for t in self._tracks if t.id in ids and _similarity(t.signature, _signature(image, t.box)) < limit
        }
        self._tracks = [t for t in self._tracks if t.id not in ended]
        return ended

    def end_all(self) -> None:
        """End all tracks, shown or lost, at once: a new shot begins."""
        self._tracks = []

    def _assign(
        self, shown: list[_Track], time: float, detections: Sequence[Detection], signatures: list[Signature]
    ) -> dict[int, int]:
        """Track id → index of its detection."""
        overlap = iou_matrix([self._predicted_box(t, time) for t in shown], [d.box for d in detections])
        allowed = overlap >= self._settings.min_overlap
        gain = np.zeros_like(overlap)
        for r, c in np.argwhere(allowed):
            similar = _similarity(shown[r].signature, signatures[c])
            gain[r, c] = overlap[r, c] + self._settings.signature_weight * similar
        return {shown[r].id: c for r, c in best_pairs(gain) if allowed[r, c]}

    def _observe(self, track: _Track, time: float, detection: Detection, signature: Signature) -> None:
        s = self._settings
        moved = np.subtract(detection.box.centre, track.box.centre)
        elapsed = max(time - track.found_at, 1e-3)
        track.velocity = 0.5 * track.velocity + 0.5 * moved / elapsed
        share = min(1.0, s.point_smoothing + s.point_agility * float(np.hypot(*moved)) / max(track.box.width, 1.0))
        track.keypoints = track.keypoints + share * (detection.keypoints - track.keypoints)
        old, new = track.box, detection.box
        track.box = Box(*(a + share * (b - a) for a, b in zip(_corner(old), _corner(new), strict=True)))
        track.signature = 0.9 * track.signature + 0.1 * signature
        track.found_at, track.missing_since = time, None
        track.found_count += 1
        if track.id < 0:
            track.score += (detection.score - track.score) / track.found_count

    def _revive_or_begin(self, time: float, detection: Detection, signature: Signature) -> None:
        s = self._settings
        # The nearest one: neighbours in front of the same wall have similar signatures.
        if lost := min(
            self._lost_similar(detection, signature), key=lambda t: _widths_away(t, detection), default=None
        ):
            lost.box, lost.keypoints, lost.velocity = detection.box, detection.keypoints, np.zeros(2)
            lost.found_at, lost.missing_since = time, None
            return
        if detection.score < s.min_new_score:
            return
        self._candidates += 1
        self._tracks.append(
            _Track(
                -self._candidates,
                detection.box,
                detection.keypoints,
                signature,
                detection.score,
                found_at=time,
                begun_at=time,
            )
        )

    def _confirm(self, time: float) -> None:
        s = self._settings
        for track in self._tracks:
            enough = min(2, s.confirm_count) if time - track.begun_at >= s.confirm_seconds else s.confirm_count
            if track.id < 0 and track.found_count >= enough and track.score >= s.confirm_score:
                track.id, self._next_id = self._next_id, self._next_id + 1

    def _lost_similar(self, detection: Detection, signature: Signature) -> list[_Track]:
        s = self._settings
        return [
            t
            for t in self._tracks
            if t.id > 0
            and t.missing_since is not None
            and _widths_away(t, detection) <= s.revive_distance
            and _similarity(t.signature, signature) >= s.revive_similarity
        ]

    def _shown(self, time: float) -> list[_Track]:
        coast = self._settings.coast_seconds
        return [t for t in self._tracks if t.missing_since is None or time - t.missing_since <= coast]

    def _forget(self, time: float) -> None:
        s = self._settings
        self._tracks = [
            t
            for t in self._tracks
            if (t.id > 0 or (t.missed_count < s.confirm_misses and t.found_count < 2 * s.confirm_count))
            and (t.missing_since is None or time - t.missing_since <= s.revivable_seconds)
        ]

    def _predicted_box(self, track: _Track, time: float) -> Box:
        seconds = min(time - track.found_at, self._settings.prediction_seconds)
        x, y = track.velocity * seconds
        return Box(track.box.x + x, track.box.y + y, track.box.width, track.box.height)


def _widths_away(track: _Track, detection: Detection) -> float:
    return float(np.hypot(*np.subtract(detection.box.centre, track.box.centre))) / max(track.box.width, 1.0)


def _corner(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height


def _signature(image: Image, box: Box) -> Signature:
    """Hue and saturation of the face and what is around it (hair, collar, wall): a 16 × 4 histogram that sums to 1."""
    height, width = image.shape[:2]
    part = box.expanded(1.6).clipped(width, height)
    left, top = int(part.x), int(part.y)
    cut = image[top : top + max(1, int(part.height)), left : left + max(1, int(part.width))]
    if cut.size == 0:
        return np.zeros(64, np.float32)
    small = cv2.resize(cut, (24, 24), interpolation=cv2.INTER_NEAREST)
    hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
    histogram = cv2.calcHist([hsv], [0, 1], None, [16, 4], [0, 180, 0, 256]).ravel()
    return np.asarray(histogram / max(float(histogram.sum()), 1.0), np.float32)


def _similarity(first: Signature, second: Signature) -> float:
    """Histogram intersection, 0 to 1."""
    return float(np.minimum(first, second).sum())
