"""A browser as the server sees it: an aiortc connection that sends made-up frames and audio and keeps the events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)

PICTURE_TICKS = 90_000
SOUND_RATE = 48_000
PACKET = SOUND_RATE // 50


class MadeFrames(MediaStreamTrack):
    """Grey of ``brightness`` at 25 a second, in real time. ``size``: width and height, which may change."""

    kind = "video"

    def __init__(self, brightness: int = 100, size: tuple[int, int] = (160, 96)) -> None:
        super().__init__()
        self.brightness, self.size = brightness, size
        self._number, self._begun = 0, 0.0

    async def recv(self) -> av.VideoFrame:
        await self._until(self._number / 25)
        width, height = self.size
        grey = np.full((height, width, 3), self.brightness, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self._number * PICTURE_TICKS // 25, Fraction(1, PICTURE_TICKS)
        self._number += 1
        return frame

    async def _until(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._begun = self._begun or now
        await asyncio.sleep(max(self._begun + seconds - now, 0))


class Hum(MediaStreamTrack):
    """A tone of ``loudness`` (full scale: 1) in real time."""

    kind = "audio"

    def __init__(self, loudness: float = 0.3) -> None:
        super().__init__()
        self.loudness = loudness
        self._number, self._begun = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        now = asyncio.get_running_loop().time()
        self._begun = self._begun or now
        await asyncio.sleep(max(self._begun + self._number / 50 - now, 0))
        phase = (np.arange(PACKET) + self._number * PACKET) * 440 * 2 * np.pi / SOUND_RATE
        wave = (self.loudness * 32767 * np.sin(phase)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = self._number * PACKET, Fraction(1, SOUND_RATE)
        self._number += 1
        return frame


class Browser:
    """One page. ``async with`` opens its room; ``events`` holds what came on the data channel, parsed."""

    def __init__(
        self,
        port: int,
        *tracks: MediaStreamTrack,
        token: str | None = None,
        host: str = "127.0.0.1",
        ice_servers: Sequence[RTCIceServer] = (),
        moved_from: str | None = None,
        long_side: int | None = None,
    ) -> None:
        self._fields = {"room": moved_from} | ({"long_side": long_side} if long_side else {})
        self.url = f"http://{host}:{port}"
        self.events: list[dict[str, Any]] = []
        self.room = ""
        self.answer: dict[str, Any] = {}
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self.channel: RTCDataChannel = self._connection.createDataChannel("events")
        self.channel.on("message", lambda text: self.events.append(json.loads(text)))
        for track in tracks or (MadeFrames(), Hum()):
            self._connection.addTrack(track)

    async def __aenter__(self) -> Browser:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        status, answer = await offered(self.url, self._connection.localDescription.sdp, self._headers, **self._fields)
        assert status == 200, answer
        self.room, self.answer = answer["room"], answer
        await self._connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type so far."""
        return [event for event in self.events if event["type"] == kind]

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait for ``condition``; fails when it takes too long."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    async def scored(self, count: int) -> None:
        """Wait until so many ticks were scored."""
        await self.until(lambda: len(self.of("scores")) >= count)

    def notify(self, **message: object) -> None:
        self.channel.send(json.dumps(message))

    @property
    def reached(self) -> tuple[str, int]:
        """The server's address in the pair of candidates that is used."""
        (transport,) = {sender.transport.transport for sender in self._connection.getSenders()}
        (pair,) = transport._connection._nominated.values()
        address: tuple[str, int] = pair.remote_addr
        return address

    @property
    def is_relayed(self) -> bool:
        """Whether this side's candidate is a TURN server's."""
        (transport,) = {sender.transport.transport for sender in self._connection.getSenders()}
        (pair,) = transport._connection._nominated.values()
        return bool(pair.local_candidate.type == "relay")

    def vanish(self) -> None:
        """As when its process is killed: nothing more is sent, and nothing is said about it."""
        for transport in {sender.transport.transport for sender in self._connection.getSenders()}:
            for protocol in transport._connection._protocols:
                protocol.transport.abort()


async def offered(
    url: str, sdp: object, headers: dict[str, str] | None = None, **fields: object
) -> tuple[int, dict[str, Any]]:
    """Status and answer of an offer. ``fields``: those beside the SDP."""
    async with aiohttp.ClientSession(headers=headers) as session:
        response = await session.post(f"{url}/offer", json={"type": "offer", "sdp": sdp, **fields})
        return response.status, await response.json()


async def metric(url: str, name: str) -> float:
    """A number from /metrics."""
    async with aiohttp.ClientSession() as session:
        text = await (await session.get(f"{url}/metrics")).text()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"speakerlight_{name} "))
