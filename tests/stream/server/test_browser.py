"""The page in a real Chromium whose camera shows the demo's people: what it marks, shows, survives and leaves."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from playwright.sync_api import Page, Playwright, expect, sync_playwright

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.geometry import Box
from speakerlight.palette import PALETTE
from speakerlight.server.rtc.peer import PACKET_MS
from tests.stream.server.chromium import (
    LEAD_SECONDS,
    SMALL,
    Event,
    Footage,
    at_once,
    begun,
    camera_behind_seconds,
    chromium,
    identity,
    is_reported,
    kept,
    listening,
    needs_chromium,
    skip_if_apart,
    skip_if_too_busy,
    start_camera,
    wait_until,
    write_demo,
)
from tests.stream.server.test_server_factory import command
from tests.tiles import tile_of

pytestmark = needs_chromium

PAGE = Path(__file__).parents[3] / "stream" / "server" / "page"
TOKEN = "open-sesame-please"
WIDTH, HEIGHT = 640, 360
SECONDS = 14.0
GONE_SECONDS = 10.0
PATIENCE_SECONDS = 2 * (LEAD_SECONDS + SECONDS) + 5
"""For all of the footage, in its second round if the room missed the first one's beginning."""

NAMES = ("Ada", "Grace", "Alan", "Edsger")

