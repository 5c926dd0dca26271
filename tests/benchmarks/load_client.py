"""Clients of the load test: aiortc connections that replay an encoded recording into rooms, without browsers.

``python -m tests.benchmarks.load_client URL RECORDING ROOMS FIRST``: prints ``ready`` once every room is scored. Each
line on standard input, ``BEGIN END`` in seconds of the monotonic clock, gets one line of JSON about the events that
arrived in between; the end of the input ends the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from tests.benchmarks.load_recording import AUDIO_CLOCK, VIDEO_CLOCK, Encoded, Recording, read

PING_SECONDS = 0.5
READY_SECONDS = 40.0


class Replay(MediaStreamTrack):
    """Encoded packets in real time, repeated, from ``begun`` on (seconds of the monotonic clock)."""

    def __init__(self, kind: str, packets: tuple[Encoded, ...], seconds: float, begun: float) -> None:
        self.kind = kind
        super().__init__()
        self._packets, self._seconds, self._begun = packets, seconds, begun
        self._clock = VIDEO_CLOCK if kind == "video" else AUDIO_CLOCK
        self._number = 0

    async def recv(self) -> Any:
        turn, index = divmod(self._number, len(self._packets))
        self._number += 1
        moment = turn * self._seconds + self._packets[index].seconds
        await asyncio.sleep(max(self._begun + moment - time.monotonic(), 0))
        packet = av.Packet(self._packets[index].data)
        packet.pts, packet.time_base = round(moment * self._clock), Fraction(1, self._clock)
        return packet


def loopback(number: int) -> str:
    """The loopback address of a client: limits are per address."""
    return f"127.0.{1 + number // 200}.{1 + number % 200}"


class Room:
    """One client. ``received``: arrival of each line, in seconds of the monotonic clock, and the line."""

    def __init__(self, url: str, recording: Recording, number: int) -> None:
        self._url, self._recording, self._number = url, recording, number
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._connection.createDataChannel("events")
        self._channel.on("message", lambda text: self.received.append((time.monotonic(), text)))
        self._begun = 0.0
        self.received: list[tuple[float, str]] = []

    @property
    def is_scored(self) -> bool:
        return any('"type":"scores"' in text for _, text in self.received)

    async def open(self) -> None:
        """Connect, and replay from now on."""
        self._begun = time.monotonic()
        for kind, packets in (("audio", self._recording.audio), ("video", self._recording.video)):
            self._connection.addTrack(Replay(kind, packets, self._recording.seconds, self._begun))
        for transceiver in self._connection.getTransceivers():
            transceiver.direction = "sendonly"
        await self._connection.setLocalDescription(await self._connection.createOffer())
        body = {"type": "offer", "sdp": self._connection.localDescription.sdp, "long_side": max(self._recording.size)}
        connector = aiohttp.TCPConnector(local_addr=(loopback(self._number), 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            response = await session.post(f"{self._url}/offer", json=body)
            answer = await response.json()
        if response.status != 200:
            raise ConnectionError(f"offer refused: {response.status} {answer.get('error')}")
        await self._connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    async def ping(self) -> None:
        """Ask for the session's time at intervals."""
        while True:
            await asyncio.sleep(PING_SECONDS)
            if self._channel.readyState == "open":
                self._channel.send(json.dumps({"type": "ping", "sent": time.monotonic()}))

    async def close(self) -> None:
        await self._connection.close()

    def report(self, begin: float, end: float) -> dict[str, Any]:
        """Delays of ``scores`` in seconds, identity, load level and packets of what arrived from ``begin`` to
        ``end``."""
        events = [(arrival, json.loads(text)) for arrival, text in self.received if arrival < end]
        pongs = [(arrival - event["sent"], event) for arrival, event in events if event["type"] == "pong"]
        if not pongs:
            return {"delays": [], "identity": None, "level": 0}
        trip, best = min(pongs, key=lambda pong: pong[0])
        offset = best["sent"] + trip / 2 - best["time"]  # from session time to the monotonic clock
        judge, who, level, delays, across = self._recording.judge(), None, 0, [], 1.0
        for arrival, event in events:
            if event["type"] == "picture":
                across = self._recording.size[0] / event["width"]
            elif event["type"] == "speaker":
                who = event["id"] if event["state"] == "speaking" else None
            elif event["type"] == "load":
                level = max(level, event["level"]) if arrival >= begin else event["level"]
            elif event["type"] == "scores" and arrival >= begin:
                captured = event["time"] + offset
                delays.append(arrival - captured)
                box = next((face["box"] for face in event["faces"] if face["id"] == who), None)
                centre = (across * (box[0] + box[2] / 2), across * (box[1] + box[3] / 2)) if box else None
                judge.count((captured - self._begun) % self._recording.seconds, who is not None, centre)
        return {"delays": delays, "identity": judge.verdict().identity, "level": level}


async def play(url: str, recording: Recording, count: int, first: int) -> None:
    rooms = [Room(url, recording, first + number) for number in range(count)]
    for room in rooms:
        await room.open()
    pings = [asyncio.create_task(room.ping()) for room in rooms]
    async with asyncio.timeout(READY_SECONDS):
        while not all(room.is_scored for room in rooms):
            await asyncio.sleep(0.1)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        begin, end = map(float, line.split())
        print(json.dumps([room.report(begin, end) for room in rooms]), flush=True)
    for ping in pings:
        ping.cancel()
    await asyncio.gather(*(room.close() for room in rooms))


def percentile(delays: list[float], share: float) -> float:
    """Quantile ``share`` of delays in seconds; infinite without delays."""
    return float(np.quantile(delays, share)) if delays else float("inf")


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1], read(Path(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])))
