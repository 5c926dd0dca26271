from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.faces.crops import MouthCrop, mouth_crop
from speakerlight.core.faces.detection import Detection, FaceDetector, SearchRegion
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks, Vision, VisionSettings
from speakerlight.core.media import Image
from speakerlight.core.models.lipsync import Crop
from tests.core.faces.blazeface import blazeface
from tests.core.faces.test_tracking import face_at
from tests.tiles import tile_of

FIRST_SEARCH_TICKS = 12


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(blazeface())
    yield detector
    detector.close()


class KnownFaces(FaceDetector):
    """Finds the given faces, where they are large enough in the region, and counts its passes."""

    def __init__(self, *faces: Detection) -> None:
        self.faces = list(faces)
        self.passes = 0

    def detect(self, image: Image, region: SearchRegion | None = None) -> list[Detection]:
        self.passes += 1
        assert region is not None
        return [
            f
            for f in self.faces
            if f.box.width >= 0.1 * region.width
            and region.left <= f.box.x
            and region.top <= f.box.y
            and f.box.x + f.box.width <= region.left + region.width
            and f.box.y + f.box.height <= region.top + region.height
        ]


def small_crop(image: Image, face: TrackedFace) -> Crop:
    return mouth_crop(image, face.keypoints, MouthCrop(48, 1.4))


def black(width: int = 1280, height: int = 720) -> Image:
    return np.zeros((height, width, 3), np.uint8)


def black_but_for(face: Detection) -> Image:
    """A black frame with a bright square where the face is."""
    image, box = black(), face.box
    image[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = 160
    return image


def run(vision: Vision, image: Image, ticks: range, stride: int = 1) -> list[FrameTracks]:
    return [vision.process(tick, tick / 25, image, stride) for tick in ticks]


@pytest.mark.parametrize(("people", "ticks"), [(4, 50), (9, 50), (25, 26)])
def test_everybody_is_found_at_once_and_kept(detector: FaceDetector, people: int, ticks: int) -> None:
    demo = Demo(DemoSettings(people=people, seed=3))
    vision = Vision(detector, small_crop)
    ids: dict[int, set[int]] = {tile: set() for tile in range(people)}
    found_by: dict[int | None, int] = {}
    kept = []
    for tick in range(ticks):
        tracks = vision.process(tick, tick / 25, demo.frame(tick))
        tiles = [tile_of(demo.tiles, face.box.centre) for face in tracks.faces]
        assert None not in tiles and len(set(tiles)) == len(tiles), "a face that is none, or one face twice"
        for tile, face in zip(tiles, tracks.faces, strict=True):
            assert tile is not None
            ids[tile].add(face.id)
            found_by.setdefault(tile, tick)
        if tick > FIRST_SEARCH_TICKS:
            kept.append(len(tiles) / people)
    assert set(found_by) == set(range(people)) and max(found_by.values()) < FIRST_SEARCH_TICKS
    assert np.mean(kept) >= 0.98
    assert all(len(of_tile) == 1 for of_tile in ids.values())


def test_a_cut_to_an_empty_frame_and_back(detector: FaceDetector) -> None:
    demo = Demo(DemoSettings(people=4, seed=3))
    scene, vision = demo.frame(0), Vision(detector, small_crop)
    before = run(vision, scene, range(15))[-1]
    empty = run(vision, black(), range(15, 60))
    back = run(vision, scene, range(60, 85))
    assert len(before.faces) == 4
    assert empty[-1].faces == () and empty[-1].crops == ()
    assert [t.tick for t in (*empty, *back) if t.is_cut] == [15, 60]
    assert len(back[5].faces) == 4, "not all shown within 0.2 s"
    assert {f.id for f in back[-1].faces} == {5, 6, 7, 8}


def test_another_face_at_the_same_place_is_another_track(detector: FaceDetector) -> None:
    """A cut between two people who are framed alike, and a tile that shows another participant."""
    first, second = (Demo(DemoSettings(people=4, seed=seed)) for seed in (3, 8))
    left, top, width, height = (round(v) for v in vars(first.tiles[1]).values())
    switched = first.frame(0).copy()
    tile = second.frame(0)[top : top + height, left : left + width]
    switched[top : top + height, left : left + width] = tile[..., ::-1]  # other colours, too
    vision = Vision(detector, small_crop)
    before = run(vision, first.frame(0), range(10))[-1]
    local = run(vision, switched, range(10, 20))
    after = run(vision, np.ascontiguousarray(255 - first.frame(0)[:, ::-1] // 2), range(20, 21))
    old = {tile_of(first.tiles, f.box.centre): f.id for f in before.faces}
    new = {tile_of(first.tiles, f.box.centre): f.id for f in local[-1].faces}
    assert not any(t.is_cut for t in local) and after[0].is_cut
    assert {tile for tile in range(4) if new[tile] != old[tile]} == {1}
    assert after[0].faces == ()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 360)])
