"""View composer: draws the whole frame, the speaker, or everybody with the speaker large."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from speakerlight.core.framing import Camera, CameraSettings, View
from speakerlight.core.geometry import Box
from speakerlight.core.media import Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.overlay import OverlayInfo, draw_overlay, draw_tile_mark, shown_primary
from speakerlight.scaling import crop

BACKGROUND = (28, 24, 22)

TILE_SECONDS = 2.0
"""How long a tile stays after its face was last in view, so that tiles do not jump when a face is lost briefly."""

TILE_SHOT = CameraSettings(head_above_faces=0.65, room_below_faces=0.4, room_beside_faces=0.2, least_height_part=0.1)
"""Framing of a tile: it is small, so the head fills it."""

COLUMN_PEOPLE = 5
"""Largest number of tiles in one column at the right; more continue along the bottom."""


@dataclass
class _Tile:
    camera: Camera
    seen: float


class ViewComposer:
    """Draws one view, at the frame's size. One for each output, because the camera's path belongs to its frames."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._size = (0, 0)
        self._camera = Camera(1, 1)
        self._tiles: dict[int, _Tile] = {}

    def compose(self, frame: Frame, snapshot: Snapshot | None, info: OverlayInfo | None) -> Image:
        """The view of ``frame``, which stays as it is. Without ``info`` nothing is drawn over it."""
        if snapshot is None:
            return frame.image
        view = info.view if info and info.view else self.view
        if view is View.BOXES:
            return draw_overlay(frame.image, snapshot, info) if info else frame.image
        self._follow_size(frame.image)
        faces = {face.id: face.box for face in snapshot.faces}
        shot = self._camera.follow(faces, snapshot.direction.shot.person, frame.time)
        if view is View.SPEAKER:
            return self._speaker(frame.image, shot, snapshot, info)
        return self._split(frame, shot, snapshot, info)

    def _follow_size(self, image: Image) -> None:
        size = (image.shape[1], image.shape[0])
        if size != self._size:
            self._size, self._camera = size, Camera(*size)
            self._tiles.clear()

    def _speaker(self, image: Image, shot: Box, snapshot: Snapshot, info: OverlayInfo | None) -> Image:
        shown = crop(image, shot, self._size)
        return draw_overlay(shown, _seen_from(shot, snapshot, self._size), info) if info else shown

    def _split(self, frame: Frame, shot: Box, snapshot: Snapshot, info: OverlayInfo | None) -> Image:
        for face in snapshot.faces:
            tile = self._tiles.setdefault(face.id, _Tile(Camera(*self._size, TILE_SHOT), frame.time))
            tile.seen = frame.time
            tile.camera.follow({face.id: face.box}, face.id, frame.time)
        self._tiles = {person: tile for person, tile in self._tiles.items() if frame.time - tile.seen <= TILE_SECONDS}
        width, height = self._size
        canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
        large, places = split_layout(width, height, len(self._tiles))
        _paste(canvas, frame.image, shot, large)
        primary = shown_primary(snapshot, info.pinned if info else None)
        for (person, tile), place in zip(sorted(self._tiles.items()), places, strict=False):
            _paste(canvas, frame.image, tile.camera.shot, place)
            if info:
                draw_tile_mark(canvas, place, person, snapshot.names.get(person, str(person)), person == primary)
        return canvas


def split_layout(width: int, height: int, people: int) -> tuple[Box, list[Box]]:
    """The large place and one for each person, all of the frame's shape, in whole pixels.

    Up to five tiles stand in a column beside the large place; more go down the right side and along the bottom.
    """
    is_column = people <= COLUMN_PEOPLE
    parts = max(people + 1, 3) if is_column else max(math.ceil((people + 1) / 2), 4)
    tile_width, tile_height = width // parts, height // parts
    large_width, large_height = width - tile_width, height - tile_height
    top = tile_height // 2 if is_column else 0
    column = [Box(large_width, top + k * tile_height, tile_width, tile_height) for k in range(parts - is_column)]
    row = [Box(k * tile_width, large_height, tile_width, tile_height) for k in range(parts - 1)]
    places = column if is_column else column + row
    return Box(0, top, large_width, large_height), places[:people]


def _paste(canvas: Image, image: Image, shot: Box, place: Box) -> None:
    x, y, width, height = (int(value) for value in (place.x, place.y, place.width, place.height))
    if width and height:
        canvas[y : y + height, x : x + width] = crop(image, shot, (width, height))


def _seen_from(shot: Box, snapshot: Snapshot, size: tuple[int, int]) -> Snapshot:
    """The snapshot with its boxes in pixels of the shot's image; faces outside it are dropped."""
    scale = size[0] / shot.width
    faces = []
    for face in snapshot.faces:
        box = face.box
        moved = Box((box.x - shot.x) * scale, (box.y - shot.y) * scale, box.width * scale, box.height * scale)
        if moved.clipped(*size).area > 0:
            faces.append(replace(face, box=moved))
    return replace(snapshot, faces=tuple(faces))
