"""WHIP and WHEP: an encoder sends to a room, a player receives its view."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.control import Control
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import Lag, Snapshot, SpeakingState
from speakerlight.rings import FrameRing
from speakerlight.server.ice_settings import IceSettings, parse_ice_server
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server import Server
from tests.stream.server.browser import Browser, Hum, MadeFrames, metric
from tests.stream.server.conftest import STAND_INS, Serve

TOKEN = "correct horse battery"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


def talk(server: Server, work: Callable[[aiohttp.ClientSession], Awaitable[None]], token: str | None = None) -> None:
    async def play() -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = f"http://127.0.0.1:{server.port}"
        async with asyncio.timeout(40.0), aiohttp.ClientSession(base, headers=headers) as session:
            await work(session)

    asyncio.run(play())


class Client:
    """An encoder or a player: one connection and what its POST answered."""

    def __init__(self, session: aiohttp.ClientSession, path: str) -> None:
        self.session, self.path = session, path
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.video: list[VideoFrame] = []
        self.audio: list[AudioFrame] = []
        self.ended = 0
        self._readers: list[asyncio.Task[None]] = []
        self.connection.on("track", self._read)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def post(self, *, is_trickled: bool = False) -> str:
        """Offer and apply the answer; the candidates, which the offer omits when they are trickled."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription.sdp
        lines = offer.splitlines()
        candidates = [line for line in lines if line.startswith(("a=candidate", "a=end-of"))]
        if is_trickled:
            offer = "\r\n".join(line for line in lines if line not in candidates) + "\r\n"
        self.response = await self.session.post(self.path, data=offer, headers=SDP)
        assert self.response.status == 201, await self.response.text()
        assert self.response.content_type == "application/sdp"
        answer = RTCSessionDescription(await self.response.text(), "answer")
        await self.connection.setRemoteDescription(answer)
        name = next(line for line in lines if line.startswith("a=ice-ufrag"))
        return "\r\n".join([name, *dict.fromkeys(candidates)])

    @property
    def location(self) -> str:
        return self.response.headers["Location"]

    @property
    def tag(self) -> str:
        return self.response.headers["ETag"]

    def _read(self, track: MediaStreamTrack) -> None:
        async def read() -> None:
            with suppress(MediaStreamError):
                while True:
                    frame = await track.recv()
                    if isinstance(frame, VideoFrame):
                        self.video.append(frame)
                    elif isinstance(frame, AudioFrame):
                        self.audio.append(frame)
            self.ended += 1

        self._readers.append(asyncio.create_task(read()))


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def scores(session: aiohttp.ClientSession, room: str, count: int = 5) -> list[dict[str, object]]:
    """Events of a room until so many ticks are scored."""
    events = []
    async with session.ws_connect(f"/events?room={room}") as socket:
        async for message in socket:
            events.append(message.json())
            if sum(event["type"] == "scores" for event in events) >= count:
                return events
    raise AssertionError(f"the room ended: {events[-1]}")


@pytest.mark.parametrize("is_trickled", [False, True])
def test_an_encoder_sends_to_a_room_of_its_name(serve: Serve, is_trickled: bool) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with Client(session, "/whip?room=studio") as encoder:
            for track in (MadeFrames(), Hum()):
                encoder.connection.addTrack(track)
            candidates = await encoder.post(is_trickled=is_trickled)
            assert encoder.location.startswith("/whip/") and encoder.tag.strip('"')
            if is_trickled:
                headers = FRAGMENT | {"If-Match": encoder.tag}
                patched = await session.patch(encoder.location, data=candidates, headers=headers)
                assert patched.status == 204, await patched.text()
            events = await scores(session, "studio")
            assert events[0]["type"] == "session" and events[0]["audio"] == "browser"
            assert (await session.delete(encoder.location)).status == 200
            assert (await session.delete(encoder.location)).status == 404
        async with asyncio.timeout(10.0):
            while await metric(f"http://127.0.0.1:{server.port}", "rooms"):
                await asyncio.sleep(0.1)

    server = serve()
    talk(server, work)


