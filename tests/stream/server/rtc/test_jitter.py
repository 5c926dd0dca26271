"""Packets in order, and nothing held back: what aiortc's own buffers would keep is what these give at once."""

from __future__ import annotations

import pytest
from aiortc.rtp import RtpPacket

from speakerlight.server.rtc.jitter import PromptAudio, PromptVideo

WRAP = 1 << 16


def packet(number: int, time: int, marker: int = 0) -> RtpPacket:
    made = RtpPacket(sequence_number=number % WRAP, timestamp=time, marker=marker)
    made._data = bytes([number % 256])  # type: ignore[attr-defined]
    return made


def given(buffer: PromptAudio | PromptVideo, *packets: RtpPacket) -> list[bytes]:
    """What can be decoded after each packet, where there is something."""
    frames = [buffer.add(each)[1] for each in packets]
    return [frame.data for frame in frames if frame]


def test_each_packet_of_audio_is_given_at_once() -> None:
    buffer = PromptAudio()
    for number in range(WRAP - 3, WRAP + 3):
        assert given(buffer, packet(number, 960 * number)) == [bytes([number % 256])]


def test_lost_audio_delays_nothing_and_late_audio_is_dropped() -> None:
    buffer = PromptAudio()
    assert given(buffer, packet(1, 0), packet(3, 1920), packet(2, 960), packet(3, 1920), packet(4, 2880)) == [
        b"\x01",
        b"\x03",
        b"\x04",
    ]


def test_a_frame_is_given_with_its_marked_packet() -> None:
    buffer = PromptVideo()
    assert given(buffer, packet(0, 0), packet(1, 0)) == []
    assert given(buffer, packet(2, 0, marker=1)) == [b"\x00\x01\x02"]
    assert given(buffer, packet(3, 3000, marker=1)) == [b"\x03"]


def test_a_frame_without_a_mark_is_given_with_the_next() -> None:
    buffer = PromptVideo()
    assert given(buffer, packet(0, 0), packet(1, 0), packet(2, 3000)) == [b"\x00\x01"]


@pytest.mark.parametrize("order", [[0, 2, 1], [0, 1, 2], [1, 0, 2]])
def test_frames_are_whole_whatever_the_order(order: list[int]) -> None:
    buffer = PromptVideo()
    buffer.add(packet(9, 0, marker=1))
    packets = [packet(10, 3000), packet(11, 3000), packet(12, 3000, marker=1)]
    assert given(buffer, *(packets[place] for place in order)) == [b"\x0a\x0b\x0c"]


def test_a_whole_frame_is_asked_for_when_too_much_is_lost() -> None:
    buffer = PromptVideo()
    buffer.add(packet(0, 0))
    asked = [buffer.add(packet(number, 3000))[0] for number in range(2, buffer.capacity + 3)]
    assert any(asked)


def test_after_a_loss_all_whole_frames_are_there_at_once() -> None:
    buffer = PromptVideo()
    assert given(buffer, packet(0, 0, marker=1)) == [b"\x00"]
    assert given(buffer, *(packet(number, 3000 * number, marker=1) for number in range(2, 9))) == []
    assert given(buffer, packet(1, 3000, marker=1)) == [b"\x01"]
    assert [frame.data for frame in buffer.rest()] == [bytes([number]) for number in range(2, 9)]
    assert list(buffer.rest()) == []


@pytest.mark.parametrize("first_time", [0, (1 << 32) - 9000])
def test_what_never_comes_is_waited_for_for_half_a_second(first_time: int) -> None:
    buffer = PromptVideo()
    given(buffer, packet(0, first_time, marker=1))
    asked, shown = [], []
    for number in range(2, 60):
        time = (first_time + 3000 * number) % (1 << 32)
        asks, frame = buffer.add(packet(number, time, marker=1))
        asked += [number] if asks else []
        shown += [number] if frame else []
    (given_up,) = asked
    assert 15 < given_up < 20, "the frames have 33 ms each"
    assert shown == list(range(given_up + 1, 60))


def test_it_begins_anew_with_the_next_packet() -> None:
    buffer = PromptVideo()
    given(buffer, packet(0, 0, marker=1), packet(2, 6000, marker=1))
    buffer.restart()
    assert list(buffer.rest()) == []
    assert given(buffer, packet(500, 90_000, marker=1)) == [bytes([500 % 256])]


def test_a_packet_from_before_the_new_beginning_turns_no_time_back() -> None:
    buffer = PromptVideo()
    given(buffer, packet(0, 0, marker=1), packet(1, 3000, marker=1))
    buffer.restart()
    later = given(buffer, packet(1, 3000, marker=1), packet(2, 6000, marker=1), packet(3, 9000, marker=1))
    assert later == [b"\x02", b"\x03"]
