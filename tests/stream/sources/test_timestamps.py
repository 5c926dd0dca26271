"""Timestamp repair, on packets made of numbers alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from speakerlight.sources.timestamps import Repaired, Stamped, TimestampRepair

VIDEO, AUDIO = 0, 1

Packet = Stamped[tuple[int, float]]


def packet(stream: int, stamp: float | None, true: float, duration: float = 0.04) -> Packet:
    """``true``: where it belongs on the repaired timeline."""
    return Stamped(stream, stamp, stamp or 0.0, (stamp or 0.0) + duration, (stream, true))


def piece(start: float, seconds: float, place: float, streams: Iterable[int] = (VIDEO, AUDIO)) -> list[Packet]:
    """Media of a clock that begins at ``start`` and belongs at ``place``, interleaved."""
    made = []
    if VIDEO in streams:
        made += [packet(VIDEO, start + t, place + t) for t in np.arange(0, seconds - 1e-9, 0.04)]
    if AUDIO in streams:
        made += [packet(AUDIO, start + t, place + t, 0.02) for t in np.arange(0, seconds - 1e-9, 0.02)]
    return sorted(made, key=lambda each: each.start)


def errors(packets: list[Packet], longest_gap: float = 10.0) -> tuple[np.ndarray, list[str]]:
    """Of every packet's repaired time, NaN where it has none; and the lines reported."""
    lines: list[str] = []
    repair: TimestampRepair[Packet] = TimestampRepair(lines.append, longest_gap)
    out: list[Repaired[Packet]] = []
    for each in packets:
        out += repair.push(Stamped(each.stream, each.stamp, each.start, each.end, each))
    out += repair.flush()
    assert [each.item for each in out] == packets
    found = [np.nan if each.offset is None else each.item.start + each.offset - each.item.item[1] for each in out]
    return np.array(found), lines


@pytest.mark.parametrize("second", [1.4, 14.9, 19.0, 40_000.0, -30.0])
def test_a_clock_that_restarts_or_jumps_goes_on_where_it_was(second: float) -> None:
    off, lines = errors(piece(1.4, 18.0, 1.4) + piece(second, 6.0, 19.4))
    assert np.abs(off).max() < 0.05
    assert len(lines) == 1


def test_audio_that_the_demuxer_gives_out_late_stays_in_its_own_segment() -> None:
    first, second = piece(1.4, 6.0, 1.4), piece(1.4, 6.0, 7.4)
    late = [each for each in first if each.stream == AUDIO][-8:]
    ahead = [each for each in second if each.stream == VIDEO][:4]
    rest = [each for each in second if each not in ahead]
    packets = [each for each in first if each not in late] + ahead + late + rest
    off, lines = errors(packets)
    assert np.abs(off).max() < 0.05 and len(lines) == 1


def test_streams_that_end_apart_are_in_step_again_in_the_next_segment() -> None:
    first = piece(0.0, 8.0, 0.0, [VIDEO]) + piece(0.0, 7.0, 0.0, [AUDIO])
    off, _ = errors(sorted(first, key=lambda each: each.start) + piece(0.0, 6.0, 8.0))
    assert np.abs(off).max() < 0.05


def test_a_pause_of_one_stream_is_kept_however_long() -> None:
    pause = piece(0, 3, 0) + piece(3, 60, 3, [AUDIO]) + piece(63, 3, 63)
    off, lines = errors(pause)
    assert np.abs(off).max() < 1e-9 and lines == []
    off, lines = errors(piece(0, 40, 0, [AUDIO]) + piece(40, 5, 40))
    assert np.abs(off).max() < 1e-9 and lines == []


def test_a_short_gap_of_all_streams_is_kept() -> None:
    off, lines = errors(piece(0, 3, 0) + piece(8, 3, 8))
    assert np.abs(off).max() < 1e-9 and lines == []


@pytest.mark.parametrize("first", [VIDEO, AUDIO])
def test_a_stream_that_begins_long_after_the_other_has_ended_keeps_its_time(first: int) -> None:
    packets = piece(0, 3, 0, [first]) + piece(500, 3, 500, [AUDIO if first == VIDEO else VIDEO])
    off, lines = errors(packets)
    assert np.abs(off).max() < 1e-9 and lines == []


def test_a_stream_that_begins_on_another_clock_beside_the_first_is_in_step_with_it() -> None:
    packets = piece(0, 1, 0, [VIDEO])
    both = piece(1, 5, 1, [VIDEO]) + piece(401, 5, 1, [AUDIO])
    off, lines = errors(packets + sorted(both, key=lambda each: each.item[1]))
    assert np.abs(off).max() < 0.05 and len(lines) == 1


def test_video_alone_may_pause_for_longer() -> None:
    off, lines = errors(piece(0, 3, 0, [VIDEO]) + piece(300, 3, 300, [VIDEO]), longest_gap=600)
    assert np.abs(off).max() < 1e-9 and lines == []


@pytest.mark.parametrize("damage", [95_000.0, -50.0])
def test_a_damaged_stamp_changes_nothing_else(damage: float) -> None:
    packets = piece(0, 6, 0)
    packets[100] = packet(packets[100].stream, packets[100].start + damage, packets[100].start)
    off, lines = errors(packets)
    assert np.isnan(off[100]) and np.nanmax(np.abs(off)) < 1e-9 and lines == []


def test_one_stream_whose_clock_restarts_alone_goes_on_at_its_own_end() -> None:
    packets = (
        piece(0, 12, 0, [VIDEO])
        + piece(0, 6, 0, [AUDIO])
        + [packet(AUDIO, t, 6 + t, 0.02) for t in np.arange(0, 6, 0.02)]
    )
    off, lines = errors(sorted(packets, key=lambda each: each.item[1]))
    assert np.abs(off).max() < 0.05 and len(lines) == 1


def test_streams_read_one_after_the_other_are_one_segment() -> None:
    off, lines = errors(piece(0, 9, 0, [VIDEO]) + piece(0, 9, 0, [AUDIO]))
    assert np.abs(off).max() < 1e-9 and lines == []


def test_packets_without_stamps_pass() -> None:
    off, lines = errors([packet(VIDEO, None, t) for t in np.arange(0, 2, 0.04)])
    assert np.isnan(off).all() and lines == []


def test_any_order_of_stamps_ends_with_all_packets_and_few_held() -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        clock = np.cumsum(rng.choice([0.02, 0.04, -3.0, 5.0, 9e4, -9e4], 300, p=[0.46, 0.46, 0.02, 0.02, 0.02, 0.02]))
        errors([packet(int(rng.integers(2)), float(stamp), 0.0) for stamp in clock])