PATIENCE_MS = 20_000
"""For anything that appears: a test shares its machine with others."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with command("--token", TOKEN) as (_, url):
        yield url


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: SCREENSHOTS, or else a folder of the test run."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


Shown = Callable[[int, int], tuple[Demo, Footage]]


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    """Makes the demo of so many people and a seed, and footage of it, which is too large to be kept."""
    made: dict[tuple[int, int], tuple[Demo, Footage]] = {}
    with tempfile.TemporaryDirectory() as folder:

        def show(people: int, seed: int) -> tuple[Demo, Footage]:
            if (people, seed) not in made:
                demo = Demo(DemoSettings(people, seed, SECONDS, WIDTH, HEIGHT))
                made[people, seed] = demo, write_demo(demo, SECONDS, Path(folder) / f"{people}-{seed}")
            return made[people, seed]

        yield show


def metric(server: str, name: str) -> float:
    """A number of /metrics."""
    with urllib.request.urlopen(f"{server}/metrics?token={TOKEN}") as answer:
        found = re.search(rf"^\w*{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found, name
    return float(found[1])


def wait_for_footage(events: list[Event], page: Page, footage: Footage) -> None:
    """Wait until all of it has been reported."""
    was_reported = wait_until(lambda: is_reported(events, SECONDS - 0.5), page, PATIENCE_SECONDS)
    skip_if_too_busy(events)
    skip_if_apart(camera_behind_seconds(page, footage))
    assert was_reported


MARKS_OF = """colour => {
    const { width, height } = marks;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(marks, 0, 0);
    const pixels = copy.getImageData(0, 0, width, height).data;
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (let k = 0; k < pixels.length; k += 4) {
        if (pixels[k + 3] === 255 && colour.every((value, c) => Math.abs(pixels[k + c] - value) < 3)) {
            const [x, y] = [(k / 4) % width, Math.floor(k / 4 / width)];
            [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
        }
    }
    return [left / width, top / height, right / width, bottom / height];
}"""


def in_tiles(events: list[Event], demo: Demo) -> dict[int, int]:
    """Whose face, by id, was last seen on which of the demo's tiles."""
    frame = kept(events, "picture")[-1]
    across, down = WIDTH / frame["width"], HEIGHT / frame["height"]
    places = {}
    for face in kept(events, "scores")[-1]["faces"]:
        x, y = Box(*face["box"]).centre
        if (tile := tile_of(demo.tiles, (x * across, y * down))) is not None:
            places[face["id"]] = tile
    return places


def test_the_page_marks_the_right_person(playwright: Playwright, server: str, shown: Shown, screenshots: Path) -> None:
    demo, footage = shown(4, 3)
    with chromium(playwright, footage) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        start_camera(page, f"{server}/?token={TOKEN}")
        with listening(page.locator("#events-link").input_value()) as events:
            wait_until(lambda: begun(events) is not None and len(in_tiles(events, demo)) == 4, page, 40)
            places = in_tiles(events, demo)
            for person, tile in places.items():
                page.get_by_label(f"Name of person {person}").fill(NAMES[tile])
                page.get_by_label(f"Name of person {person}").press("Enter")
            wait_until(lambda: len(kept(events, "speaker")) > 4, page, 20)
            page.locator("#speaker.speaking").wait_for(timeout=PATIENCE_MS)
            (screenshots / "page-light.png").write_bytes(page.screenshot())
            drawn = {person: page.evaluate(MARKS_OF, list(PALETTE[(person - 1) % len(PALETTE)])) for person in places}
            still = in_tiles(events, demo)
            page.emulate_media(color_scheme="dark")
            (screenshots / "page-dark.png").write_bytes(page.screenshot())
            wait_for_footage(events, page, footage)
    assert not complaints
    assert sorted(places.values()) == [0, 1, 2, 3]
    assert kept(events, "names")[-1]["names"] == {str(person): NAMES[tile] for person, tile in places.items()}
    assert identity(events, demo, footage) >= 0.8
    assert len(still.keys() & places.keys()) >= 3
    for person in still.keys() & places.keys():
        left, top, right, bottom = drawn[person]
        place = demo.tiles[still[person]]
        assert place.x <= left * WIDTH < right * WIDTH <= place.x + place.width, f"person {person} is marked elsewhere"
        assert place.y <= top * HEIGHT < bottom * HEIGHT <= place.y + place.height, (
            f"person {person} is marked elsewhere"
        )


def test_two_browsers_at_once_each_get_their_own_truth(playwright: Playwright, server: str, shown: Shown) -> None:
    shows = [shown(2, seed) for seed in (5, 6)]
    with ExitStack() as stack:
        opened = [stack.enter_context(chromium(playwright, footage)) for _, footage in shows]
        pages, received = stack.enter_context(at_once(opened, f"{server}/?token={TOKEN}"))
        are_marked = [
            wait_until(partial(is_reported, events, SECONDS - 0.5), pages[-1], PATIENCE_SECONDS) for events in received
        ]
        behind_seconds = [camera_behind_seconds(page, footage) for page, (_, footage) in zip(pages, shows, strict=True)]
    for events in received:
        skip_if_too_busy(events)
    skip_if_apart(max(behind_seconds, key=abs))
    assert all(are_marked)
    for (demo, footage), events in zip(shows, received, strict=True):
        assert identity(events, demo, footage) >= 0.8


def test_four_browsers_at_once_have_a_room_each_whatever_is_shed(
    playwright: Playwright, server: str, shown: Shown
) -> None:
    """Four on two cores leave the server little."""
    _, footage = shown(2, 5)
    with ExitStack() as stack:
        opened = [stack.enter_context(chromium(playwright, footage)) for _ in range(4)]
        pages, received = stack.enter_context(at_once(opened, f"{server}/?token={TOKEN}"))
        assert wait_until(lambda: metric(server, "rooms") == 4, pages[-1], GONE_SECONDS), "a room has no browser"
        for events in received:
            is_scored = partial(lambda events: bool(kept(events, "scores")), events)
            assert wait_until(is_scored, pages[-1], PATIENCE_SECONDS), "a room is not scored"


def test_a_room_goes_with_its_browser_and_comes_back_with_a_reload(
    playwright: Playwright, server: str, shown: Shown
) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        start_camera(page, f"{server}/?token={TOKEN}")
        page.reload()
        start_camera(page, page.url)
        assert wait_until(lambda: metric(server, "rooms") == 1, page, GONE_SECONDS), "the old room stayed"
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("heading", name="See who is speaking")).to_be_focused()
        assert wait_until(lambda: metric(server, "rooms") == 0, page, 3.0), "a stopped room stayed"
        start_camera(page, page.url)
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        os.kill(next(process["id"] for process in processes if process["type"] == "browser"), signal.SIGKILL)
    deadline = time.monotonic() + GONE_SECONDS
    while metric(server, "rooms") > 0:
        assert time.monotonic() < deadline, "the room of a killed browser stayed"
        time.sleep(0.2)


