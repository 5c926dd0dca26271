"""WebRTC peer: a client's video and audio into a source, a room's events out on its data channel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiortc import RTCDataChannel, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.codecs import get_capabilities

from speakerlight.core.errors import InputError
from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.client_address import IpAddress
from speakerlight.server.ice_settings import IceSettings
from speakerlight.server.relay import Outbox
from speakerlight.server.rtc.connection import PeerConnection
from speakerlight.server.rtc.ice_report import IceReport
from speakerlight.server.rtc.rtp_tap import RtpTap
from speakerlight.server.rtc.sdp import NOT_UNDERSTOOD, offered_kinds
from speakerlight.server.rtc.trickle import add_candidates
from speakerlight.server.rtc.udp_ports import PortsTakenError
from speakerlight.server.timeline import Kind

logger = logging.getLogger(__name__)

BUFFERED_BYTES = 16_384
"""Bytes buffered in the data channel, some 30 ticks; after that lines wait in the outbox, which drops the oldest."""

PACKET_MS = 40
"""Audio packet duration. 40 ms halves the packet count compared with 20 ms; video latency dominates anyway."""

CLOSE_SECONDS = 2.0
FLUSH_SECONDS = 0.5
"""How long a closing connection waits until its last events are sent."""


class Peer:
    """Belongs to the server's loop. ``connected`` and ``lost`` are called once each, ``message`` with each message.

    ``name`` identifies it in the log. ``client``: the address that its requests come from.
    """

    def __init__(
        self,
        name: str,
        ice: IceSettings,
        client: IpAddress | None,
        connected: Callable[[], None],
        lost: Callable[[], None],
        message: Callable[[str | bytes], list[str]],
    ) -> None:
        self._name = name
        self._connected, self._lost, self._message = connected, lost, message
        self._connection = PeerConnection(ice, client)
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("datachannel", self._channel_opened)
        self._source: BrowserSource | None = None
        self._channel: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        self._sending: asyncio.Task[None] | None = None
        self._opened = asyncio.get_running_loop().time()
        self._last_received = asyncio.get_running_loop().time()
        self.has_received = False
        self.was_connected = False

    @property
    def age_seconds(self) -> float:
        """Time since the client's offer."""
        return asyncio.get_running_loop().time() - self._opened

    @property
    def ice_report(self) -> IceReport | None:
        """The candidates on both sides; None before the offer."""
        return self._connection.ice.report if self._connection.ice is not None else None

    @property
    def silent_seconds(self) -> float:
        """Time since anything at all was received from the client."""
        return asyncio.get_running_loop().time() - self._last_received

    async def offered(self, sdp: str) -> bool:
        """Apply the client's offer; whether it has audio. Raises InputError for one that cannot be used."""
        kinds = offered_kinds(sdp)
        if kinds not in ([Kind.VIDEO], [Kind.AUDIO, Kind.VIDEO]):
            raise InputError("the offer needs one video stream, and at most one audio stream")
        if Kind.AUDIO in kinds:
            opus = [codec for codec in get_capabilities("audio").codecs if codec.name == "opus"]
            self._connection.addTransceiver("audio", "recvonly").setCodecPreferences(opus)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        except Exception as error:  # any other exception that aiortc raises for a malformed SDP
            raise InputError(NOT_UNDERSTOOD) from error
        return Kind.AUDIO in kinds

    async def answer(self, source: BrowserSource, outbox: Outbox) -> str:
        """The answer's SDP. Received media goes to ``source``, lines of ``outbox`` are sent.

        Raises InputError and PortsTakenError.
        """
        self._source = source
        self._sending = asyncio.create_task(_send_lines(self._channel, outbox))
        for receiver in self._receivers():
            kind = Kind(receiver.track.kind)
            decoded = source.push_video if kind is Kind.VIDEO else source.push_audio
            RtpTap(receiver, kind, self._arrived, self._reported, decoded)
        try:
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except PortsTakenError:
            raise
        except Exception as error:  # as above
            raise InputError(NOT_UNDERSTOOD) from error
        return _with_long_packets(self._connection.localDescription.sdp)

    async def trickle(self, fragment: str) -> None:
        """As ``add_candidates``."""
        await add_candidates(self._connection, fragment)

    async def close(self) -> None:
        """Send the last events, then end the connection and its threads. May be called more than once."""
        if self._sending is not None:
            if self._connection.connectionState == "connected":
                await asyncio.wait([self._sending], timeout=FLUSH_SECONDS)
            self._sending.cancel()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except Exception:  # an incomplete connection: its parts are stopped one by one
            await stop_parts(self._connection)

    def _note_received(self) -> None:
        self._opened = asyncio.get_running_loop().time()
        self._last_received = asyncio.get_running_loop().time()
        self.has_received = True

    def _receivers(self) -> list[RTCRtpReceiver]:
        """Receivers of the streams in the offer."""
        return [each.receiver for each in self._connection.getTransceivers() if each.receiver.track is not None]

    def _arrived(self, kind: Kind, stamp: float) -> None:
        self._note_received()
        if self._source is not None:
            self._source.packet_arrived(kind, stamp)

    def _reported(self, kind: Kind, stamp: float, sender_time: float) -> None:
        self._note_received()
        if self._source is not None:
            self._source.sender_report(kind, stamp, sender_time)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        logger.info("%s: WebRTC is %s", self._name, state)
        if state == "connected":
            self.was_connected = True
            self._connected()
        elif state in ("failed", "closed"):
            self._lost()

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if self._channel.done():
            channel.close()
            return
        self._channel.set_result(channel)
        channel.on("message", lambda text: self._answer_message(channel, text))

    def _answer_message(self, channel: RTCDataChannel, text: str | bytes) -> None:
        self._note_received()
        for reply in self._message(text):
            if channel.readyState == "open" and channel.bufferedAmount <= BUFFERED_BYTES:
                channel.send(reply)


def _with_long_packets(sdp: str) -> str:
    """The answer with ``a=ptime``, which aiortc cannot write: it requests audio packets of ``PACKET_MS``."""
    before, audio, after = sdp.partition("m=audio ")
    return before + audio + after.replace("a=", f"a=ptime:{PACKET_MS}\r\na=", 1)


async def stop_parts(connection: RTCPeerConnection) -> None:
    """Stop the existing parts of an incomplete connection."""
    streams: list[Any] = [*connection.getTransceivers(), connection.sctp]
    for stream in filter(None, streams):
        secure = getattr(stream, "receiver", stream).transport
        for part in (stream, secure, secure and secure.transport):
            with suppress(Exception):
                await part.stop()


async def _send_lines(opened: asyncio.Future[RTCDataChannel], outbox: Outbox) -> None:
    channel, room = await opened, asyncio.Event()
    channel.bufferedAmountLowThreshold = BUFFERED_BYTES // 2
    channel.on("bufferedamountlow", room.set)
    while lines := await outbox.take():
        for line in lines:
            if channel.readyState != "open":
                return
            channel.send(line)
        if channel.bufferedAmount > BUFFERED_BYTES:
            room.clear()
            await room.wait()
