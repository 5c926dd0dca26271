"""Rooms: each browser gets its own truth, and nothing is left of one that has gone."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import aiohttp
import numpy as np
import numpy.typing as npt
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from speakerlight.control import Control
from speakerlight.core.events import LoadEvent
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import Image
from speakerlight.core.people.face_encoder import FaceEncoder
from speakerlight.core.people.recognition import FaceRecognizer
from speakerlight.engine import Engine
from speakerlight.model_future import LoadFuture
from speakerlight.people_encoders import LoadingRecognizer
from speakerlight.server import rooms
from speakerlight.server.client_address import parse_network
from tests.stream.server.browser import Browser, Hum, MadeFrames, metric, offered
from tests.stream.server.conftest import STAND_INS, Serve
from tests.stream.standin import StandInVision, stand_in

GRACE_SECONDS = 10.0
"""A browser that vanishes is gone from the metrics by then."""


def width_of(browser: Browser) -> float:
    """The stand-in's face is as wide as the frame is bright."""
    return float(np.median([event["faces"][0]["box"][2] for event in browser.of("scores")[-10:]]))


@pytest.mark.parametrize("count", [2, 4])
def test_browsers_at_once_get_their_own_truth(serve: Serve, lines: list[str], count: int) -> None:
    async def watched(port: int, number: int) -> None:
        brightness, loudness = 60 + 40 * number, 0.3 * (number % 2)
        async with Browser(port, MadeFrames(brightness), Hum(loudness)) as browser:
            await browser.scored(40)
            assert width_of(browser) == pytest.approx(brightness + 1, abs=8)
            assert browser.of("scores")[-1]["faces"][0]["speaking"] == (number % 2 == 1)
            assert browser.of("session")[0]["video"] == "browser"
            assert [(event["width"], event["height"]) for event in browser.of("picture")] == [(1280, 768)]
            times = [event["time"] for event in browser.of("scores")]
            assert times == sorted(times)

    async def all_at_once(port: int) -> None:
        await asyncio.gather(*(watched(port, number) for number in range(count)))

    asyncio.run(all_at_once(serve().port))
    assert not lines


def test_a_newcomer_sheds_what_the_busiest_room_does(serve: Serve) -> None:
    server = serve(local=True)
    for output in server.outputs:
        output.event(LoadEvent(1.0, 2, 0, 0))

    async def play(port: int) -> None:
        async with Browser(port, MadeFrames()) as browser:
            await browser.scored(3)
            assert browser.of("load")[0]["level"] == 2

    asyncio.run(play(server.port))


def test_a_browser_without_audio_has_a_room_too(serve: Serve) -> None:
    async def play(port: int) -> None:
        async with Browser(port, MadeFrames()) as browser:
            await browser.scored(10)
            assert browser.of("session")[0]["audio"] is None

    asyncio.run(play(serve().port))


def test_names_and_pins_come_back(serve: Serve) -> None:
    async def play(port: int) -> None:
        async with Browser(port) as browser:
            await browser.scored(1)
            browser.notify(type="name", id=3, name="Ada")
            browser.notify(type="pin", id=3)
            browser.notify(type="ping", sent=12.5)
            await browser.until(lambda: browser.of("pong") and browser.of("names") and browser.of("pinned"))
            assert browser.of("names")[-1]["names"] == {"3": "Ada"}
            assert browser.of("pinned")[-1]["id"] == 3
            pong = browser.of("pong")[-1]
            assert pong["sent"] == 12.5 and pong["time"] >= browser.of("scores")[0]["time"]

    asyncio.run(play(serve().port))