def test_a_lost_room_is_opened_anew(playwright: Playwright, server: str, shown: Shown) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        start_camera(page, f"{server}/?token={TOKEN}")
        first = page.locator("#overlay-link").input_value()
        room = re.search(r"room=([^&]+)", first)
        assert room
        close = urllib.request.Request(f"{server}/rooms/{room[1]}?token={TOKEN}", method="DELETE")
        urllib.request.urlopen(close).close()
        expect(page.locator("#overlay-link")).not_to_have_value(first)
        page.locator("#connection[data-state=live]").wait_for()


REMEMBER_CONNECTION = """window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...rest) { super(...rest); window.connection = this; }
    createDataChannel(...rest) { return window.channel = super.createDataChannel(...rest); }
};"""

PACKETS_OF_SOUND = """async () => {
    for (const report of (await connection.getStats()).values()) {
        if (report.type === "outbound-rtp" && report.kind === "audio") return [report.packetsSent, report.timestamp];
    }
}"""

TELL_LEVEL = (
    """level => channel.dispatchEvent(new MessageEvent("message", { data: JSON.stringify({ type: "load", level }) }))"""
)

CAMERA = """() => {
    const { width, frameRate } = document.getElementById("video").srcObject.getVideoTracks()[0].getSettings();
    return [width, frameRate];
}"""


def test_audio_comes_in_long_packets(playwright: Playwright, server: str, shown: Shown) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page(viewport=SMALL)
        page.add_init_script(REMEMBER_CONNECTION)
        start_camera(page, f"{server}/?token={TOKEN}")
        page.wait_for_timeout(1000)
        first, begun_ms = page.evaluate(PACKETS_OF_SOUND)
        page.wait_for_timeout(3000)
        last, ended_ms = page.evaluate(PACKETS_OF_SOUND)
    assert (last - first) / (ended_ms - begun_ms) == pytest.approx(1 / PACKET_MS, rel=0.2)


def test_the_camera_slows_down_with_the_server(playwright: Playwright, server: str, shown: Shown) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page(viewport=SMALL)
        page.add_init_script(REMEMBER_CONNECTION)
        start_camera(page, f"{server}/?token={TOKEN}")
        for level, rate in ((2, 20), (3, 12.5), (4, 10), (1, 25), (0, footage.rate)):
            page.evaluate(TELL_LEVEL, level)
            assert wait_until(partial(lambda rate: page.evaluate(CAMERA) == [WIDTH, rate], rate), page, 5.0)
            assert bool(page.locator("body.calm").count()) == (level >= 3)


def test_keyboard_alone_starts_and_stops_and_every_control_has_a_name(
    playwright: Playwright, server: str, shown: Shown
) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page(reduced_motion="reduce")
        page.goto(f"{server}/?token={TOKEN}")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Camera and microphone")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Session")).to_be_focused()
        page.locator("#connection[data-state=live]").wait_for(timeout=PATIENCE_MS)
        expect(page.get_by_role("button", name="Pin Person 1")).to_be_visible()
        page.get_by_role("button", name="Pin Person 1").press("Space")
        expect(page.get_by_role("button", name="Pin Person 1", pressed=True)).to_be_visible()
        page.get_by_text("For OBS and other programs").click()
        for control in page.locator("button:visible, input:visible, [role=img]:visible, video:visible").all():
            assert control.get_attribute("aria-hidden") or control.aria_snapshot().count('"'), control
        assert page.locator("[aria-live=polite]").count() == 1
        page.get_by_role("button", name="Stop").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="See who is speaking")).to_be_focused()


@pytest.mark.parametrize(
    ("status", "body", "shows"),
    [
        (401, "unauthorized", "That token is not the right one."),
        (503, '{"error":"all rooms are taken"}', "The server is full: trying again in 10 s."),
        (400, '{"error":"the offer needs one frame"}', "the offer needs one frame"),
    ],
)
def test_a_refusal_of_the_server_is_shown_clearly(
    playwright: Playwright, server: str, shown: Shown, status: int, body: str, shows: str
) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        page.route("**/offer", lambda route: route.fulfill(status=status, body=body))
        page.goto(f"{server}/?token={TOKEN}")
        page.get_by_role("button", name="Camera and microphone").click()
        expect(page.get_by_role("alert").filter(has_text=shows)).to_be_visible()
        if status == 401:
            page.unroute("**/offer")
            page.get_by_label("Token of this server").fill(TOKEN)
            page.get_by_role("button", name="Continue").click()
            page.get_by_role("button", name="Camera and microphone").click()
            page.locator("#connection[data-state=live]").wait_for(timeout=PATIENCE_MS)


