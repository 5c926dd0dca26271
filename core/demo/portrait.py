"""Drawing a person: room and shoulders once, the head again for every frame, from prepared parts.

A head is a stack of strips: crown, brows, eyes, cheeks, jaw. Strips that change in steps (brows, eyes) are prepared
once a step; for each frame the jaw is stretched, the mouth drawn, and the head turned into place over the room.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.demo.articulation import Lips
from speakerlight.core.demo.mouth import JAW_DROP, MOUTH_Y, draw_mouth
from speakerlight.core.demo.paint import Field, Layer, Light, Outline, band, box, ellipse, lowered
from speakerlight.core.demo.person import Colour, Hair, Look, Pose, Room
from speakerlight.core.media import Image

LEFT, TOP, RIGHT, BOTTOM = -0.6, -0.9, 0.6, 0.64
"""Area of a head in face heights about the middle of the face (hairline −0.5, chin 0.5)."""

CHIN = 0.5
BROW_ROWS, EYE_ROWS, JAW_ROW = (-0.28, -0.125), (-0.125, 0.06), 0.2
Affine = npt.NDArray[np.float64]
"""Affine map, 2 × 3, as OpenCV takes it."""

STEPS = 7
"""Positions of brows and lids."""

NECK = (0.0, 0.5)
"""Centre of a head's rotation."""

FACE_SHARE = 0.54
"""Height of a face as a share of its tile's."""

BOOK_CONTRAST = 0.5
"""Share of their own colour that the books on a shelf keep, the rest being the wall's: in full colour, two of 48
galleries had a shelf that the face detector took for a face."""

OVERSAMPLING = 2
LARGEST_SCALE = 260.0
"""Face height in pixels beyond which prepared parts are enlarged instead of drawn finer."""


class Portrait:
    """One person on a tile of ``width`` × ``height`` pixels."""

    def __init__(self, look: Look, width: int, height: int) -> None:
        self._look = look
        self._scale = min(FACE_SHARE * height, 0.62 * width)
        self._centre = (width / 2, 0.5 * height)
        self.backdrop = draw_backdrop(look, width, height, self._centre, self._scale)
        parts = _draw_parts(look, min(self._scale, LARGEST_SCALE))
        self._parts = parts
        columns, rows = parts.crown.shape[1], parts.jaw_row + parts.jaw_room
        self._head = np.zeros((rows, columns, 4), np.uint8)

    def draw(self, tile: Image, pose: Pose, lips: Lips) -> None:
        """Draw the head on ``tile`` (height × width × 3, with the backdrop on it), in place."""
        parts = self._parts
        self._assemble(pose, lips)
        draw_mouth(self._head, parts.origin, parts.scale, self._look, lips)
        turn = self._placement(pose)
        left, top, right, bottom = _bounds(turn, self._head.shape, tile.shape)
        turn[:, 2] -= (left, top)
        size = (right - left, bottom - top)
        head = cv2.warpAffine(self._head, turn, size, flags=cv2.INTER_LINEAR)
        _lay_over(tile[top:bottom, left:right], head)

    def _assemble(self, pose: Pose, lips: Lips) -> None:
        parts, head = self._parts, self._head
        row = 0
        strips = (parts.crown, parts.brows[_step(pose.brows)], parts.eyes[_step(pose.lids)], parts.cheeks)
        for strip in strips:
            head[row : row + len(strip)] = strip
            row += len(strip)
        scale = 1 + JAW_DROP * lips.opening / (CHIN - JAW_ROW)
        fall = np.array([[1, 0, 0], [0, scale, 0.5 * scale - 0.5]])
        size = (head.shape[1], parts.jaw_room)
        cv2.warpAffine(parts.jaw, fall, size, head[row:], cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)

    def _placement(self, pose: Pose) -> Affine:
        """The affine map (2 × 3) from the head's pixels to the tile's."""
        size = pose.size * self._scale / self._parts.scale
        cosine, sine = size * np.cos(pose.roll), size * np.sin(pose.roll)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        neck = np.array(NECK) * self._parts.scale + self._parts.origin
        place = np.array([NECK[0] + pose.x, NECK[1] + pose.y]) * self._scale + self._centre
        return np.column_stack([turn, place - turn @ neck])


