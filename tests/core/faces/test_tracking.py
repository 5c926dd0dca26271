from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from speakerlight.core.faces.detection import Detection
from speakerlight.core.faces.tracking import TrackedFace, Tracker, TrackingSettings
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

SIDE = 80.0
AT_ONCE = TrackingSettings(confirm_count=1)
"""Tracks that one detection confirms."""

RED, GREEN, BLUE = (30, 30, 200), (30, 200, 30), (200, 30, 30)
Places = Mapping[tuple[int, int, int], tuple[float, float]]
"""Where the person in a shirt of each colour is: the centre of the face."""


def face_at(x: float, y: float, side: float = SIDE, score: float = 0.9) -> Detection:
    box = Box(x - side / 2, y - side / 2, side, side)
    relative = np.array([(-0.2, -0.2), (0.2, -0.2), (0, 0), (0, 0.25), (-0.45, -0.1), (0.45, -0.1)])
    return Detection(box, (x, y) + relative * side, score)


def frame(places: Places) -> Image:
    image = np.full((480, 800, 3), 128, np.uint8)
    for colour, (x, y) in places.items():
        image[max(0, int(y - SIDE)) : int(y + SIDE), max(0, int(x - SIDE)) : int(x + SIDE)] = colour
    return image


class Scene:
    """A tracker that looks for everybody at every tick."""

    def __init__(self, settings: TrackingSettings = AT_ONCE) -> None:
        self.tracker = Tracker(settings)
        self.tick = 0

    def step(self, places: Places, hidden: Sequence[tuple[int, int, int]] = ()) -> list[TrackedFace]:
        time = self.tick / 25
        self.tick += 1
        looked_for = {p.id for p in self.tracker.predictions(time)}
        found = [face_at(*place) for colour, place in places.items() if colour not in hidden]
        return self.tracker.update(time, frame(places), found, looked_for)

    def wait(self, seconds: float) -> list[TrackedFace]:
        faces: list[TrackedFace] = []
        for _ in range(round(seconds * 25)):
            faces = self.step({})
        return faces


def id_at(faces: Sequence[TrackedFace], place: tuple[float, float]) -> int:
    return min(faces, key=lambda f: float(np.hypot(*np.subtract(f.box.centre, place)))).id


def test_people_get_ids_from_1_and_keep_them() -> None:
    scene = Scene()
    places = {RED: (150, 200), GREEN: (400, 200), BLUE: (650, 200)}
    for _ in range(50):
        faces = scene.step(places)
        assert [f.id for f in faces] == [1, 2, 3]
    assert [id_at(faces, place) for place in places.values()] == [1, 2, 3]


def test_a_face_that_comes_later_gets_a_new_id() -> None:
    scene = Scene()
    for _ in range(10):
        scene.step({RED: (150, 200)})
    faces = scene.step({RED: (150, 200), GREEN: (400, 200)})
    assert [f.id for f in faces] == [1, 2] and id_at(faces, (400, 200)) == 2


@pytest.mark.parametrize("apart", [0.0, 15.0, 40.0])
def test_two_people_who_cross_keep_their_ids(apart: float) -> None:
    scene = Scene()
    for k in range(81):
        red, green = (100 + 7 * k, 200.0), (660 - 7 * k, 200.0 + apart)
        # The one in front hides the other while they overlap by much.
        hidden = (RED,) if abs(red[0] - green[0]) < 0.6 * SIDE and apart < 0.6 * SIDE else ()
        faces = scene.step({RED: red, GREEN: green}, hidden)
        assert {f.id for f in faces} == {1, 2}
    assert id_at(faces, red) == 1 and id_at(faces, green) == 2


@pytest.mark.parametrize("widths_a_second", [2, 6, 10])
def test_fast_movement_is_followed(widths_a_second: float) -> None:
    scene = Scene()
    x = 100.0
    for k in range(20):
        # People do not start at full speed.
        x += min(1.0, (k + 1) / 5) * widths_a_second * SIDE / 25
        faces = scene.step({RED: (x, 200)})
        assert [f.id for f in faces] == [1]
        assert abs(faces[0].box.centre[0] - x) < 0.15 * SIDE
        assert abs(faces[0].keypoints[2, 0] - x) < 0.15 * SIDE


