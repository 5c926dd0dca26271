from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from speakerlight.core.media import Frame
from speakerlight.rings import AudioRing, FrameRing


def frame(time: float) -> Frame:
    return Frame(time, np.zeros((2, 2, 3), np.uint8))


def test_frames_are_consumed_in_order_and_the_oldest_is_dropped_when_full() -> None:
    ring = FrameRing(3)
    for number in range(5):
        ring.push(frame(number))
    taken = [ring.take(0), ring.take(0), ring.take(0)]
    assert [item.time for item in taken if item] == [2, 3, 4]
    assert ring.take(0) is None
    assert ring.dropped == 2


def test_the_newest_frame_can_be_looked_at_again_and_again() -> None:
    ring = FrameRing(3)
    assert ring.newest() is None
    ring.push(frame(1))
    ring.push(frame(2))
    assert ring.take(0) is not None and ring.take(0) is not None
    newest = ring.newest()
    assert newest is not None and newest.time == 2


def test_taking_the_newest_drops_the_older_ones() -> None:
    ring = FrameRing(3)
    for number in range(3):
        ring.push(frame(number))
    newest = ring.take_newest(0)
    assert newest is not None and newest.time == 2
    assert ring.dropped == 2 and ring.take_newest(0) is None


def test_a_waiting_reader_wakes_on_a_frame_and_on_the_end() -> None:
    ring = FrameRing(3)
    threading.Timer(0.02, ring.push, [frame(7)]).start()
    taken = ring.take(5)
    assert taken is not None and taken.time == 7
    threading.Timer(0.02, ring.close).start()
    assert ring.take(5) is None and ring.drained


def test_one_can_wait_for_a_newer_frame_than_the_last_and_it_stays() -> None:
    ring = FrameRing(3)
    assert ring.wait_newer(None, 0) is None
    first, second = frame(1), frame(1)
    ring.push(first)
    assert ring.wait_newer(None, 0) is first and ring.wait_newer(None, 0) is first
    assert ring.wait_newer(first, 0.01) is None
    threading.Timer(0.02, ring.push, [second]).start()
    assert ring.wait_newer(first, 5) is second, "another frame, whatever its time says"
    assert ring.take(0) is first and ring.take(0) is second


def test_after_the_end_one_waits_the_whole_time_for_a_newer_frame() -> None:
    ring = FrameRing(3)
    ring.close()
    begun = time.monotonic()
    assert ring.wait_newer(None, 0.05) is None
    assert time.monotonic() - begun > 0.04, "or a polling reader would spin"


def test_a_reader_gives_up_after_its_timeout() -> None:
    begun = time.monotonic()
    assert FrameRing(1).take(0.05) is None
    assert 0.04 < time.monotonic() - begun < 1


def ramp(first: int, count: int, channels: int = 1) -> np.ndarray:
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], channels, axis=1)


def test_blocks_come_out_as_they_went_in_across_the_seam() -> None:
    ring = AudioRing(100, channels=2)
    first = 0
    for count in (60, 60, 33, 100):
        ring.write(ramp(first, count, 2), stamp=first / 10)
        (block,) = ring.take()
        assert block.first == first and block.stamp == first / 10
        np.testing.assert_array_equal(block.samples, ramp(first, count, 2))
        first += count
    assert ring.take() == [] and ring.dropped == 0


@pytest.mark.parametrize(("capacity_samples", "capacity_blocks"), [(100, 4096), (10_000, 10)])
def test_a_slow_reader_loses_the_oldest_whole_blocks_and_they_are_counted(
    capacity_samples: int, capacity_blocks: int
) -> None:
    ring = AudioRing(capacity_samples, capacity_blocks=capacity_blocks)
    for number in range(25):
        ring.write(ramp(number * 10, 10), stamp=number)
    blocks = ring.take()
    assert [block.first for block in blocks] == list(range(150, 250, 10))
    assert ring.dropped == 150 and ring.overflows == 1


def test_writer_and_reader_in_two_threads_agree_on_every_sample() -> None:
    ring, total = AudioRing(2000), 400_000

    def write() -> None:
        for first in range(0, total, 100):
            ring.write(ramp(first, 100), stamp=first)

    writer = threading.Thread(target=write)
    writer.start()
    taken = 0
    while writer.is_alive() or taken + ring.dropped < total:
        for block in ring.take():
            np.testing.assert_array_equal(block.samples[:, 0], ramp(block.first, len(block.samples))[:, 0])
            taken += len(block.samples)
    writer.join()
    assert taken + ring.dropped == ring.written == total
