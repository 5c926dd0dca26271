"""Views: what is shown of a frame, and where everybody's tile stands."""

from __future__ import annotations

import numpy as np
import pytest

from core.geometry import Box
from core.media import Frame, Image
from core.snapshot import FaceScore, Lag, Snapshot, State
from core.views import View
from stream.overlay import OverlayInfo, draw_overlay
from stream.views import TILE_SECONDS, ViewComposer, split_layout
from tests.stream.outputs.made import snapshot

GREYS = (60, 120, 180)
"""The picture: three people, each a column of one grey with a white face."""


def picture() -> Image:
    image = np.zeros((360, 640, 3), np.uint8)
    for k, grey in enumerate(GREYS):
        image[:, 213 * k : 213 * (k + 1) + 1] = grey
        image[100:160, 213 * k + 80 : 213 * k + 140] = 255
    return image


def scene(primary: int | None, people: tuple[int, ...] = (1, 2, 3)) -> Snapshot:
    faces = tuple(
        FaceScore(person, Box(213 * (person - 1) + 80, 100, 60, 60), 0.5, person == primary) for person in people
    )
    state = State.SILENCE if primary is None else State.SPEAKING
    return Snapshot(0, 0.0, 0.5, faces, state, primary, Lag(0, 0))


def last(view: View, shown: Snapshot, info: OverlayInfo | None = None, seconds: float = 5.0) -> Image:
    composer = ViewComposer(view)
    image = picture()
    image.setflags(write=False)
    for k in range(round(seconds * 25)):
        composed = composer.compose(Frame(k / 25, image), shown, info)
    return composed


def share(image: Image, grey: int) -> float:
    return float((np.abs(image.astype(int) - grey).max(axis=-1) < 6).mean())


def test_boxes_is_the_frame_with_its_overlay() -> None:
    info = OverlayInfo({1: "Ada"})
    np.testing.assert_array_equal(last(View.BOXES, scene(1), info), draw_overlay(picture(), scene(1), info))


def test_speaker_fills_the_picture_with_the_speaker() -> None:
    shown = last(View.SPEAKER, scene(2))
    assert shown.shape == (360, 640, 3)
    assert share(shown, 255) > 3 * share(picture(), 255) / 3, "the face is larger"
    assert share(shown, GREYS[1]) > 0.6


def test_the_overlay_goes_with_the_shot() -> None:
    drawn = last(View.SPEAKER, scene(2), OverlayInfo())
    assert (drawn != last(View.SPEAKER, scene(2))).any()


def test_split_shows_everybody_and_the_speaker_large() -> None:
    shown = last(View.SPLIT, scene(2))
    large, tiles = split_layout(640, 360, 3)
    for place, grey in ((large, GREYS[1]), *zip(tiles, GREYS, strict=True)):
        part = shown[int(place.y) : int(place.y + place.height), int(place.x) : int(place.x + place.width)]
        assert share(part, grey) > max(share(part, other) for other in GREYS if other != grey)
        assert share(part, 255) > 0.05, "with the face"


def test_a_face_lost_for_a_moment_keeps_its_tile() -> None:
    composer = ViewComposer(View.SPLIT)
    _, (*_, tile) = split_layout(640, 360, 3)
    part = (slice(int(tile.y), int(tile.y + tile.height)), slice(int(tile.x), int(tile.x + tile.width)))
    for k in range(100):
        everybody = composer.compose(Frame(k / 25, picture()), scene(None), None)
    missing = composer.compose(Frame(4.0 + TILE_SECONDS / 2, picture()), scene(None, (1, 2)), None)
    np.testing.assert_array_equal(everybody[part], missing[part])
    gone = composer.compose(Frame(4.0 + TILE_SECONDS, picture()), scene(None, (1, 2)), None)
    assert (gone[part] != missing[part]).any()


@pytest.mark.parametrize("people", [0, 1, 2, 3, 5, 6, 7, 9, 25])
def test_places_lie_in_the_picture_and_never_overlap(people: int) -> None:
    large, tiles = split_layout(1281, 719, people)
    assert len(tiles) == people
    covered = np.zeros((719, 1281), int)
    for place in (large, *tiles):
        x, y, width, height = (int(value) for value in (place.x, place.y, place.width, place.height))
        assert min(x, y) >= 0
        assert x + width <= 1281
        assert y + height <= 719
        covered[y : y + height, x : x + width] += 1
    assert covered.max() == 1


def test_names_and_the_primary_are_marked_on_the_tiles() -> None:
    plain, marked = last(View.SPLIT, scene(2)), last(View.SPLIT, scene(2), OverlayInfo({2: "Ada"}))
    _, tiles = split_layout(640, 360, 3)
    for place in tiles:
        part = (slice(int(place.y), int(place.y + place.height)), slice(int(place.x), int(place.x + place.width)))
        assert (plain[part] != marked[part]).any()


def test_a_frame_of_another_size_starts_the_view_anew() -> None:
    composer = ViewComposer(View.SPLIT)
    composer.compose(Frame(0.0, picture()), scene(1), OverlayInfo())
    turned = np.ascontiguousarray(picture().transpose(1, 0, 2))
    assert composer.compose(Frame(0.04, turned), scene(1), OverlayInfo()).shape == (640, 360, 3)


@pytest.mark.parametrize("view", list(View))
def test_without_a_snapshot_or_a_face_the_frame_is_shown(view: View) -> None:
    composer = ViewComposer(view)
    np.testing.assert_array_equal(composer.compose(Frame(0.0, picture()), None, OverlayInfo()), picture())
    assert composer.compose(Frame(0.04, picture()), snapshot(0.0, people=()), OverlayInfo()).shape == (360, 640, 3)
