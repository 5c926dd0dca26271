"""Overlay drawing: box, name, score and speaking mark of each face, and a status line.

Small functions that each draw one thing; ``draw_overlay`` composes them. Sizes follow the image, 320×180 to 4K.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.palette import Rgb, colour, is_light

Bgr = tuple[int, int, int]
Point = tuple[int, int]

WHITE: Bgr = (255, 255, 255)
BLACK: Bgr = (0, 0, 0)
INK: Bgr = (28, 24, 22)
"""Near-black colour of plates and outlines."""

SPEECH_COLOUR: Bgr = (120, 220, 130)
WARNING_COLOUR: Bgr = (80, 170, 255)
QUIET: Bgr = (190, 190, 190)


@dataclass(frozen=True)
class OverlayInfo:
    """Information that is shown beside the snapshot.

    ``latency_ms``: capture to overlay. ``load_level`` 0: nothing is shed. ``view``: the one that was chosen during the
    run; None: as it was started. ``is_recording``: False while a command keeps the recording stopped. ``notices``:
    short texts for the status line.
    """

    pinned: int | None = None
    latency_ms: float | None = None
    load_level: int = 0
    view: View | None = None
    is_recording: bool = True
    notices: tuple[str, ...] = ()


def draw_overlay(image: Image, snapshot: Snapshot | None, info: OverlayInfo) -> Image:
    """A copy of ``image`` (uint8, height × width × 3, BGR) with everything drawn on it; boxes are in its pixels."""
    drawn = np.ascontiguousarray(image).copy()
    if snapshot is None:
        return drawn
    draw_faces(drawn, snapshot, info)
    draw_status(drawn, snapshot, info)
    return drawn


def draw_faces(image: Image, snapshot: Snapshot, info: OverlayInfo) -> None:
    """Every face, the primary speaker last, so that nothing covers it."""
    primary = shown_primary(snapshot, info.pinned)
    for face in sorted(snapshot.faces, key=lambda face: (face.id == primary, face.speaking)):
        draw_face(image, face, snapshot.names.get(face.id, str(face.id)), face.id == primary, face.id == info.pinned)


def shown_primary(snapshot: Snapshot, pinned: int | None) -> int | None:
    """The highlighted person: the pinned one while in view, else the primary speaker."""
    return pinned if snapshot.is_in_view(pinned) else snapshot.primary


def draw_face(image: Image, face: FaceScore, name: str, is_primary: bool, is_pinned: bool) -> None:
    """Corners for a listener, a frame for a speaker, a thick frame and a filled label for the primary one."""
    bgr = _bgr(colour(face.id))
    stroke = _stroke(image)
    if is_primary:
        _draw_frame(image, _grown(face.box, 2 * stroke), WHITE, 5 * stroke)
        _draw_frame(image, _grown(face.box, 2 * stroke), bgr, 3 * stroke)
    elif face.speaking:
        _draw_frame(image, _grown(face.box, stroke), INK, 4 * stroke)
        _draw_frame(image, _grown(face.box, stroke), bgr, 2 * stroke)
    else:
        _draw_corners(image, face.box, INK, 3 * stroke)
        _draw_corners(image, face.box, bgr, stroke)
    draw_score(image, face, bgr)
    draw_label(image, face, f"{name} · pinned" if is_pinned else name, is_primary)


def draw_score(image: Image, face: FaceScore, bgr: Bgr) -> None:
    """The score as a bar under the box, full at 1."""
    unit = _stroke(image)
    x, top, width, height = _pixels(face.box)
    bottom = top + height + 6 * unit
    share = min(max(face.score, 0.0), 1.0) if face.score == face.score else 0.0
    cv2.rectangle(image, (x - unit, bottom - unit), (x + width + unit, bottom + 4 * unit), INK, -1)
    if share > 0:
        cv2.rectangle(image, (x, bottom), (x + round(width * share), bottom + 3 * unit), bgr, -1)


def draw_label(image: Image, face: FaceScore, text: str, is_primary: bool) -> None:
    """The name on a plate above the box, or inside its top where there is no room; audio bars mark a speaker."""
    size = _text_size(image)
    pad = max(size // 3, 3)
    mark = round(size * 1.1) if face.speaking else round(size * 0.7)
    text_width = _measure(text, size)
    width, height = mark + text_width + 3 * pad, size + pad + pad // 2
    left, top, box_width, _ = _pixels(face.box)
    x = min(max(left + (box_width - width) // 2, 0), max(image.shape[1] - width, 0))
    y = top - height - 6 * _stroke(image)
    y = y if y >= 0 else max(top, 0) + 6 * _stroke(image)
    rgb = colour(face.id)
    plate, ink = (_bgr(rgb), BLACK if is_light(rgb) else WHITE) if is_primary else (INK, WHITE)
    _draw_plate(image, (x, y), (x + width, y + height), plate, 1.0 if is_primary else 0.75)
    mark_colour = ink if is_primary else _bgr(rgb)
    if face.speaking:
        _draw_speaking_bars(image, (x + pad, y + pad // 2), (mark, height - pad), mark_colour)
    else:
        cv2.circle(image, (x + pad + mark // 2, y + height // 2), max(mark // 3, 2), mark_colour, -1, cv2.LINE_AA)
    _draw_text(image, text, (x + 2 * pad + mark, y + height - pad), size, ink)


def draw_tile_mark(image: Image, place: Box, person: int, name: str, is_primary: bool) -> None:
    """The name on a person's tile (a part of the image), and a frame around it for the primary speaker.

    Both stay in the tile: text is small in a small one and cut where it is too long; a thumbnail has no name.
    """
    x, y, width, height = _pixels(place)
    tile = image[y : y + height, x : x + width]
    size = min(_text_size(image), max(height // 5, SMALLEST_TEXT))
    pad = max(size // 3, 3)
    bgr = _bgr(colour(person))
    if is_primary:
        inset = 2 * _stroke(image)
        cv2.rectangle(tile, (inset, inset), (width - inset, height - inset), bgr, 4 * _stroke(image))
    if size + 2 * pad > height / 2:
        return
    name = _shortened(name, size, width - 2 * pad - size)
    _shade(tile, (0, height - size - 2 * pad), (_measure(name, size) + 2 * pad + size, height), INK, 0.75)
    cv2.circle(tile, (pad + size // 3, height - pad - size // 2), size // 3, bgr, -1, cv2.LINE_AA)
    _draw_text(tile, name, (pad + size, height - pad - size // 8), size, WHITE)


def draw_status(image: Image, snapshot: Snapshot, info: OverlayInfo) -> None:
    """A line at the bottom: speech probability, speaker, load, latency, room lag; as much of it as fits."""
    size = _text_size(image)
    pad = max(size // 2, 4)
    height, width = image.shape[:2]
    top = height - size - 2 * pad
    if top < height / 2:
        return  # on a thumbnail the line would hide the image
    _shade(image, (0, top), (width, height), INK, 0.7)
    baseline = height - pad - size // 8
    meter = min(6 * size, width // 6)
    draw_speech_meter(image, snapshot.speech, (pad, top + pad + size // 4), (meter, size // 2))
    x = meter + 2 * pad
    for text, bgr in status_items(snapshot, info):
        text_width = _measure(text, size)
        if x + text_width > width - pad:
            break
        _draw_text(image, text, (x, baseline), size, bgr)
        x += text_width + 2 * pad


def draw_speech_meter(image: Image, speech: float, corner: Point, extent: Point) -> None:
    """The probability of speech as a bar."""
    level = round(extent[0] * min(max(speech, 0.0), 1.0)) if speech == speech else 0
    cv2.rectangle(image, corner, (corner[0] + extent[0], corner[1] + extent[1]), (90, 86, 84), -1)
    if level:
        cv2.rectangle(image, corner, (corner[0] + level, corner[1] + extent[1]), SPEECH_COLOUR, -1)


def status_items(snapshot: Snapshot, info: OverlayInfo) -> list[tuple[str, Bgr]]:
    """The status line's texts with their colours, the most important first."""
    items = [(state_text(snapshot), WHITE if snapshot.state is not SpeakingState.SILENCE else QUIET)]
    if info.load_level:
        items.append((f"load {info.load_level}", WARNING_COLOUR))
    if info.latency_ms is not None:
        items.append((f"latency {info.latency_ms:.0f} ms", QUIET))
    items += [(notice, WARNING_COLOUR) for notice in info.notices]
    items.append((lag_text(snapshot.lag), QUIET))
    return items