class _Recognizing:
    """The stand-in's vision, which recognizes its face as a person."""

    def __init__(self, control: Control) -> None:
        def encode(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return np.full((len(crops), 128), 0.05, np.float32)

        loading = LoadFuture(lambda: cast(FaceEncoder, encode))
        self._recognizer = LoadingRecognizer(FaceRecognizer(encode), loading, lambda: control.state.resets)
        self._vision = StandInVision()

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
        seen = self._vision.process(tick, time, image, stride)
        identities = self._recognizer.identify(time, image, seen.faces)
        faces = tuple(replace(face, id=identities.persons[face.id]) for face in seen.faces)
        return replace(seen, faces=faces, identities=identities)


def test_a_reset_in_a_room_reaches_its_people_and_every_client(serve: Serve) -> None:
    @contextmanager
    def recognizing(has_audio: bool, control: Control) -> Iterator[Engine]:
        yield replace(stand_in(has_audio), vision=_Recognizing(control), control=control)

    def people(browser: Browser) -> set[int]:
        return {face["id"] for event in browser.of("scores")[-3:] for face in event["faces"]}

    async def play(port: int) -> None:
        async with Browser(port) as browser, aiohttp.ClientSession() as session:
            await browser.scored(10)
            assert people(browser) == {1}
            browser.notify(type="name", id=1, name="Ada")
            await browser.until(lambda: browser.of("names"))
            async with session.ws_connect(f"{browser.url}/control?room={browser.room}") as other:
                await other.send_json({"type": "reset"})
                await browser.until(lambda: people(browser) == {2})
                assert browser.of("names")[-1]["names"] == {}
                assert browser.of("control")[-1]["command"] == {"type": "reset"}
                assert browser.of("person")[-1] | {"time": 0} == {"type": "person", "time": 0, "id": 2, "name": None}

    asyncio.run(play(serve(engines=replace(STAND_INS, open=recognizing)).port))


def test_a_browser_that_vanishes_is_gone_within_seconds(serve: Serve) -> None:
    async def play(port: int) -> None:
        async with Browser(port) as browser:
            await browser.scored(5)
            assert await metric(browser.url, "rooms") == 1 and await metric(browser.url, "faces") == 1
            threads = threading.active_count()
            browser.vanish()
            async with asyncio.timeout(GRACE_SECONDS):
                while await metric(browser.url, "rooms"):
                    await asyncio.sleep(0.2)
            assert await metric(browser.url, "faces") == 0
            assert threading.active_count() <= threads - 5

    asyncio.run(play(serve().port))


def test_a_page_that_is_reloaded_gets_a_new_room(serve: Serve) -> None:
    async def play(port: int) -> None:
        names = []
        for _ in range(2):
            async with Browser(port) as browser, aiohttp.ClientSession() as session:
                await browser.scored(3)
                names.append(browser.room)
                assert (await session.delete(f"{browser.url}/rooms/{browser.room}")).status == 200
                await browser.until(lambda: browser.of("summary"))
        assert names[0] != names[1]

    asyncio.run(play(serve().port))


def test_a_full_server_refuses_with_the_reason(serve: Serve) -> None:
    async def play(port: int) -> None:
        async with Browser(port) as first:
            await first.scored(1)
            status, answer = await offered(first.url, "v=0")
            assert status == 503 and "all rooms are taken" in answer["error"]
            await first.scored(5)

    asyncio.run(play(serve(rooms=1).port))


def test_a_burst_fills_the_server_and_the_rest_is_refused(serve: Serve) -> None:
    """50 offers of different clients at once, before any of them connects; the room that runs goes on."""
    sdp = unconnected_offer()

    async def play(port: int) -> None:
        async with Browser(port) as running:
            await running.scored(3)
            clients = ({"X-Forwarded-For": f"192.0.2.{number}"} for number in range(50))
            answers = await asyncio.gather(*(offered(running.url, sdp, client) for client in clients))
            statuses = Counter(status for status, _ in answers)
            assert statuses == {200: 15, 503: 35}
            assert all("all rooms are taken" in answer["error"] for status, answer in answers if status == 503)
            await running.scored(len(running.of("scores")) + 20)

    asyncio.run(play(serve(rooms=16, trusted_proxies=(parse_network("127.0.0.1"),)).port))


def unconnected_offer() -> str:
    """An offer whose client never answers."""

    async def made() -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.createDataChannel("events")
        connection.addTransceiver("video", "sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        await connection.close()
        return sdp

    return asyncio.run(made())


def test_a_client_may_hold_few_rooms_that_do_not_connect(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "CONNECTING_WAIT_SECONDS", 0.2)
    sdp = unconnected_offer()

    async def play(port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        statuses = [(await offered(url, sdp))[0] for _ in range(rooms.CLIENT_CONNECTING + 1)]
        assert statuses == [200] * rooms.CLIENT_CONNECTING + [429]
        status, _ = await offered(url, sdp, {"X-Forwarded-For": "192.0.2.7"})
        assert status == 200, "others are not kept out"

    asyncio.run(play(serve(trusted_proxies=(parse_network("127.0.0.1"),)).port))


def test_a_client_may_hold_so_many_rooms(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "CLIENT_ROOMS", 1)
    sdp = unconnected_offer()

    async def play(port: int) -> None:
        url, there = f"http://127.0.0.1:{port}", {"X-Forwarded-For": "192.0.2.7"}
        assert (await offered(url, sdp, there))[0] == 200
        status, answer = await offered(url, sdp, there)
        assert status == 429 and "one client may have 1 room" in answer["error"]
        assert [(await offered(url, sdp))[0] for _ in range(2)] == [200, 200], "this machine is its owner's"

    asyncio.run(play(serve(trusted_proxies=(parse_network("127.0.0.1"),)).port))


def test_too_much_nonsense_on_the_channel_ends_that_room_alone(serve: Serve) -> None:
    async def play(port: int) -> None:
        async with Browser(port) as good, Browser(port) as bad:
            await asyncio.gather(good.scored(2), bad.scored(2))
            for _ in range(30):
                bad.channel.send("nonsense")
            await bad.until(lambda: bad.of("summary"))
            assert "JSON" in bad.of("error")[0]["message"]
            received = len(good.of("scores"))
            await good.scored(received + 20)
            assert await metric(good.url, "rooms") == 1

    asyncio.run(play(serve().port))


def test_an_engine_that_fails_ends_its_room_and_is_reported(serve: Serve, lines: list[str]) -> None:
    opened = 0

    @contextmanager
    def second_fails(has_audio: bool, control: Control) -> Iterator[Engine]:
        nonlocal opened
        opened += 1
        if opened == 2:
            raise RuntimeError("out of memory")
        yield stand_in(has_audio)

    async def play(port: int) -> None:
        async with Browser(port) as good:
            await good.scored(1)
            async with Browser(port) as bad:
                await bad.until(lambda: bad.of("error"))
                assert bad.of("error")[0]["message"] == "the server failed in this room"
                await good.scored(len(good.of("scores")) + 20)
                assert await metric(good.url, "rooms") == 1

    asyncio.run(play(serve(engines=replace(STAND_INS, open=second_fails)).port))
    assert len(lines) == 1 and lines[0].startswith("room ended: opening a room failed: RuntimeError: out of memory")
