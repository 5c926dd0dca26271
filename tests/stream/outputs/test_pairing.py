"""Pairing: each frame goes with the snapshot nearest to it in time, which comes later."""

from __future__ import annotations

from speakerlight.outputs.pairing import Pairing
from tests.stream.outputs.made import frame, snapshot


def test_a_frame_waits_for_the_nearest_snapshot() -> None:
    pairing = Pairing()
    for time in (0.0, 0.033, 0.066, 0.1):
        assert list(pairing.hold(frame(time))) == []
    pairs = [
        (held.time, snap.time) for k in range(3) for held, snap in pairing.pair(snapshot(k / 25)) if snap is not None
    ]
    assert pairs == [(0.0, 0.0), (0.033, 0.04), (0.066, 0.08)]
    assert [(held.time, snap and snap.time) for held, snap in pairing.rest()] == [(0.1, 0.08)]


def test_without_any_snapshot_frames_still_come_out() -> None:
    pairing = Pairing()
    list(pairing.hold(frame(0.0)))
    assert [(held.time, snap) for held, snap in pairing.rest()] == [(0.0, None)]


def test_what_is_held_is_bounded_and_nothing_is_lost() -> None:
    one = frame(0.0).image.nbytes
    pairing = Pairing(held_bytes=3 * one)
    out = [held.time for k in range(10) for held, _ in pairing.hold(frame(k / 25))]
    assert out == [k / 25 for k in range(7)]
    assert [held.time for held, _ in pairing.rest()] == [7 / 25, 8 / 25, 9 / 25]
