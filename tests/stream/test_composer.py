"""Views: what is shown of a frame, and where everybody's tile stands; on a real scene, that the speaker is in view."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from speakerlight import command_line
from speakerlight.composer import TILE_SECONDS, ViewComposer, split_layout
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.media import Frame, Image
from speakerlight.core.shot import Direction, close_up
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.overlay import OverlayInfo, draw_overlay, draw_tile_mark
from tests.core.faces.blazeface import blazeface
from tests.data import DEV, needs_clips
from tests.stream.outputs.made import snapshot

GREYS = (60, 120, 180)
"""The frame: three people, each a column of one grey with a white face."""


def frame() -> Image:
    image = np.zeros((360, 640, 3), np.uint8)
    for k, grey in enumerate(GREYS):
        image[:, 213 * k : 213 * (k + 1) + 1] = grey
        image[100:160, 213 * k + 80 : 213 * k + 140] = 255
    return image


def scene(primary: int | None, people: tuple[int, ...] = (1, 2, 3)) -> Snapshot:
    faces = tuple(
        FaceScore(person, Box(213 * (person - 1) + 80, 100, 60, 60), 0.5, person == primary) for person in people
    )
    state = SpeakingState.SILENCE if primary is None else SpeakingState.SPEAKING
    direction = Direction() if primary is None else Direction(close_up(primary))
    return Snapshot(0, 0.0, 0.5, faces, state, primary, Lag(0, 0), direction=direction)


def last(view: View, shown: Snapshot, info: OverlayInfo | None = None, seconds: float = 5.0) -> Image:
    composer = ViewComposer(view)
    image = frame()
    image.setflags(write=False)
    for k in range(round(seconds * 25)):
        composed = composer.compose(Frame(k / 25, image), shown, info)
    return composed


def share(image: Image, grey: int) -> float:
    return float((np.abs(image.astype(int) - grey).max(axis=-1) < 6).mean())


def test_boxes_is_the_frame_with_its_overlay() -> None:
    shown, info = scene(1), OverlayInfo()
    np.testing.assert_array_equal(last(View.BOXES, shown, info), draw_overlay(frame(), shown, info))


def test_speaker_fills_the_frame_with_the_speaker() -> None:
    shown = last(View.SPEAKER, scene(2))
    assert shown.shape == (360, 640, 3)
    assert share(shown, 255) > 3 * share(frame(), 255) / 3, "the face is larger"
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
        everybody = composer.compose(Frame(k / 25, frame()), scene(None), None)
    missing = composer.compose(Frame(4.0 + TILE_SECONDS / 2, frame()), scene(None, (1, 2)), None)
    np.testing.assert_array_equal(everybody[part], missing[part])
    gone = composer.compose(Frame(4.0 + TILE_SECONDS, frame()), scene(None, (1, 2)), None)
    assert (gone[part] != missing[part]).any()


@pytest.mark.parametrize("people", [0, 1, 2, 3, 5, 6, 7, 9, 25])
def test_places_lie_in_the_frame_and_never_overlap(people: int) -> None:
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
    shown = scene(2)
    plain, marked = last(View.SPLIT, shown), last(View.SPLIT, replace(shown, names={2: "Ada"}), OverlayInfo())
    _, tiles = split_layout(640, 360, 3)
    for place in tiles:
        part = (slice(int(place.y), int(place.y + place.height)), slice(int(place.x), int(place.x + place.width)))
        assert (plain[part] != marked[part]).any()


@pytest.mark.parametrize("people", [1, 4, 9, 25])
def test_a_name_stays_in_its_tile_and_leaves_most_of_it_free(people: int) -> None:
    for number, place in enumerate(split_layout(1280, 720, people)[1]):
        plain, named = np.full((2, 720, 1280, 3), 90, np.uint8)
        draw_tile_mark(plain, place, number + 1, "", False)
        draw_tile_mark(named, place, number + 1, "Bartholomew Featherstonehaugh, Chief Executive Officer", False)
        rows, columns = np.nonzero((plain != named).any(axis=-1))
        assert len(rows)
        assert columns.min() >= place.x and columns.max() < place.x + place.width
        assert rows.min() >= place.y + 0.6 * place.height and rows.max() < place.y + place.height


def test_a_frame_of_another_size_starts_the_view_anew() -> None:
    composer = ViewComposer(View.SPLIT)
    composer.compose(Frame(0.0, frame()), scene(1), OverlayInfo())
    turned = np.ascontiguousarray(frame().transpose(1, 0, 2))
    assert composer.compose(Frame(0.04, turned), scene(1), OverlayInfo()).shape == (640, 360, 3)


@pytest.mark.parametrize("view", list(View))
def test_without_a_snapshot_or_a_face_the_frame_is_shown(view: View) -> None:
    composer = ViewComposer(view)
    np.testing.assert_array_equal(composer.compose(Frame(0.0, frame()), None, OverlayInfo()), frame())
    assert composer.compose(Frame(0.04, frame()), snapshot(0.0, people=()), OverlayInfo()).shape == (360, 640, 3)


NEWS = DEV / "scenes" / "wangyz1999__syncnet-speaker-diarization__vids__input.mp4"
"""Ten seconds of three people on a split screen, who take turns."""

SETTLED_SECONDS = 0.5
"""After a cut the person on air has to be in the shot by then."""


@dataclass(frozen=True)
class Shot:
    """A part of a frame (``box``, in its pixels) and what was known of the frame."""

    time: float
    snapshot: Snapshot
    box: Box

    def holds(self, person: int | None) -> bool:
        """Whether the person's head, half a face's height of hair included, is inside."""
        face = self.place(person)
        top = max(face.y - face.height / 2, 0.0)
        beside = min(face.x - self.box.x, self.box.x + self.box.width - face.x - face.width)
        return min(beside, top - self.box.y, self.box.y + self.box.height - face.y - face.height) > -2

    def place(self, person: int | None) -> Box:
        return next(face.box for face in self.snapshot.faces if face.id == person)

    @property
    def on_air(self) -> int | None:
        """The person on air, while in view."""
        person = self.snapshot.direction.shot.person
        return person if any(face.id == person for face in self.snapshot.faces) else None

    def person_at(self, width: int) -> tuple[float, float, float]:
        """Centre and width of the face on air in an image of the shot that is ``width`` wide."""
        face, scale = self.place(self.on_air), width / self.box.width
        x, y = face.centre
        return (x - self.box.x) * scale, (y - self.box.y) * scale, face.width * scale


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Shot], Path]:
    """Every shot of ``--view speaker`` on the news scene, and the video that was written."""
    blazeface()
    path, shots = tmp_path_factory.mktemp("views") / "speaker.mp4", []
    speaker = ViewComposer._speaker

    def noted(self: ViewComposer, image: Image, shot: Box, snapshot: Snapshot, info: OverlayInfo | None) -> Image:
        shots.append(Shot(snapshot.time, snapshot, shot))
        return speaker(self, image, shot, snapshot, info)

    arguments = ["--video", str(NEWS), "--fast", "--no-window", "--view", "speaker", "--output", str(path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViewComposer, "_speaker", noted)
        assert command_line.main(arguments) == 0
    return shots, path


def changes(shots: list[Shot]) -> list[int]:
    """Where another person is on air than in the frame before."""
    return [k for k in range(1, len(shots)) if shots[k].on_air != shots[k - 1].on_air]


def settled(shots: list[Shot]) -> list[int]:
    """Where a person has been on air for ``SETTLED_SECONDS``."""
    starts = np.array([shots[k].time for k in [0, *changes(shots)]])
    since = [starts[starts <= shot.time + 1e-6].max() for shot in shots]
    return [
        k
        for k, (shot, start) in enumerate(zip(shots, since, strict=True))
        if shot.on_air is not None and shot.time - start > SETTLED_SECONDS
    ]


@needs_clips
def test_on_a_real_scene_the_person_on_air_is_in_the_shot_half_a_second_after_a_cut(
    recorded: tuple[list[Shot], Path],
) -> None:
    shots, _ = recorded
    held = [shots[k].holds(shots[k].on_air) for k in settled(shots)]
    assert len(held) > 150
    assert np.mean(held) >= 0.99


@needs_clips
def test_the_person_on_air_can_be_found_in_the_video_that_is_written(recorded: tuple[list[Shot], Path]) -> None:
    shots, path = recorded
    detector, looked = FaceDetector(blazeface()), set(settled(shots)[::5])
    found = []
    with av.open(str(path)) as video:
        for k, frame in enumerate(video.decode(video=0)):
            if k in looked:
                x, y, width = shots[k].person_at(frame.width)
                faces = detector.detect(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
                found.append(any(math.dist((x, y), face.box.centre) < width / 4 for face in faces))
    detector.close()
    assert len(found) > 30
    assert np.mean(found) >= 0.99


@needs_clips
def test_on_a_real_scene_the_shot_moves_slowly_evenly_and_seldom(recorded: tuple[list[Shot], Path]) -> None:
    """Bounds are for the edges of the shot. A spring at its fast rate r moves by a part d of the frame at d·r/e at most
    and begins with d·r²: a quarter of the frame, at 12 a second, gives 1.1 widths a second and 36 a second squared."""
    shots, _ = recorded
    times = np.array([shot.time for shot in shots])
    edges = np.array([(s.box.x, s.box.y, s.box.x + s.box.width, s.box.y + s.box.height) for s in shots]) / 1280
    speed = np.diff(edges, axis=0) / np.diff(times)[:, None]
    assert np.abs(speed).max() < 1.5, "frame widths a second"
    assert (np.abs(np.diff(speed, axis=0)) / np.diff(times)[1:, None]).max() < 36, "frame widths a second squared"
    for edge in speed.T:
        moving = edge[np.abs(edge) > 0.02]
        turns = sum(a * b < 0 for a, b in pairwise(moving))
        assert turns <= len(changes(shots)), "it turns back only for another person"
