"""One browser's WebRTC connection: its picture and sound into a source, a room's events out on its data channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.codecs import get_capabilities
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from speakerlight.core.errors import InputError
from speakerlight.server.relay import Outbox
from speakerlight.server.rtp import RtpTap
from speakerlight.server.source import BrowserSource
from speakerlight.server.timeline import Kind

BUFFERED_BYTES = 16_384
"""What may wait in the data channel before its outbox, which drops the oldest, has to wait instead: 30 ticks or so."""

MOST_CANDIDATES = 64
"""A machine with ten addresses has fewer for picture, sound and events together."""

PACKET_MS = 40
"""Of sound in one packet: half as many to read as with the usual 20; the picture takes longer to come all the same."""

NOT_UNDERSTOOD = "the offer's SDP is not understood"

CLOSE_SECONDS = 2.0
FLUSH_SECONDS = 0.5
"""How long a closing connection waits for its last events to go out."""


class Peer:
    """Belongs to the server's loop. ``connected`` and ``lost`` are called once each, ``message`` with each text."""

    def __init__(
        self, connected: Callable[[], None], lost: Callable[[], None], message: Callable[[str | bytes], list[str]]
    ) -> None:
        self._connected, self._lost, self._message = connected, lost, message
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("datachannel", self._channel_opened)
        self._source: BrowserSource | None = None
        self._channel: asyncio.Future[RTCDataChannel] = asyncio.get_running_loop().create_future()
        self._sending: asyncio.Task[None] | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._heard = asyncio.get_running_loop().time()
        self.was_heard = False
        self.was_connected = False

    @property
    def silent_seconds(self) -> float:
        """How long nothing at all has come from the browser."""
        return asyncio.get_running_loop().time() - self._heard

    async def offered(self, sdp: str) -> bool:
        """Take the browser's offer; whether there is sound in it. Raises InputError for one that is of no use."""
        kinds = _offered_kinds(sdp)
        if kinds not in ([Kind.VIDEO], [Kind.AUDIO, Kind.VIDEO]):
            raise InputError("the offer needs one picture, and at most one sound")
        if Kind.AUDIO in kinds:
            opus = [codec for codec in get_capabilities("audio").codecs if codec.name == "opus"]
            self._connection.addTransceiver("audio", "recvonly").setCodecPreferences(opus)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        except Exception as error:  # whatever else an SDP can do to aiortc
            raise InputError(NOT_UNDERSTOOD) from error
        return Kind.AUDIO in kinds

    async def answer(self, source: BrowserSource, outbox: Outbox) -> str:
        """The answer's SDP. What comes goes to ``source``, what is in ``outbox`` goes out."""
        self._source = source
        self._sending = asyncio.create_task(_sent(self._channel, outbox))
        for receiver in self._receivers():
            RtpTap(receiver, Kind(receiver.track.kind), self._arrived, self._reported)
            self._pumps.append(asyncio.create_task(_pumped(receiver.track, source)))
        try:
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # as above
            raise InputError(NOT_UNDERSTOOD) from error
        return _with_long_packets(self._connection.localDescription.sdp)

    async def close(self) -> None:
        """Let the last events out, then end the connection and its threads. May be called more than once."""
        if self._sending is not None:
            if self._connection.connectionState == "connected":
                await asyncio.wait([self._sending], timeout=FLUSH_SECONDS)
            self._sending.cancel()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except Exception:  # a connection that was refused half made: what there is of it is ended one by one
            await _ended(self._connection)
        for pump in self._pumps:
            pump.cancel()

    def _note_heard(self) -> None:
        self._heard = asyncio.get_running_loop().time()
        self.was_heard = True

    def _receivers(self) -> list[RTCRtpReceiver]:
        """Those of the streams in the offer."""
        return [each.receiver for each in self._connection.getTransceivers() if each.receiver.track is not None]

    def _arrived(self, kind: Kind, stamp: float) -> None:
        self._note_heard()
        if self._source is not None:
            self._source.arrived(kind, stamp)

    def _reported(self, kind: Kind, stamp: float, sender_time: float) -> None:
        self._note_heard()
        if self._source is not None:
            self._source.reported(kind, stamp, sender_time)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
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
        self._note_heard()
        for reply in self._message(text):
            if channel.readyState == "open" and channel.bufferedAmount <= BUFFERED_BYTES:
                channel.send(reply)


def _offered_kinds(sdp: str) -> list[str]:
    """The media that the browser would send, sorted; raises InputError."""
    try:
        media = SessionDescription.parse(sdp).media
    except Exception as error:  # whatever an SDP can do to aiortc's parser
        raise InputError(NOT_UNDERSTOOD) from error
    if sum(len(each.ice_candidates) for each in media) > MOST_CANDIDATES:
        raise InputError(f"the offer has more than {MOST_CANDIDATES} candidates")
    return sorted(each.kind for each in media if each.kind != "application")


def _with_long_packets(sdp: str) -> str:
    """An answer that asks for sound in packets of ``PACKET_MS``, which aiortc has no way to say."""
    before, audio, after = sdp.partition("m=audio ")
    return before + audio + after.replace("a=", f"a=ptime:{PACKET_MS}\r\na=", 1)


async def _ended(connection: RTCPeerConnection) -> None:
    streams: list[Any] = [*connection.getTransceivers(), connection.sctp]
    for stream in filter(None, streams):
        secure = getattr(stream, "receiver", stream).transport
        for part in (stream, secure, secure and secure.transport):
            with suppress(Exception):
                await part.stop()


async def _pumped(track: MediaStreamTrack, source: BrowserSource) -> None:
    """aiortc keeps what nobody takes: it is taken as it comes, and the source leaves out what is too much."""
    try:
        while True:
            frame = await track.recv()
            if isinstance(frame, VideoFrame):
                source.show(frame)
            elif isinstance(frame, AudioFrame):
                source.play(frame)
    except MediaStreamError:
        return


async def _sent(opened: asyncio.Future[RTCDataChannel], outbox: Outbox) -> None:
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
