"""Listening in on aiortc: stamps that fit its frames, reports, and a decoder that never works on the past."""

from __future__ import annotations

import asyncio
import queue
import threading
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpCodecParameters
from aiortc.codecs import get_encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket, RtpPacket

from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.rtc.jitter import WRAP
from speakerlight.server.rtc.rtp_tap import MAX_UNDECODED, MIN_BITS_PER_SECOND, RtpTap
from speakerlight.server.timeline import Kind
from tests.stream.server.browser import Browser, Hum
from tests.stream.server.conftest import Serve

SSRC = 5
CODEC = SimpleNamespace(name="VP8")
VP8 = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)
OPUS = RTCRtpCodecParameters("audio/opus", 48_000, 2, payloadType=96)


class Receiver:
    """Has what aiortc's receiver has under the names that the tap uses."""

    def __init__(self) -> None:
        self.mapper = SimpleNamespace(_origin=None, map=lambda time: time)
        self.losses = SimpleNamespace(max_seq=7, missing={5})
        self.packets: list[RtpPacket] = []
        self.reports: list[object] = []
        self.asked: list[int] = []
        vars(self)["_RTCRtpReceiver__timestamp_mapper"] = self.mapper
        vars(self)["_RTCRtpReceiver__nack_generator"] = self.losses
        vars(self)["_RTCRtpReceiver__decoder_queue"] = queue.Queue()
        vars(self)["_RTCRtpReceiver__decoder_error"] = self.failed = threading.Event()
        vars(self)["_RTCRtpReceiver__remote_bitrate_estimator"] = self.bandwidth = Mock()

    @property
    def undecoded(self) -> queue.Queue[object]:
        waiting: queue.Queue[object] = vars(self)["_RTCRtpReceiver__decoder_queue"]
        return waiting

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self.packets.append(packet)

    async def _handle_rtcp_packet(self, packet: object) -> None:
        self.reports.append(packet)

    async def _send_rtcp_pli(self, ssrc: int) -> None:
        self.asked.append(ssrc)


class Tapped:
    """A receiver with a tap, and the calls that the tap made."""

    def __init__(self, kind: Kind = Kind.VIDEO) -> None:
        self.receiver: Any = Receiver()
        self.arrived: list[float] = []
        self.reported: list[tuple[float, float]] = []
        self.decoded: list[Any] = []
        RtpTap(
            cast(Any, self.receiver),
            kind,
            lambda _, stamp: self.arrived.append(stamp),
            lambda _, stamp, sender_time: self.reported.append((stamp, sender_time)),
            self.decoded.append,
        )

    def packet(self, time: int) -> None:
        asyncio.run(self.receiver._handle_rtp_packet(RtpPacket(timestamp=time, ssrc=SSRC), arrival_time_ms=0))

    def report(self, time: int, ntp: int) -> None:
        info = RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=time, packet_count=1, octet_count=1)
        asyncio.run(self.receiver._handle_rtcp_packet(RtcpSrPacket(ssrc=SSRC, sender_info=info)))


def test_stamps_count_from_the_first_frame_and_do_not_wrap_around() -> None:
    tapped = Tapped()
    tapped.packet(WRAP - 90_000)
    assert tapped.arrived == [], "before the first frame its origin is not known"
    tapped.receiver.mapper._origin = WRAP - 90_000
    for time in (WRAP - 90_000, WRAP - 45_000, 45_000, 0, 90_000):
        tapped.packet(time)
    assert tapped.arrived == [0.0, 0.5, 1.5, 1.0, 2.0]
    assert len(tapped.receiver.packets) == 6


def test_reports_are_handed_on_in_seconds() -> None:
    tapped = Tapped(Kind.AUDIO)
    tapped.receiver.mapper._origin = 1000
    tapped.report(1000 + 48_000, ntp=(77 << 32) + (1 << 31))
    assert tapped.reported == [(1.0, 77.5)]
    assert len(tapped.receiver.reports) == 1


def test_when_decoding_falls_behind_frames_are_dropped_until_it_has_caught_up() -> None:
    tapped = Tapped()
    receiver = tapped.receiver
    for _ in range(MAX_UNDECODED + 1):
        receiver.undecoded.put((CODEC, JitterFrame(b"", 0)))
    tapped.packet(0)
    receiver.undecoded.get_nowait()
    tapped.packet(3000)
    assert receiver.packets == [] and receiver.asked == []
    while not receiver.undecoded.empty():
        receiver.undecoded.get_nowait()
    tapped.packet(6000)
    tapped.packet(9000)
    assert len(receiver.packets) == 2 and receiver.asked == [SSRC]
    assert receiver.losses.max_seq is None and not receiver.losses.missing, "what was left out is not asked for"