def test_everybody_of_a_room_that_was_empty_is_found_within_a_second(width: int, height: int) -> None:
    detector = KnownFaces()
    vision = Vision(detector, small_crop)
    run(vision, black(width, height), range(50))
    detector.faces = [
        face_at(x * width, y * height, height / 4) for x, y in ((0.2, 0.3), (0.8, 0.3), (0.2, 0.7), (0.8, 0.7))
    ]
    assert len(run(vision, black(width, height), range(50, 76))[-1].faces) == 4


@pytest.mark.parametrize("phase", range(4))
def test_a_slow_camera_and_load_do_not_keep_people_unseen(phase: int) -> None:
    """Its frames fall on every second tick or on fewer, never on others: which ones does not matter."""
    detector = KnownFaces()
    vision = Vision(detector, small_crop)
    ticks = range(phase, 50 + phase, 4)
    for tick in ticks:
        vision.process(tick, tick / 25, black(640, 360), stride=4)
    detector.faces = [face_at(200, 180, 90), face_at(500, 180, 90)]
    later = range(ticks[-1] + 4, ticks[-1] + 50, 4)
    found = [vision.process(tick, tick / 25, black(640, 360), stride=4).faces for tick in later]
    assert len(found[-1]) == 2


def test_each_face_comes_with_its_crop_in_the_order_of_ids() -> None:
    vision = Vision(KnownFaces(face_at(300, 200, 100), face_at(900, 400, 200)), small_crop)
    tracks = run(vision, black(), range(12))[-1]
    assert (tracks.tick, tracks.time) == (11, 11 / 25)
    assert [f.id for f in tracks.faces] == [1, 2]
    assert [crop.shape for crop in tracks.crops] == [(48, 48)] * 2


def test_the_largest_faces_are_kept() -> None:
    sizes = [90, 180, 120, 150, 100]
    faces = [face_at(130 + 250 * k, 300, size) for k, size in enumerate(sizes)]
    vision = Vision(KnownFaces(*faces), small_crop, VisionSettings(max_faces=3))
    last = run(vision, black(), range(15))[-1]
    assert sorted(f.box.width for f in last.faces) == [120, 150, 180]