def _step(amount: float) -> int:
    return min(int(amount * STEPS), STEPS - 1)


def _bounds(turn: Affine, head: tuple[int, ...], tile: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of the tile that the head covers: left, top, right, bottom."""
    corners = np.array([(0, 0, 1), (head[1], 0, 1), (0, head[0], 1), (head[1], head[0], 1)]) @ turn.T
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, None).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)), (tile[1], tile[0])).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _lay_over(under: cv2.typing.MatLike, over: cv2.typing.MatLike) -> None:
    """Blend a premultiplied BGRA image over a BGR one, in place."""
    alpha = cv2.extractChannel(over, 3)
    clear = cv2.bitwise_not(alpha)
    room = cv2.multiply(under, cv2.merge((clear, clear, clear)), scale=1 / 255)
    cv2.add(room, cv2.cvtColor(over, cv2.COLOR_BGRA2BGR), dst=under)


class _Parts:
    """The strips of a head, BGRA premultiplied: rows × columns × 4 each."""

    def __init__(self, look: Look, scale: float) -> None:
        def row(y: float) -> int:
            return round((y - TOP) * scale)

        columns, rows = round((RIGHT - LEFT) * scale), row(BOTTOM)
        fine = scale * OVERSAMPLING
        size = columns * OVERSAMPLING, rows * OVERSAMPLING
        origin = -LEFT * fine, -TOP * fine
        base, front = Layer.clear(*size, origin, fine), Layer.clear(*size, origin, fine)
        _paint_head(base, look)
        _paint_front(front, look)

        def strip(top: int, bottom: int, feature: tuple[str, int] | None = None) -> Image:
            part = base.rows(top * OVERSAMPLING, bottom * OVERSAMPLING)
            if feature:
                kind, step = feature
                amount = step / (STEPS - 1)
                _paint_brows(part, look, amount) if kind == "brows" else _paint_eyes(part, look, amount)
            part.under(front.rows(top * OVERSAMPLING, bottom * OVERSAMPLING))
            return part.pixels(columns, bottom - top)

        brow, eye, cheek, jaw = row(BROW_ROWS[0]), row(EYE_ROWS[0]), row(EYE_ROWS[1]), row(JAW_ROW)
        self.scale, self.origin = scale, (-LEFT * scale, -TOP * scale)
        self.crown = strip(0, brow)
        self.brows = [strip(brow, eye, ("brows", k)) for k in range(STEPS)]
        self.eyes = [strip(eye, cheek, ("eyes", k)) for k in range(STEPS)]
        self.cheeks, self.jaw = strip(cheek, jaw), strip(jaw, rows)
        self.jaw_row = jaw
        self.jaw_room = rows - jaw + round(JAW_DROP * scale * (BOTTOM - JAW_ROW) / (CHIN - JAW_ROW)) + 1


@lru_cache(maxsize=32)
def _draw_parts(look: Look, scale: float) -> _Parts:
    return _Parts(look, scale)


def _soft_light(look: Look) -> Light:
    """Brightness of an egg-shaped head lit from the upper left."""

    def light(x: Field, y: Field) -> Field:
        across, down = x / (look.half_width * 1.08), (y + 0.05) / 0.64
        depth = np.sqrt(np.clip(1 - across**2 - down**2, 0.02, 1))
        brightness = -0.34 * across - 0.38 * down + 0.86 * depth
        return np.asarray(0.66 + 0.41 * np.clip(brightness, 0, 1), np.float32)

    return light


def _face_outline(look: Look) -> Outline:
    """Outline of the face: round at the forehead, narrower towards the chin."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    y = -0.05 + 0.55 * np.sin(angle)
    taper = 1 - look.jaw_taper * np.clip(y / 0.5, 0, 1) ** 1.6
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.88
    return np.column_stack([across * look.half_width * taper, y])


def _shade(colour: Colour, brightness: float) -> Colour:
    blue, green, red = (min(channel * brightness, 255.0) for channel in colour)
    return blue, green, red


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    blue, green, red = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return blue, green, red


def _shadow(skin: Colour) -> Colour:
    """Skin in shadow: darker and redder."""
    return skin[0] * 0.55, skin[1] * 0.6, skin[2] * 0.72


def _paint_head(layer: Layer, look: Look) -> None:
    """Paint what brows, eyes and fringe cover: ears, face, nose, beard."""
    light, shadow = _soft_light(look), _shadow(look.skin)
    if look.style in (Hair.BOB, Hair.LONG):
        drop = 0.3 if look.style is Hair.BOB else 0.56
        layer.fill(_locks(look, drop), _shade(look.hair, 0.8), softness=0.008)
    for side in (-1, 1):
        layer.fill(ellipse(side * look.half_width, 0.02, 0.05, 0.105, side * 0.12), look.skin, 1, 0.006, light)
        layer.fill(ellipse(side * (look.half_width + 0.006), 0.02, 0.024, 0.065, side * 0.12), shadow, 0.5, 0.008)
    layer.fill(_face_outline(look), look.skin, softness=0.004, light=light)
    blush = _mix(look.skin, (110, 110, 235), 0.35)
    for side in (-1, 1):
        layer.fill(ellipse(side * 0.22, 0.14, 0.09, 0.07), blush, 0.35, 0.04)
        layer.fill(ellipse(side * look.eye_gap, -0.035, 0.105, 0.06), shadow, 0.3, 0.022)
    _paint_nose(layer, look)
    layer.fill(ellipse(0, 0.365, 0.07, 0.014), shadow, 0.4, 0.014)
    layer.fill(ellipse(0, 0.21, 0.012, 0.025), shadow, 0.25, 0.012)
    layer.fill(ellipse(0, 0.435, 0.07, 0.04), _shade(look.skin, 1.12), 0.4, 0.025)
    if look.beard:
        _paint_beard(layer, look)


def _paint_nose(layer: Layer, look: Look) -> None:
    shadow, width = _shadow(look.skin), look.nose_width
    layer.fill(ellipse(0.022, 0.02, 0.02, 0.11), shadow, 0.22, 0.018)
    layer.fill(ellipse(-0.008, 0.02, 0.016, 0.11), _shade(look.skin, 1.14), 0.5, 0.012)
    layer.fill(ellipse(0, 0.132, width * 1.15, 0.034), shadow, 0.34, 0.014)
    layer.fill(ellipse(0, 0.112, width * 0.72, 0.042), _shade(look.skin, 1.04), 0.9, 0.014)
    layer.fill(ellipse(-0.012, 0.1, 0.02, 0.02), _shade(look.skin, 1.25), 0.5, 0.012)
    for side in (-1, 1):
        layer.fill(ellipse(side * width * 0.82, 0.122, width * 0.36, 0.028), _shade(look.skin, 0.94), 0.8, 0.008)
        layer.fill(
            ellipse(side * width * 0.5, 0.142, width * 0.28, 0.011, side * -0.25), _shade(shadow, 0.6), 0.8, 0.005
        )


def _paint_beard(layer: Layer, look: Look) -> None:
    face = _face_outline(look)
    colour = _mix(_shade(look.hair, 0.9), look.skin, 0.12)
    jaw = band(
        np.array([(-0.5, 0.02), (-0.34, 0.1), (-0.2, 0.235), (0, 0.19), (0.2, 0.235), (0.34, 0.1), (0.5, 0.02)]),
        np.array([(-0.5, 0.6), (0.5, 0.6)]),
    )
    layer.fill(jaw, colour, 0.72, 0.02, within=face * (0.99, 1.0))
    layer.fill(ellipse(0, MOUTH_Y + 0.005, look.mouth_width * 1.08, 0.05), look.skin, 0.8, 0.012)


def _paint_brows(layer: Layer, look: Look, raised: float) -> None:
    y = -0.165 - 0.035 * (raised - 0.5)
    across = np.linspace(-1, 1, 15)
    colour = _shade(_mix(look.hair, (40, 46, 60), 0.35), 0.85)
    for side in (-1, 1):
        x = side * look.eye_gap + across * 0.088
        arch = y - 0.018 * (1 - (across * side - 0.25) ** 2) + 0.006 * (across * side)
        thick = 0.014 * look.brow_weight * (1 - 0.55 * np.clip(across * side, -0.4, 1)) * np.sqrt(1 - across**6)
        layer.fill(band(np.column_stack([x, arch - thick]), np.column_stack([x, arch + thick])), colour, 0.85, 0.004)


def _paint_eyes(layer: Layer, look: Look, shut: float) -> None:
    across = np.linspace(-1, 1, 25)
    arch = (1 - across**2) ** 0.75
    for side in (-1, 1):
        middle = side * look.eye_gap
        x = middle + across * 0.074 * look.eye_size
        tilt = -0.008 * across * side
        bottom = -0.03 + 0.022 * look.eye_size * arch + tilt
        top = bottom - 0.058 * look.eye_size * (1 - shut) * arch
        upper, lower = np.column_stack([x, top]), np.column_stack([x, bottom])
        lid = band(np.column_stack([x, top - 0.018 * arch]), lowered(upper, 0.004))
        layer.fill(lid, _mix(look.skin, _shadow(look.skin), 0.35), 0.9, 0.004)
        opening = band(upper, lower)
        if shut < 0.9:
            layer.fill(opening, (226, 230, 234), 1.0, 0.002)
            eye_y = -0.036
            for radius, colour in ((0.034, _shade(look.iris, 0.6)), (0.029, look.iris), (0.015, (12, 12, 14))):
                layer.fill(
                    ellipse(middle, eye_y, radius * look.eye_size, radius * look.eye_size), colour, within=opening
                )
            layer.fill(ellipse(middle - 0.011, eye_y - 0.012, 0.007, 0.007), (255, 255, 255), 0.95, within=opening)
            shade = band(upper, lowered(upper, 0.014))
            layer.fill(shade, (90, 84, 84), 0.4, 0.004, within=opening)
        lash = band(np.column_stack([x, top - 0.009 * arch**0.5]), lowered(upper, 0.003))
        layer.fill(lash, (26, 24, 30), 0.92, 0.002)
        layer.fill(band(lower, lowered(lower, 0.005)), _shadow(look.skin), 0.45, 0.003)


def _locks(look: Look, drop: float) -> Outline:
    """Outline of hair behind the face, down to ``drop``."""
    width = look.half_width + 0.085
    angle = np.linspace(np.pi, 2 * np.pi, 40)
    dome = np.column_stack([width * np.cos(angle), -0.16 + 0.53 * np.sin(angle)])
    ends = np.array(
        [(width + 0.03, drop - 0.12), (width - 0.03, drop), (-width + 0.03, drop), (-width - 0.03, drop - 0.12)]
    )
    return np.concatenate([dome, ends])


def _paint_front(layer: Layer, look: Look) -> None:
    """Paint what covers the face: hair at forehead and temples, glasses."""
    _paint_hair(layer, look)
    if look.glasses:
        _paint_glasses(layer, look)


def _paint_hair(layer: Layer, look: Look) -> None:
    def gloss(x: Field, y: Field) -> Field:
        strands = 0.035 * np.sin(x * 90 + 14 * np.sin(y * 3))
        return np.asarray(
            0.88 + 0.32 * np.exp(-(((x + 0.12) / 0.24) ** 2) - ((y + 0.56) / 0.1) ** 2) + strands, np.float32
        )

    width = look.half_width + {Hair.SHAVED: 0.002, Hair.CURLY: 0.075}.get(look.style, 0.05)
    crown = {Hair.SHAVED: 0.452, Hair.CURLY: 0.55}.get(look.style, 0.525)
    side = {Hair.BOB: 0.3, Hair.LONG: 0.5, Hair.CURLY: -0.02, Hair.BUN: -0.06}.get(look.style, -0.1)
    part = {Hair.SHORT: 0.07, Hair.LONG: -0.05, Hair.BOB: -0.1}.get(look.style, 0.0)
    inner = look.half_width - {Hair.LONG: 0.035, Hair.BOB: 0.03, Hair.SHAVED: -0.005}.get(look.style, 0.015)
    opacity = 0.62 if look.style is Hair.SHAVED else 1.0
    angle = np.linspace(np.pi, 2 * np.pi, 40)
    outer = np.column_stack([width * np.cos(angle), -0.15 + crown * np.sin(angle)])
    brow = -0.12 if look.style is not Hair.SHAVED else -0.16
    inside = np.column_stack([part * np.sin(-angle) + inner * np.cos(angle), brow + 0.27 * np.sin(angle)])
    temples = np.array([(inner + 0.005, side), (width - 0.005, side - 0.02)])
    right, left = temples[::-1], temples * (-1, 1)
    cap = np.concatenate([outer, right, inside[::-1], left])
    if look.style is Hair.BUN:
        layer.fill(ellipse(0.02, -0.72, 0.15, 0.13), look.hair, 1.0, 0.006, gloss)
    layer.fill(cap, look.hair, opacity, 0.007, gloss)
    if look.style is Hair.CURLY:
        rng = np.random.default_rng(int(sum(look.hair) * 100))
        for turn in np.linspace(np.pi * 0.97, np.pi * 2.03, 17):
            x, y = (width - 0.02) * np.cos(turn), -0.17 + (crown - 0.03) * np.sin(turn)
            radius = rng.uniform(0.07, 0.1)
            layer.fill(ellipse(x, y, radius, radius), _shade(look.hair, rng.uniform(0.9, 1.15)), 1.0, 0.006, gloss)
        for x in np.linspace(-0.26, 0.26, 7):
            radius = rng.uniform(0.065, 0.085)
            layer.fill(
                ellipse(x, -0.42 + 0.5 * x * x, radius, radius), _shade(look.hair, rng.uniform(0.95, 1.2)), 1.0, 0.006
            )
    layer.fill(band(inside[4:-4], lowered(inside[4:-4], 0.03)), _shadow(look.skin), 0.35, 0.012)


def _paint_glasses(layer: Layer, look: Look) -> None:
    frame: Colour = (38, 34, 40)
    for side in (-1, 1):
        rim = ellipse(side * look.eye_gap, -0.03, 0.118, 0.094)
        inner = ellipse(side * look.eye_gap, -0.03, 0.105, 0.081)
        ring = np.concatenate([rim, rim[:1], inner[:1], inner[::-1]])
        layer.fill(ring, frame, 0.95, 0.002)
        arm = box(
            min(side * 0.28, side * (look.half_width + 0.01)),
            -0.055,
            max(side * 0.28, side * (look.half_width + 0.01)),
            -0.038,
        )
        layer.fill(arm, frame, 0.9, 0.002)
    bridge = look.eye_gap - 0.105
    layer.fill(box(-bridge, -0.05, bridge, -0.036), frame, 0.95, 0.003)


def draw_backdrop(look: Look, width: int, height: int, centre: tuple[float, float], scale: float) -> Image:
    """Room and shoulders: height × width × 3."""
    layer = Layer.clear(width, height, (0, 0), height)  # not oversampled: it is out of focus
    _paint_room(layer, look, width / height)
    room = layer.pixels(width, height)[..., :3]
    backdrop = np.asarray(cv2.GaussianBlur(room, (0, 0), max(height * 0.012, 0.8)), np.uint8)
    body = Layer.clear(
        width * OVERSAMPLING,
        height * OVERSAMPLING,
        (centre[0] * OVERSAMPLING, centre[1] * OVERSAMPLING),
        scale * OVERSAMPLING,
    )
    _paint_body(body, look)
    _lay_over(backdrop, body.pixels(width, height))
    return backdrop


def _paint_room(layer: Layer, look: Look, aspect: float) -> None:
    """Paint the room. Units: tile heights from the top left corner."""

    def falloff(x: Field, y: Field) -> Field:
        return np.asarray(1.06 - 0.16 * x / aspect - 0.16 * y, np.float32)

    wall = look.wall
    layer.fill(box(-0.1, -0.1, aspect + 0.1, 1.1), wall, light=falloff)
    right = aspect - 0.06
    if look.room is Room.WINDOW:
        layer.fill(box(0.05, 0.06, 0.42, 0.74), _shade(wall, 1.15))
        layer.fill(box(0.07, 0.08, 0.4, 0.72), (250, 240, 226))
        layer.fill(ellipse(0.16, 0.7, 0.16, 0.2), (190, 214, 190), 0.8, 0.02, within=box(0.07, 0.08, 0.4, 0.72))
        layer.fill(box(0.228, 0.08, 0.242, 0.72), _shade(wall, 1.1))
    elif look.room is Room.SHELVES:
        rng = np.random.default_rng(int(sum(wall) * 100))
        for shelf in (0.3, 0.62, 0.94):
            x = right - 0.42
            while x < right - 0.03:
                thick, tall = rng.uniform(0.02, 0.045), rng.uniform(0.14, 0.22)
                hue = np.array([(150, 110, 80), (90, 110, 170), (110, 140, 100), (80, 90, 110), (190, 190, 200)])[
                    rng.integers(5)
                ]
                book = BOOK_CONTRAST * hue + (1 - BOOK_CONTRAST) * np.array(wall)
                layer.fill(box(x, shelf - tall, x + thick, shelf), (float(book[0]), float(book[1]), float(book[2])))
                x += thick + 0.004
            layer.fill(box(right - 0.44, shelf, right + 0.1, shelf + 0.02), (96, 128, 160))
    elif look.room is Room.PLANT:
        for tilt in np.linspace(-1.0, 1.0, 8):
            green = (82 + 20 * tilt, 140 - 18 * abs(tilt), 88 + 16 * tilt)
            layer.fill(ellipse(right - 0.14 + 0.16 * tilt, 0.62 - 0.12 * np.cos(tilt), 0.028, 0.16, 0.7 * tilt), green)
        layer.fill(
            np.array([(right - 0.24, 0.74), (right - 0.04, 0.74), (right - 0.07, 1.02), (right - 0.21, 1.02)]),
            (120, 150, 196),
        )
    else:
        layer.fill(box(0.07, 0.12, 0.42, 0.5), (70, 84, 96))
        layer.fill(box(0.085, 0.135, 0.405, 0.485), (232, 236, 238))
        layer.fill(ellipse(0.2, 0.44, 0.16, 0.12), (150, 170, 120), within=box(0.085, 0.135, 0.405, 0.485))
        layer.fill(ellipse(0.32, 0.23, 0.04, 0.04), (110, 170, 236))


def _paint_body(layer: Layer, look: Look) -> None:
    """Paint neck and shoulders. Units: face heights about the middle of the face."""

    def cloth(x: Field, y: Field) -> Field:
        return np.asarray(1.04 - 0.28 * np.clip(x / 0.9, -1, 1) ** 2 - 0.1 * x - 0.12 * (y - 0.8), np.float32)

    if look.style is Hair.LONG:
        layer.fill(ellipse(0, 0.4, look.half_width + 0.09, 0.52), _shade(look.hair, 0.78), 1.0, 0.008)
    shadow = _shadow(look.skin)
    slope = np.linspace(0, 1, 24)
    shoulder = np.column_stack([0.2 + 0.74 * slope, 0.72 + 0.14 * slope + 0.26 * slope**3.2])
    outline = np.concatenate([(shoulder * (-1, 1))[::-1], shoulder, np.array([(0.98, 2.0), (-0.98, 2.0)])])
    layer.fill(outline, look.shirt, 1.0, 0.006, cloth)
    neck = np.array([(-0.19, 0.3), (0.19, 0.3), (0.2, 0.66), (0.25, 0.77), (0, 0.92), (-0.25, 0.77), (-0.2, 0.66)])
    layer.fill(neck, _shade(look.skin, 0.9), 1.0, 0.006)
    layer.fill(ellipse(0.02, 0.52, 0.23, 0.13), shadow, 0.75, 0.04, within=neck)
    collar = _shade(look.shirt, 1.18)
    for side in (-1, 1):
        flap = np.array([(side * 0.25, 0.73), (side * 0.29, 0.8), (side * 0.06, 1.0), (0.0, 0.915)])
        layer.fill(flap, collar, 1.0, 0.004)