def test_a_still_face_is_steadier_than_its_detections() -> None:
    rng = np.random.default_rng(0)
    tracker, mouths, shown = Tracker(AT_ONCE), [], []
    for tick in range(200):
        found = face_at(*(np.array([200, 200]) + rng.normal(0, 0.5, 2)))
        (face,) = tracker.update(tick / 25, frame({RED: (200, 200)}), [found], {1})
        mouths.append(found.keypoints[3])
        shown.append(face.keypoints[3])
    assert np.diff(shown, axis=0).std() < 0.5 * np.diff(mouths, axis=0).std()


def test_a_face_that_is_missed_for_a_moment_stays_in_its_place() -> None:
    scene = Scene()
    for _ in range(10):
        scene.step({RED: (200, 200)})
    for _ in range(12):
        (face,) = scene.step({})
        assert face.id == 1 and face.box.centre == pytest.approx((200, 200))
    assert [f.id for f in scene.step({RED: (205, 200)})] == [1]


def test_a_face_that_stays_away_is_no_longer_shown() -> None:
    scene = Scene()
    scene.step({RED: (200, 200)})
    assert scene.wait(0.5) and not scene.wait(0.3)
    assert scene.tracker.predictions(scene.tick / 25) == []


def test_a_face_back_soon_at_its_place_has_the_same_id() -> None:
    scene = Scene()
    scene.step({RED: (200, 200)})
    assert scene.wait(3.0) == []
    assert [f.id for f in scene.step({RED: (240, 210)})] == [1]


def test_after_long_it_may_be_anybody() -> None:
    scene = Scene()
    scene.step({RED: (200, 200)})
    scene.wait(6.0)
    assert [f.id for f in scene.step({RED: (200, 200)})] == [2]


@pytest.mark.parametrize("newcomer", [{GREEN: (200, 200)}, {RED: (600, 200)}], ids=["another person", "another place"])
def test_a_lost_id_goes_to_no_other_face(newcomer: Places) -> None:
    scene = Scene()
    scene.step({RED: (200, 200)})
    scene.wait(2.0)
    assert [f.id for f in scene.step(newcomer)] == [2]


@pytest.mark.parametrize("order", [1, -1])
def test_neighbours_who_are_back_together_each_have_their_own_id(order: int) -> None:
    """A cut away and back: the first detection must not receive a neighbour's id."""
    tracker, places = Tracker(AT_ONCE), [(200.0, 200.0), (200 + 1.2 * SIDE, 200.0), (200 + 2.4 * SIDE, 200.0)]
    wall = np.full((480, 800, 3), (120, 60, 40), np.uint8)
    first = tracker.update(0.0, wall, [face_at(*place) for place in places], set())
    tracker.update(0.04, wall, [], {1, 2, 3})
    back = tracker.update(2.0, wall, [face_at(*place) for place in places[::order]], set())
    assert [(f.id, f.box) for f in back] == [(f.id, f.box) for f in first]


def test_two_tracks_never_take_one_face() -> None:
    scene = Scene()
    for _ in range(5):
        scene.step({RED: (200, 200), GREEN: (280, 200)})
    for _ in range(30):
        faces = scene.step({RED: (240, 200)})
    assert len(faces) == 1


def test_a_face_that_was_not_looked_for_is_not_missing() -> None:
    tracker, image = Tracker(AT_ONCE), frame({RED: (200, 200)})
    tracker.update(0.0, image, [face_at(200, 200)], set())
    for tick in range(1, 200):
        assert len(tracker.update(tick / 25, image, [], set())) == 1


@pytest.mark.parametrize("seed", range(3))
def test_ids_are_never_used_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracker, seen = Tracker(AT_ONCE), set[int]()
    for tick in range(600):
        # People appear anywhere and leave soon, so tracks are lost all the time.
        found = [face_at(*rng.uniform(50, 400, 2)) for _ in range(rng.integers(0, 4))]
        image = np.full((480, 800, 3), rng.integers(0, 255, 3), np.uint8)
        time = tick * 0.3
        faces = {f.id for f in tracker.update(time, image, found, {p.id for p in tracker.predictions(time)})}
        new = faces - seen
        assert not new or min(new) > max(seen, default=0)
        seen |= faces
    assert len(seen) > 20


def test_the_same_detections_give_the_same_ids() -> None:
    def run() -> list[list[int]]:
        scene, rng = Scene(), np.random.default_rng(5)
        return [[f.id for f in scene.step({RED: tuple(rng.uniform(50, 400, 2).tolist())})] for _ in range(100)]

    assert run() == run()