def test_a_tick_never_takes_more_passes_than_its_budget() -> None:
    people = [face_at(100 + 200 * (k % 6), 100 + 160 * (k // 6), 90) for k in range(24)]
    detector, settings = KnownFaces(*people), VisionSettings()
    vision = Vision(detector, small_crop)
    for tick in range(100):
        before = detector.passes
        faces = vision.process(tick, tick / 25, black()).faces
        passes = detector.passes - before
        if tick > FIRST_SEARCH_TICKS:
            assert len(faces) == 24
            assert passes <= settings.follow_passes + 1


@pytest.mark.parametrize(("width", "height", "ticks_a_tile"), [(1280, 720, 1), (640, 360, 3)])
def test_a_still_face_and_the_rest_of_the_frame_are_looked_at_only_now_and_then(
    width: int, height: int, ticks_a_tile: int
) -> None:
    detector = KnownFaces(face_at(width / 2, height / 2, height / 4))
    vision = Vision(detector, small_crop)
    run(vision, black(width, height), range(15))
    before = detector.passes
    run(vision, black(width, height), range(15, 75))
    assert detector.passes - before <= 60 / ticks_a_tile + 60 / VisionSettings().follow_still_ticks + 2


def test_load_is_shed_by_looking_less_often() -> None:
    def passes(stride: int) -> int:
        detector = KnownFaces(*(face_at(150 + 300 * k, 300, 150) for k in range(4)))
        vision = Vision(detector, small_crop)
        run(vision, black(), range(15))
        before = detector.passes
        frame_tracks = run(vision, black(), range(15, 115), stride)
        assert all(len(s.faces) == 4 for s in frame_tracks)
        return detector.passes - before

    assert passes(4) < 0.6 * passes(2) < 0.36 * passes(1) * 1.3


def test_no_face_is_missed_when_many_are_tracked() -> None:
    """Faces that all move are each seen every few ticks, none waits for ever."""
    people = [face_at(100 + 200 * (k % 6), 100 + 160 * (k // 6), 80) for k in range(24)]
    detector = KnownFaces(*people)
    vision = Vision(detector, small_crop)
    run(vision, black(), range(15))
    for tick in range(15, 60):
        shift = 3.0 * (tick - 14)
        detector.faces = [face_at(f.box.centre[0] + shift, f.box.centre[1], 80) for f in people]
        faces = vision.process(tick, tick / 25, black()).faces
        assert [f.id for f in faces] == list(range(1, 25))
    late = [min(np.hypot(*np.subtract(d.box.centre, f.box.centre)) for f in faces) for d in detector.faces]
    assert max(late) < 0.25 * 80


def test_a_face_that_comes_later_is_found_within_three_seconds() -> None:
    for size in (90, 150, 300):
        detector = KnownFaces(face_at(200, 200, 200))
        vision = Vision(detector, small_crop)
        run(vision, black(), range(40))
        newcomer = face_at(1000, 480, size)
        detector.faces.append(newcomer)
        assert len(run(vision, black_but_for(newcomer), range(40, 115))[-1].faces) == 2


def test_what_does_not_change_is_searched_again_only_now_and_then() -> None:
    detector = KnownFaces(face_at(200, 200, 200))
    vision = Vision(detector, small_crop)
    passes = []
    noise = np.random.default_rng(0).normal(90, 4, (5, 720, 1280, 3)).clip(0, 255).astype(np.uint8)
    for tick in range(500):
        before = detector.passes
        vision.process(tick, tick / 25, noise[tick % 5])
        passes.append(detector.passes - before)
    followed = 25 / VisionSettings().follow_still_ticks
    assert sum(passes[100:200]) < 4 * followed + 5, "unchanged but for noise: only the face is followed"
    detector.faces.append(face_at(1000, 480, 150))  # somebody who was turned away, in the same light
    found = [vision.process(500 + k, 20 + k / 25, noise[k % 5]) for k in range(300)]
    assert len(found[-1].faces) == 2


def test_a_doubtful_face_is_ignored() -> None:
    vision = Vision(KnownFaces(face_at(600, 300, 200, score=0.55)), small_crop)
    assert all(s.faces == () for s in run(vision, black(), range(20)))


def test_another_size_of_frame_is_searched_anew() -> None:
    detector = KnownFaces(face_at(200, 200, 100))
    vision = Vision(detector, small_crop)
    run(vision, black(), range(30))
    detector.faces = [face_at(1500, 900, 100)]
    found = run(vision, black(1920, 1080), range(30, 42))
    assert 1500 in [round(f.box.centre[0]) for f in found[-1].faces]


def test_small_and_odd_frames_are_survived(detector: FaceDetector) -> None:
    for width, height in ((1, 1), (3, 500), (161, 97)):
        assert run(Vision(detector, small_crop), black(width, height), range(3))[-1].faces == ()


def test_faces_of_one_size_stay_selected() -> None:
    """Which face is the largest changes from frame to frame; who is shown does not."""
    rng, people = np.random.default_rng(0), [(130.0 + 250 * k, 300.0) for k in range(5)]
    detector = KnownFaces(*(face_at(*place, 120) for place in people))
    vision = Vision(detector, small_crop, VisionSettings(max_faces=3))
    run(vision, black(), range(10))
    shown = set()
    for tick in range(10, 60):
        detector.faces = [face_at(*place, 120 * rng.uniform(0.93, 1.07)) for place in people]
        shown.add(tuple(f.id for f in vision.process(tick, tick / 25, black()).faces))
    assert len(shown) == 1
