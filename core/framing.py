"""Framing: which part of the frame a view shows, moved as a camera operator would.

It frames the person on air, or else everybody. The director decides who is on air.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from speakerlight.core.geometry import Box


class View(StrEnum):
    """``boxes``: the whole frame; ``speaker``: follows the speaker; ``split``: everybody, plus the speaker large."""

    BOXES = "boxes"
    SPEAKER = "speaker"
    SPLIT = "split"


@dataclass(frozen=True)
class CameraSettings:
    """How the camera frames and moves. Lengths are in heights of a face's box, or parts, as their names state."""

    head_above_faces: float = 0.75
    """Room above the box (brows to chin): the hair takes 0.5, the rest is air."""
    room_below_faces: float = 0.85
    """Room below: shoulders."""
    room_beside_faces: float = 0.7
    least_height_part: float = 0.25
    """Height of the tightest shot, as a part of the frame's: closer, pixels show."""
    lost_seconds: float = 1.0
    """How long the camera waits for a person whose face is lost before it widens to everybody."""
    still_part: float = 0.06
    """The shot holds still until its aim has moved by this part of its height: noise and nodding do not move it."""
    fast_rate: float = 12.0
    """Rate of the spring, per second, while a face of the shot is cut off: 98 % of the way in 0.5 s."""
    slow_rate: float = 3.5
    """Rate of the spring otherwise: 98 % of the way in 1.4 s, which looks unhurried."""


class Camera:
    """Position of the shot over time; one camera for each composed video.

    ``width``, ``height``: of the frame, in pixels. The shot has the frame's shape.
    """

    def __init__(self, width: int, height: int, settings: CameraSettings | None = None) -> None:
        self._frame = Box(0, 0, width, height)
        self._settings = settings or CameraSettings()
        self._aspect = width / height
        self._aim = self._frame
        self._spring = _Spring(_state(self._aim), self._settings.slow_rate)
        self._seen_at: float | None = None
        self._time: float | None = None

    def follow(self, faces: Mapping[int, Box], subject: int | None, time: float) -> Box:
        """The shot at ``time`` (seconds, rising), inside the frame.

        ``faces``: boxes in pixels by person; ``subject``: the person to frame, None: everybody.
        """
        subjects = self._subjects(faces, subject, time)
        wanted = self._around([faces[person] for person in subjects]) if subjects else self._frame
        is_cut_off = any(not _holds(self.shot, self._head(faces[person])) for person in subjects)
        is_waiting = subject is not None and not subjects and bool(faces)
        if (is_cut_off or self._moved(wanted)) and not is_waiting:
            self._aim = wanted
        elapsed = 0.0 if self._time is None else max(time - self._time, 0.0)
        self._time = time
        rate = self._settings.fast_rate if is_cut_off else self._settings.slow_rate
        self._spring.step(_state(self._aim), rate, elapsed)
        return self.shot

    @property
    def shot(self) -> Box:
        """The current shot."""
        return self._inside(*self._spring.place)

    def _subjects(self, faces: Mapping[int, Box], subject: int | None, time: float) -> list[int]:
        """Ids of the people to frame; none while the subject is lost for a moment."""
        if subject is None:
            return list(faces)
        if subject in faces:
            self._seen_at = time
            return [subject]
        is_lost = self._seen_at is None or time - self._seen_at > self._settings.lost_seconds
        return list(faces) if is_lost else []

    def _moved(self, wanted: Box) -> bool:
        still = self._settings.still_part * self._aim.height
        shift = math.dist(wanted.centre, self._aim.centre)
        return max(shift, abs(wanted.height - self._aim.height)) > still

    def _head(self, face: Box) -> Box:
        """The part of a face that must not be cut off: the box and the hair above it."""
        hair = 0.5 * face.height
        return Box(face.x, face.y - hair, face.width, face.height + hair).clipped(
            round(self._frame.width), round(self._frame.height)
        )

    def _around(self, faces: Sequence[Box]) -> Box:
        return self._shaped(_union(self._with_room(face) for face in faces))

    def _with_room(self, face: Box) -> Box:
        """A face with its margins, from head to shoulders."""
        settings, unit = self._settings, face.height
        beside, above = settings.room_beside_faces * unit, settings.head_above_faces * unit
        height = above + unit + settings.room_below_faces * unit
        return Box(face.x - beside, face.y - above, face.width + 2 * beside, height)

    def _shaped(self, box: Box) -> Box:
        """The smallest allowed shot that holds the box."""
        least = self._settings.least_height_part * self._frame.height
        return self._inside(*box.centre, max(box.height, box.width / self._aspect, least))

    def _inside(self, x: float, y: float, height: float) -> Box:
        """A shot of this centre and height, moved and shrunk into the frame."""
        height = min(height, self._frame.height)
        width = height * self._aspect
        left = min(max(x - width / 2, 0.0), self._frame.width - width)
        top = min(max(y - height / 2, 0.0), self._frame.height - height)
        return Box(left, top, width, height)


class _Spring:
    """Critically damped: as fast as can be without overshoot. Exact for any step, so the frame rate does not matter."""

    def __init__(self, place: tuple[float, float, float], rate: float) -> None:
        self.place = place
        self._speed = (0.0, 0.0, 0.0)
        self._rate = rate

    def step(self, aim: tuple[float, float, float], rate: float, seconds: float) -> None:
        """Move towards ``aim``. ``rate`` (a second) rises at once and falls slowly: a fast move ends softly."""
        self._rate = max(rate, rate + (self._rate - rate) * math.exp(-seconds / 0.4))
        decay = math.exp(-self._rate * seconds)
        place, speed = [], []
        for now, velocity, goal in zip(self.place, self._speed, aim, strict=True):
            offset = now - goal
            drift = velocity + self._rate * offset
            place.append(goal + (offset + drift * seconds) * decay)
            speed.append((velocity - self._rate * drift * seconds) * decay)
        self.place = (place[0], place[1], place[2])
        self._speed = (speed[0], speed[1], speed[2])


def _state(box: Box) -> tuple[float, float, float]:
    """Centre and height. Edges then move linearly, so a head inside both ends of a move stays inside throughout."""
    return (*box.centre, box.height)


def _holds(outer: Box, inner: Box) -> bool:
    return (
        outer.x <= inner.x + 1
        and outer.y <= inner.y + 1
        and outer.x + outer.width >= inner.x + inner.width - 1
        and outer.y + outer.height >= inner.y + inner.height - 1
    )


def _union(boxes: Iterable[Box]) -> Box:
    boxes = list(boxes)
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right = max(box.x + box.width for box in boxes)
    bottom = max(box.y + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)