@pytest.mark.parametrize(
    ("name", "shows"),
    [("NotAllowedError", "not allowed"), ("NotFoundError", "No camera"), ("NotReadableError", "in use")],
)
def test_a_camera_that_cannot_be_had_is_explained(
    playwright: Playwright, server: str, shown: Shown, name: str, shows: str
) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        page.add_init_script(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{name}'))"
        )
        page.goto(f"{server}/?token={TOKEN}")
        page.get_by_role("button", name="Camera and microphone").click()
        expect(page.get_by_role("alert").filter(has_text=shows)).to_be_visible()


def test_a_meeting_without_audio_is_not_begun(playwright: Playwright, server: str, shown: Shown) -> None:
    _, footage = shown(2, 5)
    silent = "navigator.mediaDevices.getDisplayMedia = () => navigator.mediaDevices.getUserMedia({ video: true })"
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        page.add_init_script(silent)
        page.goto(f"{server}/?token={TOKEN}")
        page.get_by_role("button", name="A meeting").click()
        expect(page.get_by_role("alert").filter(has_text="has no audio")).to_be_visible()


def test_the_overlay_shows_the_speakers_name(
    playwright: Playwright, server: str, shown: Shown, screenshots: Path
) -> None:
    _, footage = shown(4, 3)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        start_camera(page, f"{server}/?token={TOKEN}")
        overlay = browser.new_page(viewport={"width": 1280, "height": 720})
        overlay.goto(page.locator("#overlay-link").input_value() + "&boxes=1")
        expect(page.get_by_role("listitem")).to_have_count(4, timeout=2 * PATIENCE_MS)
        for number, name in enumerate(NAMES):
            page.get_by_label("Name of person").nth(number).fill(name)
            page.get_by_label("Name of person").nth(number).press("Enter")
        expect(overlay.locator("#lower-third.shown")).to_have_text(re.compile("|".join(NAMES)))
        (screenshots / "overlay.png").write_bytes(overlay.screenshot(omit_background=True))
        assert overlay.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"


def test_the_token_leaves_the_address_and_lasts_for_the_tab(playwright: Playwright, server: str, shown: Shown) -> None:
    _, footage = shown(2, 5)
    with chromium(playwright, footage) as browser:
        page = browser.new_page()
        start_camera(page, f"{server}/?token={TOKEN}")
        assert page.url == f"{server}/"
        links = [page.locator(f"#{kind}-link").input_value() for kind in ("overlay", "events")]
        assert all("token=" in link and TOKEN not in link for link in links)
        page.reload()
        page.get_by_role("button", name="Camera and microphone").click()
        page.locator("#connection[data-state=live]").wait_for(timeout=PATIENCE_MS)
        overlay = browser.new_page()
        overlay.goto(links[0])
        assert "token" not in overlay.url
        elsewhere = browser.new_page()
        elsewhere.goto(f"{server}/")
        elsewhere.get_by_role("button", name="Camera and microphone").click()
        expect(elsewhere.get_by_label("Token of this server")).to_be_visible()


def test_a_wrong_token_gets_nothing(server: str) -> None:
    for path in ("/metrics", "/events", "/"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server}{path}?token=wrong-one")


def test_the_page_and_the_window_use_the_same_colours() -> None:
    rows = re.findall(r"\[(\d+), (\d+), (\d+)\]", (PAGE / "palette.js").read_text())
    assert tuple(tuple(map(int, row)) for row in rows) == PALETTE


def test_nothing_comes_from_elsewhere() -> None:
    for part in PAGE.iterdir():
        text = part.read_text()
        assert not re.search(r"(?:src|href|url\(|import|from)\W*['\"]?(?:https?:)?//", text), part.name
        assert not re.search(r"<(?:script|style)>|\sstyle=|\son\w+=", text), part.name
