from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.identities import Identities, Merge
from speakerlight.core.people import recognition
from speakerlight.core.people.face_encoder import Look
from speakerlight.core.people.recognition import FaceRecognizer, Person, RecognitionSettings
from tests.core.faces.test_tracking import face_at

SIDE = 120.0
STEP = 0.04


class Looks:
    """An encoder whose looks are set by the grey value of the crop's middle: one value a person."""

    def __init__(self) -> None:
        self.count = 0
        self.noise = np.random.default_rng(0)
        self.blur: dict[int, float] = {}

    def __call__(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.count += len(crops)
        return np.stack([self.look(int(crop[75, 75, 0])) for crop in crops])

    def look(self, person: int) -> Look:
        """A unit vector of their own for each person, with a little noise: 1.4 apart, or 0.15 from each other."""
        vector = np.zeros(128, np.float32)
        vector[person] = 0.6
        vector[127] = self.blur.get(person, 0.0)
        return vector + self.noise.normal(0, 0.008, 128).astype(np.float32)


class Scene:
    def __init__(self, known: tuple[Person, ...] = ()) -> None:
        self.looks = Looks()
        self.recognizer = FaceRecognizer(self.looks, known=known)
        self.time = 0.0
        self.merges: list[Merge] = []

    def step(self, tracks: Mapping[int, int], *, side: float = SIDE, seconds: float = STEP) -> Identities:
        """One frame in which each track shows a person."""
        image = np.zeros((400, 1200, 3), np.uint8)
        faces = []
        for place, (track, person) in enumerate(tracks.items()):
            x = 120 + 200 * place
            image[:, x - 90 : x + 90] = person
            found = face_at(x, 200, side)
            faces.append(TrackedFace(track, found.box, found.keypoints))
        now = self.recognizer.identify(self.time, image, faces)
        self.time += seconds
        self.merges += now.merges
        return now

    def run(self, tracks: Mapping[int, int], seconds: float) -> dict[int, int]:
        for _ in range(round(seconds / STEP)):
            now = self.step(tracks)
        return dict(now.persons)


def test_no_face_is_embedded_before_the_encoder_has_had_time_to_load() -> None:
    scene = Scene()
    scene.recognizer = FaceRecognizer(scene.looks, RecognitionSettings(first_look_seconds=1.0))
    scene.time = 50.0
    assert scene.run({7: 10, 9: 20}, 0.96) == {7: 1, 9: 2} and scene.looks.count == 0
    assert scene.run({7: 10, 9: 20}, 1.0) == {7: 1, 9: 2} and scene.looks.count >= 2 and scene.merges == []


def test_new_people_have_ids_from_1_at_once() -> None:
    scene = Scene()
    assert dict(scene.step({7: 10, 9: 20}).persons) == {7: 1, 9: 2}
    assert scene.run({7: 10, 9: 20}, 2.0) == {7: 1, 9: 2} and scene.merges == []


def test_a_person_back_elsewhere_has_their_id_at_once() -> None:
    scene = Scene()
    scene.run({1: 10, 2: 20}, 1.0)
    scene.run({}, 10.0)
    assert dict(scene.step({3: 20, 4: 10}).persons) == {3: 2, 4: 1}
    assert scene.run({3: 20, 4: 10, 5: 30}, 1.0) == {3: 2, 4: 1, 5: 3} and scene.merges == []


def test_a_stranger_is_a_new_person() -> None:
    scene = Scene()
    scene.run({1: 10}, 1.0)
    scene.run({}, 1.0)
    assert scene.run({2: 30}, 1.0) == {2: 2} and scene.merges == []


def test_two_faces_in_view_are_never_one_person() -> None:
    scene = Scene()
    assert len(set(scene.run({1: 10, 2: 10}, 2.0).values())) == 2


def test_an_id_between_two_distances_waits_for_more_looks() -> None:
    scene = Scene()
    scene.run({1: 10}, 1.0)
    scene.run({}, 1.0)
    scene.looks.blur[10] = 0.5
    first = scene.step({2: 10}).persons[2]
    scene.looks.blur[10] = 0.3
    assert first == 2 and scene.run({2: 10}, 1.0) == {2: 1}
    assert scene.merges == [Merge(2, 1)]


def test_a_track_that_moved_on_to_a_known_face_is_that_person() -> None:
    scene = Scene()
    scene.run({1: 10}, 1.0)
    scene.run({}, 1.0)
    scene.run({2: 20}, 1.0)
    assert scene.run({2: 10}, 6.0) == {2: 1}
    assert scene.run({2: 20}, 6.0) == {2: 2}


def test_a_head_that_turns_for_some_seconds_is_the_same_person() -> None:
    scene = Scene()
    scene.run({1: 10}, 4.0)
    assert scene.run({1: 20}, 9.0) == {1: 1} and scene.run({1: 10}, 5.0) == {1: 1}


def test_a_revived_track_is_looked_at_anew() -> None:
    scene = Scene()
    scene.run({1: 10}, 1.0)
    scene.run({}, 2.0)
    assert scene.run({1: 20}, 0.5) == {1: 2}


def test_small_and_averted_faces_are_waited_for() -> None:
    scene = Scene()
    for _ in range(10):
        scene.step({1: 10}, side=30)
    assert scene.looks.count == 0
    scene.run({1: 10}, 0.5)
    assert scene.looks.count > 0


def test_looks_are_few() -> None:
    scene = Scene()
    tracks = {number: 10 * number for number in range(1, 7)}
    for _ in range(1500):
        before = scene.looks.count
        scene.step(tracks)
        assert scene.looks.count - before <= RecognitionSettings().looks_per_frame
    assert scene.looks.count <= 6 * (4 + 60 / RecognitionSettings().interval_seconds)


def test_enrolled_people_are_named_when_they_are_seen() -> None:
    ada = Person(0, "Ada", [Looks().look(20)])
    scene = Scene((ada,))
    scene.run({1: 10}, 1.0)
    now = scene.step({1: 10, 2: 20})
    assert dict(now.persons) == {1: 1, 2: 2} and dict(now.names) == {2: "Ada"}
    assert scene.merges == []


def test_memory_stays_bounded() -> None:
    scene = Scene()
    for track in range(1, 600):
        scene.step({track: 10}, seconds=1.0)
    assert len(scene.recognizer._tracks) < 300 and len(scene.recognizer.known) == 1


def test_strangers_are_forgotten_in_the_end_but_not_named_people(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strangers(Looks):
        def look(self, person: int) -> Look:
            return self.noise.normal(0, 0.1, 128).astype(np.float32)

    monkeypatch.setattr(recognition, "_REMEMBERED_TRACKS", 16)
    monkeypatch.setattr(recognition, "_REMEMBERED_PERSONS", 32)
    scene = Scene((Person(0, "Ada", [Looks().look(20)]),))
    scene.recognizer._encode = Strangers()
    for track in range(1, 200):
        scene.step({track: 10, track + 5000: 20}, seconds=1.0)
    assert len(scene.recognizer.known) <= 32 + 16 and len(scene.recognizer._together) < 100
    assert any(person.name == "Ada" for person in scene.recognizer.known)


def test_after_forgetting_everybody_is_new_but_who_was_enrolled() -> None:
    scene = Scene((Person(0, "Ada", [Looks().look(20)]),))
    assert scene.run({1: 10, 2: 20}, 1.0) == {1: 1, 2: 2}
    scene.recognizer.forget()
    assert scene.run({1: 10, 2: 20}, 1.0) == {1: 3, 2: 4}
    now = scene.step({3: 10, 4: 20})
    assert dict(now.persons) == {3: 3, 4: 4} and dict(now.names) == {4: "Ada"} and now.resets == 1
    assert {person.id for person in scene.recognizer.known} == {3, 4} and scene.merges == []


def test_people_stay_two_when_one_of_their_tracks_showed_the_other_for_a_look() -> None:
    """A cut within one track left a look of another person; minutes later both were taken for one."""
    scene = Scene()
    scene.run({1: 10}, 6.0)
    scene.run({}, 1.0)
    scene.run({2: 20}, 6.0)
    first = scene.recognizer.known[0]
    assert first.id == 1 and len(first.looks) >= 1
    first.looks.append(scene.looks.look(20))
    assert scene.run({2: 20}, 12.0) == {2: 2} and scene.merges == []