def test_frames_that_become_whole_at_once_are_decoded_at_once() -> None:
    receiver = Tapped().receiver
    frames = vars(receiver)["_RTCRtpReceiver__jitter_buffer"]
    for number in (0, 2, 3, 1):
        packet = RtpPacket(sequence_number=number, timestamp=3000 * number, marker=1)
        packet._data = bytes([number])  # type: ignore[attr-defined]
        _, frame = frames.add(packet)
        if frame is not None:
            receiver.undecoded.put((CODEC, frame))
    waiting = [receiver.undecoded.get_nowait() for _ in range(receiver.undecoded.qsize())]
    assert [(frame.data, frame.timestamp) for _, frame in waiting] == [(bytes([n]), 3000 * n) for n in range(4)]


def test_frames_that_are_too_large_are_not_decoded() -> None:
    def key_frame(width: int, height: int) -> JitterFrame:
        sides = width.to_bytes(2, "little") + height.to_bytes(2, "little")
        return JitterFrame(b"\x10\x00\x00\x9d\x01\x2a" + sides, 0)

    receiver = Tapped().receiver
    inter_frame = JitterFrame(b"\x11\x00\x00", 0)
    for frame in (key_frame(4096, 2304), inter_frame, key_frame(16_000, 16_000), inter_frame, key_frame(64, 64)):
        receiver.undecoded.put((CODEC, frame))
    sizes = [len(receiver.undecoded.get_nowait()[1].data) for _ in range(receiver.undecoded.qsize())]
    assert sizes == [10, 3, 10], "neither the large one nor what builds on it"


def test_packets_that_are_read_late_are_no_narrow_network() -> None:
    receiver = Tapped().receiver
    estimator = vars(receiver)["_RTCRtpReceiver__remote_bitrate_estimator"]
    packet = {"abs_send_time": 1, "arrival_time_ms": 2, "payload_size": 1000, "ssrc": SSRC}
    for estimate, lines in (
        ((2_000, [SSRC]), (MIN_BITS_PER_SECOND, [SSRC])),
        ((2_000_000, [SSRC]), (2_000_000, [SSRC])),
        (None, None),
    ):
        receiver.bandwidth.add.return_value = estimate
        assert estimator.add(**packet) == lines
        receiver.bandwidth.add.assert_called_with(**packet)


def test_audio_is_decoded_at_once_and_a_damaged_packet_ends_nothing() -> None:
    tapped = Tapped(Kind.AUDIO)
    encoder, hum = get_encoder(OPUS), Hum()
    packets = [packet for _ in range(5) for packet in encoder.encode(asyncio.run(hum.recv()))[0]]
    packets.insert(2, b"\xff" * 3)
    for number, packet in enumerate(packets):
        tapped.receiver.undecoded.put((OPUS, JitterFrame(packet, number * 960)))
    assert len(tapped.decoded) >= 5 and tapped.receiver.undecoded.empty()
    assert tapped.decoded[-1].pts == (len(packets) - 1) * 960 and tapped.decoded[-1].sample_rate == 48_000
    tapped.receiver.undecoded.put(None)
    assert tapped.receiver.undecoded.get_nowait() is None, "the end reaches aiortc's thread"


def test_video_is_decoded_in_the_thread_that_gets_it_and_damage_requests_a_key_frame() -> None:
    tapped = Tapped()
    for number, data in enumerate([b"damaged", *vp8(3)]):
        tapped.receiver.undecoded.put((VP8, JitterFrame(data, 3000 * number)))
    tapped.receiver.undecoded.put(None)
    assert tapped.receiver.undecoded.get() is None, "the end reaches aiortc's thread"
    assert [frame.pts for frame in tapped.decoded] == [3000, 6000, 9000]
    assert tapped.receiver.failed.is_set()


def vp8(count: int) -> list[bytes]:
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", Fraction(1, 25)
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 40 * number, np.uint8), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in packets]


@pytest.mark.parametrize("kind", list(Kind))
def test_aiortc_still_has_what_is_listened_in_on(kind: Kind) -> None:
    async def play() -> None:
        connection = RTCPeerConnection()
        receiver = connection.addTransceiver(kind.value, "recvonly").receiver
        RtpTap(receiver, kind, lambda *_: None, lambda *_: None, lambda _: None)
        for name in (
            "jitter_buffer",
            "timestamp_mapper",
            "decoder_queue",
            "decoder_error",
            "nack_generator",
            "remote_bitrate_estimator",
        ):
            assert f"_RTCRtpReceiver__{name}" in vars(receiver)
        await connection.close()

    asyncio.run(play())


def test_a_real_connection_is_listened_in_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, set[Kind]] = {"packet_arrived": set(), "sender_report": set()}
    for name, kinds in received.items():
        tell = getattr(BrowserSource, name)

        def noted(self: Any, kind: Kind, *rest: Any, kinds: Any = kinds, tell: Any = tell) -> None:
            kinds.add(kind)
            tell(self, kind, *rest)

        monkeypatch.setattr(BrowserSource, name, noted)

    async def play(port: int) -> None:
        async with Browser(port) as browser:
            await browser.until(lambda: all(kinds == set(Kind) for kinds in received.values()))

    asyncio.run(play(serve().port))