def draw_sheet(image: Image, lines: Sequence[tuple[str, str]]) -> Image:
    """A copy of ``image`` with two columns of text on a plate in its middle."""
    drawn = np.ascontiguousarray(image).copy()
    size = _text_size(drawn)
    step = size + size // 2
    column = max(_measure(key, size) for key, _ in lines) + step
    width = column + max(_measure(text, size) for _, text in lines) + 2 * step
    height = (len(lines) + 1) * step
    x, y = max((drawn.shape[1] - width) // 2, 0), max((drawn.shape[0] - height) // 2, 0)
    _draw_plate(drawn, (x, y), (x + width, y + height), INK, 0.85)
    for number, (key, text) in enumerate(lines, 1):
        _draw_text(drawn, key, (x + step, y + number * step), size, WHITE)
        _draw_text(drawn, text, (x + step + column, y + number * step), size, WHITE)
    return drawn


def state_text(snapshot: Snapshot) -> str:
    """The state in words: who is speaking, if anybody is."""
    names = snapshot.names
    if snapshot.state is SpeakingState.SILENCE:
        return "Silence"
    if snapshot.state is SpeakingState.OFFSCREEN:
        person = snapshot.offscreen
        return "Off-screen speaker" if person is None else f"Off-screen: {names.get(person, str(person))}"
    if snapshot.state is SpeakingState.UNDECIDED:
        return "Speech, speaker undecided"
    others = [face.id for face in snapshot.faces if face.speaking and face.id != snapshot.primary]
    people = ([] if snapshot.primary is None else [snapshot.primary]) + others
    return "Speaking: " + ", ".join(names.get(person, str(person)) for person in people)


def lag_text(lag: Lag) -> str:
    """The room lag; a dash while it is unknown."""
    return f"lag {lag.milliseconds:+.0f} ms" if lag.confidence > 0 else "lag –"


def _short_side(image: Image) -> int:
    return min(int(image.shape[0]), int(image.shape[1]))


def _stroke(image: Image) -> int:
    return max(round(_short_side(image) / 540), 1)


def _text_size(image: Image) -> int:
    return max(round(_short_side(image) / 36), 11)


def _bgr(rgb: Rgb) -> Bgr:
    return rgb[2], rgb[1], rgb[0]


def _pixels(box: Box) -> tuple[int, int, int, int]:
    return round(box.x), round(box.y), round(box.width), round(box.height)


def _grown(box: Box, by: int) -> Box:
    return Box(box.x - by, box.y - by, box.width + 2 * by, box.height + 2 * by)


def _draw_frame(image: Image, box: Box, bgr: Bgr, thickness: int) -> None:
    x, y, width, height = _pixels(box)
    radius = max(min(width, height) // 10, 1)
    inner = np.array([(x + radius, y + radius), (x + width - radius, y + height - radius)])
    path = inner[_ARC_CORNERS, (0, 1)] + radius * _ARCS
    fixed = np.rint(path * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(image, [fixed], True, bgr, thickness, cv2.LINE_AA, _SHIFT)


_SHIFT = 4
"""Fractional bits of coordinates."""

_ARC_ANGLES = np.radians(np.arange(180, 540, 90)[:, None] + np.linspace(0, 90, 6)).ravel()
_ARCS = np.stack([np.cos(_ARC_ANGLES), np.sin(_ARC_ANGLES)], axis=1)
_ARC_CORNERS = np.repeat([(0, 0), (1, 0), (1, 1), (0, 1)], 6, axis=0)
"""Rounded corners, clockwise from the upper left: directions from the corner's centre, and which x and y that has. Five
segments each: OpenCV's ellipse draws 18 of them, which took a third of the time of the overlay."""


def _draw_corners(image: Image, box: Box, bgr: Bgr, thickness: int) -> None:
    x, y, width, height = _pixels(box)
    arm = max(min(width, height) // 5, 2)
    for corner_x, step_x in ((x, arm), (x + width, -arm)):
        for corner_y, step_y in ((y, arm), (y + height, -arm)):
            path = [(corner_x + step_x, corner_y), (corner_x, corner_y), (corner_x, corner_y + step_y)]
            cv2.polylines(image, [np.array(path, np.int32)], False, bgr, thickness, cv2.LINE_AA)


def _draw_plate(image: Image, start: Point, end: Point, bgr: Bgr, opacity: float) -> None:
    if opacity < 1:
        _shade(image, start, end, bgr, opacity)
        return
    radius = (end[1] - start[1]) // 4
    cv2.rectangle(image, (start[0] + radius, start[1]), (end[0] - radius, end[1]), bgr, -1)
    cv2.rectangle(image, (start[0], start[1] + radius), (end[0], end[1] - radius), bgr, -1)
    for x in (start[0] + radius, end[0] - radius):
        for y in (start[1] + radius, end[1] - radius):
            cv2.circle(image, (x, y), radius, bgr, -1, cv2.LINE_AA)


def _shade(image: Image, start: Point, end: Point, bgr: Bgr, opacity: float) -> None:
    region = image[max(start[1], 0) : max(end[1], 0), max(start[0], 0) : max(end[0], 0)]
    if region.size:
        # Eight times as fast as blending with an image of one colour.
        cv2.convertScaleAbs(region, region, 1 - opacity)
        cv2.add(region, np.array([*(opacity * value for value in bgr), 0.0]), region)


def _draw_speaking_bars(image: Image, corner: Point, extent: Point, bgr: Bgr) -> None:
    width, height = extent
    half_width = max(width // 10, 1)
    for k, share in enumerate((0.45, 0.9, 0.6)):
        x = corner[0] + round(width * (k + 0.5) / 3)
        half = round(height * share / 2)
        middle = corner[1] + height // 2
        cv2.rectangle(image, (x - half_width, middle - half), (x + half_width - 1, middle + half), bgr, -1)


SMALLEST_TEXT = 9
"""Minimum text height in pixels that can still be read."""


class _Font(threading.local):
    """One font a thread: window and recording draw at the same time."""

    def __init__(self) -> None:
        self.face = cv2.FontFace("sans")


_font = _Font()
WEIGHT = 500
"""Font weight, 100 (thin) to 900 (black): slightly heavier than regular, for text on video."""


def _measure(text: str, size: int) -> int:
    _, _, width, _ = cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), _font.face, size, WEIGHT)
    return int(width)


def _shortened(text: str, size: int, width: int) -> str:
    """As much of the text as is at most ``width`` pixels wide, with … for the rest."""
    if _measure(text, size) <= width:
        return text
    while text and _measure(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def _draw_text(image: Image, text: str, baseline: Point, size: int, bgr: Bgr) -> None:
    cv2.putText(image, text, baseline, bgr, _font.face, size, WEIGHT)
