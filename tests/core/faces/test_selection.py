from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speakerlight.core.faces.selection import FaceSelection
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.geometry import Box


def faces(sides: Mapping[int, float]) -> list[TrackedFace]:
    return [TrackedFace(number, Box(0, 0, side, side), np.zeros((6, 2))) for number, side in sides.items()]


def selected(selection: FaceSelection, sides: Mapping[int, float], most: int, speakers: frozenset[int]) -> list[int]:
    return [face.id for face in selection.select(faces(sides), most, speakers)]


def test_the_largest_are_selected_in_their_order() -> None:
    assert selected(FaceSelection(), {1: 50, 2: 90, 3: 60, 4: 80}, 2, frozenset()) == [2, 4]


def test_only_a_clearly_larger_face_replaces_one() -> None:
    selection = FaceSelection()
    selected(selection, {1: 100, 2: 100, 3: 90}, 2, frozenset())
    assert selected(selection, {1: 95, 2: 100, 3: 108}, 2, frozenset()) == [1, 2]
    assert selected(selection, {1: 95, 2: 100, 3: 130}, 2, frozenset()) == [2, 3]
    assert selected(selection, {1: 100, 2: 100, 3: 100}, 2, frozenset()) == [2, 3]


def test_a_face_that_leaves_is_replaced() -> None:
    selection = FaceSelection()
    selected(selection, {1: 100, 2: 90, 3: 80}, 2, frozenset())
    assert selected(selection, {1: 100, 3: 80}, 2, frozenset()) == [1, 3]


def test_speakers_come_first() -> None:
    selection = FaceSelection()
    selected(selection, {1: 100, 2: 90, 3: 30}, 2, frozenset())
    assert selected(selection, {1: 100, 2: 90, 3: 30}, 2, frozenset({3})) == [1, 3]
    assert selected(selection, {1: 100, 2: 190, 3: 30}, 2, frozenset({3})) == [2, 3]


def test_fewer_are_allowed_than_before() -> None:
    selection = FaceSelection()
    selected(selection, {1: 100, 2: 90, 3: 80}, 3, frozenset())
    assert selected(selection, {1: 100, 2: 90, 3: 80}, 1, frozenset()) == [1]
    assert selected(selection, {}, 1, frozenset()) == []
