"""The camera path: it holds the person on air, does not shake, moves at a bounded speed, and shows everybody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from speakerlight.core.framing import Camera, CameraSettings
from speakerlight.core.geometry import Box

WIDTH, HEIGHT = 1280, 720
PLACES = [(150.0, 300.0), (600.0, 280.0), (1080.0, 320.0)]
FACE = 90.0
RATE = 30


def faces(noise: np.ndarray | None = None, places: Sequence[tuple[float, float]] = PLACES) -> dict[int, Box]:
    offsets = noise if noise is not None else np.zeros((len(places), 2))
    return {
        k + 1: Box(x + dx - FACE / 2, y + dy - FACE / 2, FACE, FACE)
        for k, ((x, y), (dx, dy)) in enumerate(zip(places, offsets, strict=True))
    }


def shoot(seconds: float, subject: Callable[[float], int | None], jitter: float = 0.0, rate: int = RATE) -> list[Box]:
    noise = np.random.default_rng(5).normal(0, jitter, (round(seconds * rate), len(PLACES), 2))
    camera = Camera(WIDTH, HEIGHT)
    return [camera.follow(faces(noise[k]), subject(k / rate), k / rate) for k in range(round(seconds * rate))]


def holds(shot: Box, face: tuple[float, float]) -> bool:
    """Whether the whole head, hair too, is in the shot."""
    x, y = face
    return (
        shot.x <= x - FACE / 2 + 1
        and shot.x + shot.width >= x + FACE / 2 - 1
        and shot.y <= y - FACE + 1
        and shot.y + shot.height >= y + FACE / 2 - 1
    )


def test_it_closes_in_on_the_person_on_air() -> None:
    shot = shoot(6, lambda time: 1)[-1]
    assert holds(shot, PLACES[0])
    assert not holds(shot, PLACES[1])
    assert shot.height < HEIGHT / 2
    assert shot.width / shot.height == pytest.approx(WIDTH / HEIGHT)


def test_the_person_on_air_is_inside_from_half_a_second_after_every_cut() -> None:
    rng = np.random.default_rng(11)
    changes = np.cumsum(rng.uniform(0.4, 4.0, 60))
    people = rng.integers(1, 4, 61)
    shots = shoot(120, lambda time: int(people[np.searchsorted(changes, time) % 61]), jitter=3.0)
    judged = held = 0
    since, last = 0.0, None
    for k, shot in enumerate(shots):
        now = int(people[np.searchsorted(changes, k / RATE) % 61])
        since, last = (k / RATE, now) if now != last else (since, last)
        if k / RATE - since > 0.5:
            judged += 1
            held += holds(shot, PLACES[now - 1])
    assert judged > 1500
    assert held / judged >= 0.99


def test_noise_does_not_shake_it() -> None:
    shots = np.array([(*shot.centre, shot.height) for shot in shoot(12, lambda time: 2, jitter=2.0)[RATE * 6 :]])
    steps = np.abs(np.diff(shots, axis=0))
    assert steps.max() < 0.5, "pixels a frame"


@pytest.mark.parametrize("rate", [15, 25, 60])
def test_speed_and_change_of_speed_are_bounded_at_every_frame_rate(rate: int) -> None:
    shots = shoot(40, lambda time: (1, 3, None, 2)[int(time / 5) % 4], jitter=2.0, rate=rate)
    edges = np.array([(shot.x, shot.y, shot.x + shot.width, shot.y + shot.height) for shot in shots]) / WIDTH
    speed = np.diff(edges, axis=0) * rate
    assert np.abs(speed).max() < 4.5, "frame widths a second"
    assert np.abs(np.diff(speed, axis=0)).max() * rate < 120, "frame widths a second squared"


def test_closing_in_on_a_head_at_the_edge_never_cuts_it_on_the_way() -> None:
    camera, corner = Camera(WIDTH, HEIGHT), (WIDTH - FACE / 2, FACE)
    for k in range(4 * RATE):
        assert holds(camera.follow(faces(places=[corner]), 1, k / RATE), corner), k


def test_it_eases_out_to_everybody() -> None:
    shots = shoot(14, lambda time: 1 if time < 6 else None)
    assert all(holds(shots[-1], place) for place in PLACES)
    heights = [shot.height for shot in shots[6 * RATE :]]
    assert np.diff(heights).min() > -0.1, "it never turns back"


def test_a_face_lost_for_a_moment_is_waited_for() -> None:
    camera, lost = Camera(WIDTH, HEIGHT), CameraSettings().lost_seconds
    others = {person: box for person, box in faces().items() if person != 1}
    shots = [camera.follow(faces(), 1, k / RATE) for k in range(6 * RATE)]
    waiting = [camera.follow(others, 1, 6 + k / RATE) for k in range(round(lost * RATE) - 1)]
    assert all(shot.centre == pytest.approx(shots[-1].centre, abs=0.5) for shot in waiting)
    gone = [camera.follow(others, 1, 6 + lost + k / RATE) for k in range(4 * RATE)]
    assert all(holds(gone[-1], place) for place in PLACES[1:])


def test_the_shot_stays_inside_the_frame() -> None:
    for shot in shoot(20, lambda time: (1, 3)[int(time / 3) % 2], jitter=4.0):
        assert shot.x >= -1e-6
        assert shot.y >= -1e-6
        assert shot.x + shot.width <= WIDTH + 1e-6
        assert shot.y + shot.height <= HEIGHT + 1e-6


def test_a_walking_person_is_never_cut_off() -> None:
    camera = Camera(WIDTH, HEIGHT)
    for k in range(8 * RATE):
        place = (150 + 900 * max(k / RATE - 2, 0) / 6, 300.0)
        shot = camera.follow(faces(places=[place]), 1, k / RATE)
        assert k < RATE or holds(shot, place), k


def test_without_people_in_view_the_whole_frame_is_shown() -> None:
    camera = Camera(WIDTH, HEIGHT)
    assert [camera.follow({}, 1, k / RATE) for k in range(60)][-1] == Box(0, 0, WIDTH, HEIGHT)


def test_a_time_that_stands_still_or_leaps_does_no_harm() -> None:
    camera = Camera(WIDTH, HEIGHT)
    first = camera.follow(faces(), 1, 1.0)
    assert camera.follow(faces(), 1, 1.0) == first
    assert holds(camera.follow(faces(), 1, 500.0), PLACES[0])