def test_where_to_look_follows_the_movement_but_not_for_long() -> None:
    scene = Scene()
    for k in range(10):
        scene.step({RED: (100 + 8 * k, 200)})
    soon, (late,) = scene.tracker.predictions(0.4)[0], scene.tracker.predictions(0.9)
    assert soon.box.centre[0] > 172
    assert late.box.centre[0] <= 172 + 8 * 25 * 0.25 + 8
    assert soon.widths_a_second == pytest.approx(8 * 25 / SIDE, rel=0.2)
    assert late.unfound_seconds == pytest.approx(0.54)


def test_faces_at_and_beyond_the_frame_are_survived() -> None:
    tracker, image = Tracker(AT_ONCE), np.zeros((100, 100, 3), np.uint8)
    found = [face_at(-300, 50), face_at(50, 400), face_at(0, 0), face_at(99, 99), face_at(50, 50, side=0.0)]
    assert len(tracker.update(0.0, image, found, set())) == 5


def test_a_doubtful_detection_begins_no_track() -> None:
    tracker, image = Tracker(AT_ONCE), frame({RED: (200, 200)})
    assert tracker.update(0.0, image, [face_at(200, 200, score=0.55)], set()) == []
    tracker.update(0.04, image, [face_at(200, 200)], set())
    assert [f.id for f in tracker.update(0.08, image, [face_at(200, 200, score=0.55)], {1})] == [1]


def test_a_new_face_is_shown_once_three_frames_confirm_it() -> None:
    scene = Scene(TrackingSettings())
    shown = [len(scene.step({RED: (200, 200)})) for _ in range(5)]
    assert shown == [0, 0, 1, 1, 1]


def shown_of(scores: list[float]) -> list[list[int]]:
    """Ids of the tracks shown after each of one face's detections with these scores."""
    tracker, image = Tracker(), frame({RED: (200, 200)})
    return [
        [f.id for f in tracker.update(0.04 * k, image, [face_at(200, 200, score=score)], {-1, -2, -3, 1})]
        for k, score in enumerate(scores)
    ]


def test_a_shoulder_that_passes_for_a_face_now_and_then_is_never_shown() -> None:
    assert not any(shown_of([0.67, 0.6, 0.58, 0.66, 0.57, 0.62, 0.69, 0.6] * 10))


def test_a_face_that_is_clear_only_after_some_frames_is_shown_then() -> None:
    assert shown_of([0.66, 0.6, 0.7, 0.85, 0.9, 0.6, 0.55]) == [[], [], [], [1], [1], [1], [1]]


def test_two_frames_of_a_slow_camera_confirm_a_face() -> None:
    tracker, image = Tracker(), frame({RED: (200, 200)})
    assert tracker.update(0.0, image, [face_at(200, 200)], set()) == []
    assert [f.id for f in tracker.update(0.2, image, [face_at(200, 200)], {-1})] == [1]


def test_a_face_that_is_found_once_is_dropped_and_takes_no_id() -> None:
    scene = Scene(TrackingSettings())
    scene.step({RED: (200, 200)})
    assert scene.wait(0.2) == [] and scene.tracker.predictions(scene.tick / 25) == []
    for _ in range(3):
        faces = scene.step({GREEN: (600, 200)})
    assert [f.id for f in faces] == [1]


def test_a_face_that_is_not_found_is_shown_but_marked() -> None:
    scene = Scene()
    assert [f.is_found for f in scene.step({RED: (200, 200)})] == [True]
    assert [f.is_found for f in scene.step({})] == [False]
    assert [f.is_found for f in scene.step({RED: (200, 200)})] == [True]


def test_a_track_ends_where_something_else_is_in_its_place() -> None:
    scene = Scene()
    scene.step({RED: (200, 200), GREEN: (400, 200)})
    assert scene.tracker.end_dissimilar({1, 2}, frame({RED: (200, 200), BLUE: (400, 200)})) == {2}
    assert [f.id for f in scene.step({RED: (200, 200), GREEN: (400, 200)})] == [1, 3]


def test_nothing_revives_a_track_of_the_shot_before() -> None:
    scene = Scene()
    scene.step({RED: (200, 200), GREEN: (400, 200)})
    scene.tracker.end_all()
    assert [f.id for f in scene.step({RED: (200, 200), GREEN: (400, 200)})] == [3, 4]