def test_the_token_is_needed_and_both_ends_get_the_same_servers(serve: Serve) -> None:
    ice = IceSettings((parse_ice_server("turn:ada:lovelace@127.0.0.1:9"), parse_ice_server("stun:127.0.0.1:9")))
    server = serve(token=TOKEN, ice=ice)

    async def refused(session: aiohttp.ClientSession) -> None:
        for path in ("/whip", "/whep"):
            assert (await session.post(path, data="v=0", headers=SDP)).status == 401

    async def work(session: aiohttp.ClientSession) -> None:
        async with Client(session, "/whip") as encoder:
            encoder.connection.addTrack(MadeFrames())
            await encoder.post()
            assert encoder.response.headers.getall("Link") == [
                '<turn:127.0.0.1:9?transport=udp>; rel="ice-server"; username="ada"; credential="lovelace"; '
                'credential-type="password"',
                '<stun:127.0.0.1:9>; rel="ice-server"',
            ]

    talk(server, refused)
    talk(server, work, TOKEN)


def test_what_is_not_in_order_gets_its_status(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async def status(method: str, path: str, data: str = "", **headers: str) -> int:
            response = await session.request(method, path, data=data, headers=headers or None)
            assert response.status < 400 or "error" in await response.json()
            return response.status

        assert (await session.options("/whip")).headers["Accept-Post"] == "application/sdp"
        assert await status("POST", "/whip", "v=0") == 415
        assert await status("POST", "/whip", "v=0", **SDP) == 400
        for name in ("local", "a b", "x" * 65, ""):
            assert await status("POST", f"/whip?room={name}", "v=0", **SDP) == 400
        assert await status("GET", "/whip") == 405
        assert await status("PATCH", "/whip/none", "", **FRAGMENT) == 404
        assert await status("DELETE", "/whip/none") == 404
        assert await status("POST", "/whep", "v=0", **SDP) == 404
        async with Client(session, "/whip?room=studio") as encoder:
            encoder.connection.addTrack(MadeFrames())
            fragment = await encoder.post()
            offer = encoder.connection.localDescription.sdp
            assert await status("POST", "/whip?room=studio", offer, **SDP) == 409
            assert await status("POST", "/whep?room=studio", "v=0", **SDP) == 400
            assert await status("PATCH", encoder.location, fragment) == 415
            assert await status("PATCH", encoder.location, fragment, **FRAGMENT) == 428
            for match, other, expected in (
                ('"other"', fragment, 412),
                ("*", fragment, 422),
                (encoder.tag, "a=ice-ufrag:another", 422),
                (encoder.tag, "a=candidate:nonsense", 400),
                (encoder.tag, "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * 80, 400),
                (encoder.tag, "a=end-of-candidates", 204),
            ):
                assert await status("PATCH", encoder.location, other, **FRAGMENT | {"If-Match": match}) == expected
            await scores(session, "studio")

    talk(serve(), work)


def test_a_player_receives_the_view_with_audio(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with (
            Browser(server.port, MadeFrames(brightness=150), Hum()) as browser,
            Client(session, f"/whep?room={browser.room}") as player,
        ):
            await browser.scored(3)
            for kind in ("video", "audio"):
                player.connection.addTransceiver(kind, "recvonly")
            await player.post()
            await until(lambda: len(player.video) >= 15 and len(player.audio) >= 30)
            frame = player.video[-1]
            assert (frame.width, frame.height) == (1280, 768)
            image = frame.to_ndarray(format="bgr24")
            assert abs(float(np.median(image)) - 150) < 12, "the room's frame"
            assert image[:, :200].std() > 5, "with marks on it"
            powers = [np.sqrt(np.mean(each.to_ndarray().astype(np.float64) ** 2)) for each in player.audio]
            # A sine's power, 3 dB of which the sending side takes when it makes two channels of one.
            assert max(powers) == pytest.approx(0.3 * 32767 / 2, rel=0.2)
            assert 0.03 < seconds(player.video) < 1.0, "25 frames a second, or fewer on a busy machine"
            assert (await session.delete(f"/rooms/{browser.room}")).status == 200
            await until(lambda: player.ended == 2 or player.connection.connectionState == "closed")

    server = serve()
    talk(server, work)


def test_a_player_receives_this_machines_own_run(lines: list[str]) -> None:
    ring, control = FrameRing(4), Control()
    image = np.full((96, 161, 3), 90, np.uint8)
    with listening(ServeSettings("127.0.0.1", 0)) as address:
        server = Server(address, STAND_INS, lines.append, local=control)
        server.show(ring, has_audio=True)

        async def work(session: aiohttp.ClientSession) -> None:
            async with Client(session, "/whep?room=local") as player:
                for kind in ("video", "audio"):
                    player.connection.addTransceiver(kind, "recvonly")
                await player.post()
                for tick in range(200):
                    ring.push(Frame(tick / 25, image))
                    for output in server.outputs:
                        output.audio(AudioChunk(tick / 25, np.zeros(640, np.float32)))
                        output.snapshot(Snapshot(tick, tick / 25, 0.0, (), SpeakingState.SILENCE, None, Lag(0.0, 0.0)))
                    await asyncio.sleep(0.04)
                    if len(player.video) > 5 and len(player.audio) > 5:
                        break
                assert (player.video[-1].width, player.video[-1].height) == (160, 96), "encoders halve both sides"
                assert len(player.audio) > 5

        with server:
            talk(server, work)
            for output in server.outputs:
                output.close()


def seconds(frames: list[VideoFrame]) -> float:
    """Mean distance of frames in time."""
    times = [frame.pts * (frame.time_base or Fraction(1, 90_000)) for frame in frames if frame.pts is not None]
    return float(times[-1] - times[0]) / (len(times) - 1)


def test_a_player_that_leaves_costs_nothing_more(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with Browser(server.port) as browser:
            await browser.scored(3)
            for _ in range(2):
                async with Client(session, "/whep") as player:
                    player.connection.addTransceiver("video", "recvonly")
                    await player.post()
                    await until(lambda player=player: len(player.video) >= 3)  # type: ignore[misc]
                    assert (await session.delete(player.location)).status == 200
                    assert (await session.delete(player.location)).status == 404
            await browser.scored(len(browser.of("scores")) + 10)

    server = serve()
    talk(server, work)


UPNP_STUB = """
void *gupnp_simple_igd_thread_new(void) { return 0; }
unsigned long gupnp_simple_igd_get_type(void) { return 0; }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
"""
"""Debian 12's whip-client brings libsoup 2 and, by way of libnice's UPnP, libsoup 3, and ends at once because of that.
With nothing in the place of UPnP, which it does not use, it runs."""


@pytest.fixture
def whip_environment(tmp_path: Path) -> dict[str, str]:
    for tool, package in (("whip-client", "simple-whip-client"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: Debian's {package}")
    library = tmp_path / "libgupnp-igd-1.0.so.4"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)], input=UPNP_STUB.encode(), check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(tmp_path), "GST_REGISTRY": str(tmp_path / "registry")}


@pytest.mark.parametrize("options", [("--no-trickle",), ()], ids=["whole", "trickled"])
def test_debians_whip_client(serve: Serve, whip_environment: dict[str, str], options: tuple[str, ...]) -> None:
    server = serve(token=TOKEN)
    video = (
        "videotestsrc is-live=true ! video/x-raw,width=320,height=192,framerate=25/1 ! vp8enc deadline=1 ! rtpvp8pay "
    )
    video += "pt=96 ssrc=2 ! queue ! application/x-rtp,media=video,encoding-name=VP8,payload=96"
    audio = "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=100 ssrc=1 ! queue ! "
    audio += "application/x-rtp,media=audio,encoding-name=OPUS,payload=100"
    line = ["whip-client", "-u", f"http://127.0.0.1:{server.port}/whip?room=studio", "-t", TOKEN, *options]
    process = subprocess.Popen(
        [*line, "-V", video, "-A", audio], env=whip_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    async def work(session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(20.0):
            while (await session.get("/events?room=studio")).status == 404:
                await asyncio.sleep(0.2)
        events = await scores(session, "studio", 25)
        assert events[0]["audio"] == "browser"

    try:
        talk(server, work, TOKEN)
    finally:
        process.terminate()
        output = process.communicate()[0].decode(errors="replace")
        print(output)
