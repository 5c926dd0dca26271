from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.geometry import Box, iou_matrix


def test_a_box_knows_its_centre_and_area() -> None:
    box = Box(10, 20, 30, 40)
    assert box.centre == (25, 40)
    assert box.area == 1200


@pytest.mark.parametrize(
    ("point", "inside"),
    [((10, 20), True), ((39.9, 59.9), True), ((40, 30), False), ((20, 60), False), ((9, 30), False)],
)
def test_a_box_contains_its_left_and_upper_edge_alone(point: tuple[float, float], inside: bool) -> None:
    assert Box(10, 20, 30, 40).contains(point) is inside


def test_a_box_expands_about_its_centre() -> None:
    assert Box(10, 20, 30, 40).expanded(2) == Box(-5, 0, 60, 80)


def test_a_rise_is_in_heights_of_the_old_box() -> None:
    assert Box(10, 20, 30, 40).expanded(2, rise=0.5) == Box(-5, -20, 60, 80)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(10, 10, 20, 20), Box(10, 10, 20, 20)),
        (Box(-5, -5, 20, 20), Box(0, 0, 15, 15)),
        (Box(90, 40, 20, 20), Box(90, 40, 10, 10)),
        (Box(-10, -10, 200, 200), Box(0, 0, 100, 50)),
        (Box(-50, 10, 20, 20), Box(0, 10, 0, 20)),
        (Box(10, 70, 20, 20), Box(10, 50, 20, 0)),
    ],
)
def test_clipping_keeps_what_lies_in_the_frame(box: Box, inside: Box) -> None:
    assert box.clipped(100, 50) == inside


def test_overlap_is_intersection_over_union() -> None:
    box = Box(0, 0, 10, 10)
    others = [box, Box(5, 0, 10, 10), Box(2, 2, 5, 5), Box(10, 0, 10, 10), Box(50, 50, 1, 1)]
    assert iou_matrix([box], others) == pytest.approx(np.array([[1, 1 / 3, 0.25, 0, 0]]))


def test_overlap_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    boxes = [Box(*rng.uniform(0, 50, 4)) for _ in range(12)]
    overlap = iou_matrix(boxes, boxes)
    np.testing.assert_allclose(overlap, overlap.T)
    np.testing.assert_allclose(np.diag(overlap), 1)
    assert overlap.min() >= 0 and overlap.max() <= 1 + 1e-9


def test_no_boxes_overlap_nothing() -> None:
    assert iou_matrix([], []).shape == (0, 0)
    assert iou_matrix([Box(0, 0, 1, 1)], []).shape == (1, 0)
    assert iou_matrix([], [Box(0, 0, 1, 1)]).shape == (0, 1)


def test_a_box_without_area_overlaps_nothing() -> None:
    assert iou_matrix([Box(5, 5, 0, 0)], [Box(5, 5, 0, 0), Box(0, 0, 10, 10)]).tolist() == [[0, 0]]
