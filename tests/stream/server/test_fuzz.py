"""Hostile requests and offers: always an answer below 500, no word of how the server is made, other rooms unharmed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speakerlight.server import guard, offers
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server import Server
from tests.stream.server.browser import Browser, Hum, MadeFrames
from tests.stream.server.conftest import STAND_INS

Result = TypeVar("Result")

HANG_SECONDS = 100.0
"""Longest wait for an answer, or for the good room: ten scores take 0.4 s, but not on a machine with other work."""

LIGHT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class HttpHandlers:
    """A server with one good room in it, driven from a loop in a thread so that it plays while examples are tried."""

    def __init__(self, server: Server, lines: list[str]) -> None:
        self.url, self.lines = f"http://127.0.0.1:{server.port}", lines
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._browser = self.run(self._entered(server.port))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANG_SECONDS)

    def send(self, method: str, path: str, **request: Any) -> tuple[int, str]:
        async def sent() -> tuple[int, str]:
            async with aiohttp.ClientSession() as session:
                response = await session.request(method, self.url + path, **request)
                return response.status, await response.text()

        return self.run(sent())

    def check_unharmed(self) -> None:
        """The good room goes on, and the server has nothing to complain about."""
        before = len(self._browser.of("scores"))
        self.run(self._browser.scored(before + 10))
        assert not self.lines

    def close(self) -> None:
        self.run(self._browser.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _entered(self, port: int) -> Browser:
        return await Browser(port).__aenter__()


@pytest.fixture(scope="module")
def site() -> Iterator[HttpHandlers]:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((offers, "BURST_OFFERS"), (guard, "BURST_REQUESTS")):
            patch.setattr(module, name, 100_000)
        with (
            listening(ServeSettings("127.0.0.1", 0)) as address,
            Server(address, STAND_INS, lines.append) as server,
        ):
            site = HttpHandlers(server, lines)
            yield site
            site.close()


@pytest.fixture(autouse=True)
def the_good_room_is_unharmed(site: HttpHandlers) -> Iterator[None]:
    yield
    site.check_unharmed()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> None:
    """The module's server plays on between its tests."""


def good_offer() -> str:
    async def made() -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.createDataChannel("events")
        for track in (MadeFrames(), Hum()):
            connection.addTrack(track)
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        await connection.close()
        return sdp

    return asyncio.run(made())


LINES = good_offer().split("\r\n")


PARTS = ["offer", "rooms", "events", "page", "metrics", "..", "%2e%2e", "%00", "%ff", "?room=", "x"]


def offer_body(sdp: str) -> bytes:
    return json.dumps({"type": "offer", "sdp": sdp}).encode()


@st.composite
def broken_offers(draw: st.DrawFn) -> str:
    """A good offer with some lines dropped, doubled, cut, changed or moved."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["drop", "double", "cut", "change", "move"]))
        line = lines.pop(place)
        if how == "double":
            lines[place:place] = [line, line]
        elif how == "cut":
            lines.insert(place, line[: draw(st.integers(0, len(line)))])
        elif how == "change":
            junk = draw(st.text(max_size=8) | st.integers().map(str))
            at = draw(st.integers(0, len(line)))
            lines.insert(place, line[:at] + junk + line[at + len(junk) :])
        elif how == "move":
            lines.insert(draw(st.integers(0, len(lines))), line)
        if not lines:
            break
    return "\r\n".join(lines)


def judge(site: HttpHandlers, status: int, text: str) -> None:
    assert status < 500 or status == 503, site.lines
    assert "Traceback" not in text and ".py" not in text
    if status == 200:
        assert site.send("DELETE", f"/rooms/{json.loads(text)['room']}")[0] in (200, 404)
    else:
        assert list(json.loads(text)) == ["error"]


@LIGHT
@given(broken_offers())
def test_broken_offers(site: HttpHandlers, sdp: str) -> None:
    judge(site, *site.send("POST", "/offer", json={"type": "offer", "sdp": sdp}))


@LIGHT
@given(st.binary(max_size=300) | st.text(max_size=300).map(offer_body))
def test_bodies_of_any_kind(site: HttpHandlers, body: bytes) -> None:
    judge(site, *site.send("POST", "/offer", data=body))


@LIGHT
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]),
    st.lists(st.sampled_from(PARTS)),
    st.dictionaries(
        st.sampled_from(["Origin", "Authorization", "Content-Type", "Range", "Upgrade", "Connection"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    ),
)
def test_requests_of_any_kind(site: HttpHandlers, method: str, path: list[str], headers: dict[str, str]) -> None:
    status, text = site.send(method, "/" + "/".join(path), headers=headers)
    assert status < 500 and "Traceback" not in text


def test_offers_that_take_long_to_read_are_answered_soon(site: HttpHandlers) -> None:
    video = next(line for line in LINES if line.startswith("m=video"))
    for filling in (
        "a=candidate:1 1 udp 1 10.0.0.1 9 typ host",
        "a=rtpmap:96 VP8/90000",
        "a=fmtp:96 x=y",
        video,
        "m=audio",
    ):
        sdp = "\r\n".join([*LINES, *[filling] * (60_000 // (len(filling) + 2))])
        judge(site, *site.send("POST", "/offer", json={"type": "offer", "sdp": sdp}))
