"""The page for everybody: accessibility, keyboard, narrow screens, weight, both languages, and what its controls do.

Chromium's own fake camera and a stand-in engine: one person, who speaks with each beep.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed: pip install '.[test]'")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from speakerlight.core.events import EventStream
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.segments import SessionRecord
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.talk import talk_of
from speakerlight.core.word_join import Word, join, read_session
from speakerlight.server.page_parts import ENTRIES, bundle, page_parts
from tests.stream.server.chromium import chromium, kept, listening, needs_chromium, start_camera, wait_until
from tests.stream.server.conftest import Serve

pytestmark = needs_chromium

PAGE = Path(__file__).parents[3] / "stream" / "server" / "page"
PHONE = {"width": 320, "height": 640}
MOST_REQUESTS = 12
MOST_BYTES = 105_000
MOST_BYTES_SENT = 35_000

expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def url(serve: Serve) -> str:
    return f"http://127.0.0.1:{serve().port}"


Open = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, url: str) -> Iterator[Open]:
    """Opens a page in a context of its own, without anything remembered. At the end it has made no complaint.

    Pages close before the server at ``url`` does.
    """
    contexts, complaints = [], []

    def opened(**settings: Any) -> Page:
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def violations(page: Page) -> list[str]:
    """What axe finds, a line a rule."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def wait_for_person(page: Page) -> None:
    expect(page.locator("#faces button")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_screen(new_page: Open, url: str, scheme: Any) -> None:
    page = new_page(color_scheme=scheme, reduced_motion="reduce")
    page.goto(url)
    page.locator("#devices summary").click()
    expect(page.locator("#choose-camera option")).not_to_have_count(0)
    found = {"welcome": violations(page)}
    page.get_by_role("button", name="Camera and microphone").click()
    wait_for_person(page)
    for details in page.locator(".aside summary").all():
        details.click()
    found["session"] = violations(page)
    page.locator("#faces button").press("Enter")
    found["sheet"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    found["help"] = violations(page)
    page.get_by_role("button", name="Close").click()
    overlay = page.context.new_page()
    overlay.goto(page.locator("#overlay-link").input_value() + "&boxes=1")
    expect(overlay.locator("#lower-third.shown")).to_be_visible()
    found["overlay"] = violations(overlay)
    assert not any(found.values()), found


def test_everything_can_be_done_with_the_keyboard_alone(new_page: Open, url: str) -> None:
    page = new_page()
    page.goto(url)
    assert walk(page, 3) == ["camera", "meeting", "SUMMARY"]
    page.keyboard.press("Enter")
    expect(page.locator("#choose-camera option")).not_to_have_count(0)
    assert walk(page, 4) == ["choose-camera", "choose-microphone", "choose-resolution", "INPUT"]
    page.locator("#camera").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Session")).to_be_focused()
    page.locator("#connection[data-state=live]").wait_for()
    wait_for_person(page)
    with listening(page.locator("#events-link").input_value()) as events:
        commands = iter_commands(events)
        page.keyboard.press("1")
        expect(page.locator("#faces button")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#sheet .pinned")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#sheet .pinned")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Escape")
        expect(page.locator("#faces button")).to_be_focused()
        page.keyboard.press("p")
        page.keyboard.press("e")
        expect(page.get_by_role("button", name="Never show Person 1", pressed=True)).to_be_visible()
        page.keyboard.press("e")
        page.locator("#session-title").focus()
        page.keyboard.press(" ")
        expect(page.locator("#held")).to_be_visible()
        page.keyboard.press(" ")
        expect(page.locator("#held")).to_be_hidden()
        page.keyboard.press("+")
        page.keyboard.press("x")
        expected = ["pin", "pin", "exclude", "exclude", "hold", "release", "sensitivity", "reset"]
        assert wait_until(lambda: [each["type"] for each in commands()] == expected, page, 10.0), commands()
        assert [each["id"] for each in commands()[:2]] == [1, None]
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.get_by_label("Keys are on").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.locator("#session-title").focus()
    controls = page.locator("#session :is(button, input, summary):visible:enabled, header button:visible").count()
    assert len(set(walk(page, controls + 2))) >= controls, "Tab does not reach every control"
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="See who is speaking")).to_be_focused()


def walk(page: Page, steps: int) -> list[str]:
    """What has the focus after each Tab: its id, its label or its kind."""
    reached = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(({ id, ariaLabel, textContent, nodeName }) => id || ariaLabel || (nodeName === 'BUTTON'"
                " ? textContent.trim() : nodeName))(document.activeElement)"
            )
        )
    return reached


def iter_commands(events: list[dict[str, Any]]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [event["command"] for event in kept(events, "control")]


def test_every_page_of_a_room_shows_what_any_client_commands(new_page: Open, url: str) -> None:
    page = new_page()
    start_camera(page, url)
    wait_for_person(page)
    room = re.search(r"room=([^&]+)", page.locator("#events-link").input_value())
    assert room

    def command(**fields: object) -> None:
        request = urllib.request.Request(f"{url}/rooms/{room[1]}/commands", json.dumps(fields).encode())
        urllib.request.urlopen(request).close()

    command(type="name", id=1, name="Ada")
    command(type="exclude", id=1, on=True)
    expect(page.locator("#faces button")).to_have_attribute("aria-label", "Ada · never shown")
    command(type="exclude", id=1, on=False)
    command(type="pin", id=1)
    expect(page.get_by_role("button", name="Pin Ada", pressed=True)).to_be_visible()
    command(type="hold", seconds=3)
    expect(page.get_by_role("button", name="Hold", pressed=True)).to_be_visible()
    expect(page.get_by_role("button", name="Hold", pressed=False)).to_be_visible()
    command(type="sensitivity", score=0.4)
    page.get_by_text("Marks and sound").click()
    expect(page.locator("#sensitivity-text")).to_have_text("40 %")
    command(type="lag", milliseconds=120)
    expect(page.get_by_label("Sound is late by")).to_have_value("120")
    page.locator("#faces button").click()
    page.get_by_role("button", name="Ignore this place").click()
    page.get_by_role("button", name="Show ignored places again").click()
    expect(page.get_by_role("button", name="Show ignored places again")).to_be_hidden()
    command(type="reset")
    expect(page.locator("#faces button")).to_have_attribute("aria-label", "Person 1")


def test_the_documented_client_of_control_pins_the_speaker(new_page: Open, url: str) -> None:
    _, _, text = (PAGE.parents[2] / ".github" / "SERVER.md").read_text(encoding="utf-8").partition("```python\n")
    example, _, _ = text.partition("asyncio.run(")
    names: dict[str, Any] = {}
    exec(example, names)
    page = new_page()
    start_camera(page, url)
    address = page.locator("#events-link").input_value().replace("/events", "/control")
    client = threading.Thread(target=lambda: asyncio.run(names["follow"](address)))
    client.start()
    expect(page.get_by_role("button", name="Pin Person 1", pressed=True)).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    client.join(10.0)
    assert not client.is_alive(), "the client stays although the room has gone"


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_the_page_fits_a_small_phone(new_page: Open, url: str, locale: str) -> None:
    page = new_page(viewport=PHONE, locale=locale)
    page.goto(url)
    page.locator("#devices summary").click()
    assert overflow(page) <= 0
    page.locator("#camera").click()
    wait_for_person(page)
    for details in page.locator(".aside summary").all():
        details.click()
    page.locator("#faces button").press("Enter")
    assert overflow(page) <= 0
    sheet = page.locator("#sheet").bounding_box()
    assert sheet and sheet["x"] >= 0 and sheet["x"] + sheet["width"] <= PHONE["width"]
    page.keyboard.press("Escape")
    page.locator("#show-help").click()
    assert overflow(page) <= 0


def test_the_page_speaks_german_to_german_browsers(new_page: Open, url: str) -> None:
    page = new_page(locale="de-AT")
    page.goto(url)
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_role("button", name="Kamera und Mikrofon").click()
    wait_for_person(page)
    expect(page.get_by_role("heading", name="Personen")).to_be_visible()
    expect(page.get_by_role("button", name="Person 1 anheften")).to_be_visible()
    other = new_page(locale="fr-FR")
    other.goto(url)
    expect(other.get_by_role("heading", name="See who is speaking")).to_be_visible()


BLACK_AND_SILENT = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext("2d");
  setInterval(() => context.fillRect(0, 0, 320, 180), 40);
  const audio = new AudioContext().createMediaStreamDestination();
  return new MediaStream([...canvas.captureStream(25).getTracks(), ...audio.stream.getTracks()]);
};
"""


def test_a_silent_microphone_and_a_black_camera_are_noted_on_the_video(new_page: Open, url: str) -> None:
    page = new_page()
    page.add_init_script(BLACK_AND_SILENT)
    start_camera(page, url)
    expect(page.locator("#warning")).to_have_text(re.compile("microphone is silent.*camera is black"))
    assert not violations(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#warning")).to_be_hidden()


def test_recognition_is_announced_before_the_camera_opens(new_page: Open, serve: Serve) -> None:
    for recognizes in (False, True):
        page = new_page()
        page.goto(f"http://127.0.0.1:{serve(recognizes=recognizes).port}")
        note = page.locator("#welcome .recognition")
        expect(note).to_be_visible() if recognizes else expect(note).to_be_hidden()
        assert not violations(page)


def test_the_page_is_light_and_needs_few_requests(new_page: Open, url: str) -> None:
    page = new_page()
    sizes: list[dict[str, object]] = []
    bodies: list[int] = []

    def finished(request: Request) -> None:
        response = request.response()
        assert response is not None
        sizes.append(dict(request.sizes()))
        bodies.append(len(response.body()))

    page.on("requestfinished", finished)
    page.goto(url, wait_until="networkidle")
    assert page.evaluate("performance.getEntriesByName('first-paint').length") == 1
    assert len(sizes) <= MOST_REQUESTS
    assert 0 < sum(bodies) <= MOST_BYTES
    assert sum(int(str(each["responseBodySize"])) for each in sizes) <= MOST_BYTES_SENT


def test_chosen_devices_are_tried_and_remembered(new_page: Open, url: str) -> None:
    page = new_page()
    page.goto(url)
    page.locator("#devices summary").click()
    expect(page.locator("#choose-microphone option")).not_to_have_count(0)
    assert wait_until(lambda: page.locator(".level").evaluate("meter => meter.value") > 0.3, page, 10.0), "no beep"
    page.get_by_label("Resolution").select_option("640")
    page.get_by_label("Mirror the picture").check()
    page.reload()
    page.get_by_role("button", name="Camera and microphone").click()
    page.locator("#connection[data-state=live]").wait_for()
    width = "document.getElementById('video').srcObject.getVideoTracks()[0].getSettings().width"
    assert page.evaluate(width) == 640
    assert page.locator("#picture.mirrored").count() == 1
    wait_for_person(page)
    face = page.locator("#faces button").bounding_box()
    frame = page.locator(".frame").bounding_box()
    assert face and frame
    assert face["x"] > frame["x"] + frame["width"] / 2, "the stand-in's face is at the left, and mirrored at the right"


def test_sessions_can_be_exported_while_they_run_and_after(new_page: Open, url: str, tmp_path: Path) -> None:
    page = new_page()
    start_camera(page, url)
    wait_for_person(page)
    page.get_by_label("Name of person 1").fill('Ada "A" <b>')
    page.get_by_label("Name of person 1").press("Enter")
    spoken = page.locator(".spoken")
    assert wait_until(lambda: re.match(r"0:0[1-9] · 100 %", spoken.inner_text()) is not None, page, 30.0)
    page.get_by_text("Talk statistics").click()
    expect(page.locator("#talk tbody tr")).to_have_text(re.compile(r'Ada "A" <b>0:0\d+0:0\d0'))
    texts = {kind: saved(page, kind, tmp_path) for kind in ("JSON", "CSV", "SRT", "RTTM")}
    page.get_by_role("button", name="Stop").click()
    texts["WebVTT"] = saved(page, "WebVTT", tmp_path)
    session = json.loads(texts["JSON"])
    assert session["type"] == "transcript" and session["people"][0]["name"] == 'Ada "A" <b>'
    assert session["people"][0]["longest"] > 0 and session["people"][0]["interruptions"] == 0
    turn = session["turns"][0]
    lines = join([Word("one", turn["start"], turn["end"])], read_session(texts["JSON"]))
    assert [(line.id, line.text) for line in lines.lines] == [(1, "one")]
    rows = list(csv.DictReader(texts["CSV"].splitlines()))
    assert rows[0]["name"] == 'Ada "A" <b>' and float(rows[0]["duration"]) > 0
    assert all(line.split()[7] == 'Ada_"A"_<b>' for line in texts["RTTM"].splitlines())
    assert re.match(r'1\n00:00:0\d,\d{3} --> 00:00:\d\d,\d{3}\nAda "A" <b>:\n', texts["SRT"])
    cues = texts["WebVTT"].split("\n\n")
    assert cues[0] == "WEBVTT" and '<v Ada "A" &lt;b&gt;>' in cues[1]


LAG_FINDER = """{
    let [ms, check] = [0, null];
    const [sent, shown, tones] = [[], [], []];
    const t = (text, ...values) => text.replace(/\\{(\\d)\\}/g, (_, k) => values[k]);
    const lagText = (lag) => `${lag.milliseconds} ms`;
    const performance = { now: () => ms };
    const setInterval = (call) => ((check = call), 1);
    const clearInterval = () => (check = null);
    const node = { connect: () => node };
    class AudioContext { currentTime = 0; }
    class GainNode { connect() { return this; } }
    class OscillatorNode {
      constructor(_, { frequency }) { tones.push(frequency); }
      connect() { return node; }
      start() {}
      stop() {}
    }
    %s
    const finder = new LagFinder((line) => shown.push(line), (command) => sent.push(command));
    finder.start();
    for (const event of events) {
      if (event.ms) ms = event.ms;
      finder.take(event);
      check?.();
    }
    return { sent, shown, tones, isRunning: finder.isRunning };
}"""

ESTIMATE = {"type": "lag", "milliseconds": None}
BEGUN = {"type": "control", "command": ESTIMATE, "time": 30.0}


@pytest.mark.parametrize(
    ("events", "milliseconds", "line", "tones"),
    [
        (
            [
                {"type": "lag", "time": 29.9, "milliseconds": 300, "confidence": 1.0},
                BEGUN,
                {"type": "lag", "time": 30.1, "milliseconds": 300, "confidence": 1.0},
                {"type": "lag", "time": 32.0, "milliseconds": 80, "confidence": 0.6, "ms": 7000},
                {"type": "lag", "time": 37.0, "milliseconds": 118.4, "confidence": 0.974, "ms": 9000},
            ],
            118,
            "Found and set: 118.4 ms, 97 % sure.",
            [880, 880, 880],
        ),
        (
            [BEGUN, {"type": "lag", "time": 37.0, "milliseconds": 40, "confidence": 0.6, "ms": 25100}],
            None,
            "Nothing",
            [880, 440],
        ),
        ([BEGUN, {"type": "control", "command": ESTIMATE | {"milliseconds": 60}, "time": 33.0}], None, "", [880]),
    ],
)
def test_the_lag_finder_sets_what_the_server_is_sure_of(
    browser: Browser, events: list[Any], milliseconds: int | None, line: str, tones: list[int]
) -> None:
    """What was estimated before the test does not count; nor does it once another client sets the lag."""
    source = re.sub(r"^import .*$", "", (PAGE / "lagfinder.js").read_text(encoding="utf-8"), flags=re.MULTILINE)
    page = browser.new_page()
    result = page.evaluate("events => " + LAG_FINDER % source.replace("export ", ""), events)
    page.close()
    found = [] if milliseconds is None else [ESTIMATE | {"milliseconds": milliseconds}]
    assert result["sent"] == [ESTIMATE, *found]
    assert result["shown"][-1].startswith(line) and result["tones"] == tones
    assert not result["isRunning"]


def test_the_page_counts_turns_and_interruptions_as_the_program_does(browser: Browser) -> None:
    record, events = SessionRecord(), EventStream()
    lines: list[str] = []
    for snapshot in a_talk():
        record.push(snapshot)
        lines += [event.to_json() for event in events.events(snapshot)]
    record.finish()
    page = browser.new_page()
    source = bundle(PAGE, "room")
    counted = page.evaluate(
        f"""lines => {{ {source}
            const room = new $room.Room();
            for (const line of lines) room.take(JSON.parse(line), null);
            return {{ all: room.turns.all, statistics: room.turns.statistics() }};
        }}""",
        lines,
    )
    page.close()
    segments = record.segments()
    turns = sorted((turn["start"], turn["id"], turn["end"]) for turn in counted["all"] if turn["id"] is not None)
    assert [(start, person, end) for start, person, end in turns] == [
        (pytest.approx(each.start, abs=0.002), each.id, pytest.approx(each.end, abs=0.002)) for each in segments
    ]
    expected = talk_of(segments)
    assert len(segments) > 100 and sum(each.interruptions for each in expected.values()) > 3
    for each in counted["statistics"]:
        talk = expected[each["id"]]
        assert (each["turns"], each["interruptions"]) == (talk.turns, talk.interruptions)
        assert (each["seconds"], each["longest"]) == pytest.approx((talk.seconds, talk.longest_seconds), abs=0.1)


def a_talk() -> Iterator[Snapshot]:
    """Four people, in view and out of it, with undecided speech, stalls and a merge; a silent end."""
    random = Random(7)
    time = 0.0
    merges: tuple[Merge, ...] = (Merge(4, 2),)
    people = [1, 2, 3, 4]
    speaking: set[int] = set()
    while time < 400.0:
        state = random.choice([*SpeakingState, SpeakingState.SPEAKING, SpeakingState.SPEAKING])
        staying = {person for person in speaking if random.random() < 0.6}
        speaking = staying | {random.choice(people)} if state is SpeakingState.SPEAKING else set()
        offscreen = random.choice([None, 3]) if state is SpeakingState.OFFSCREEN else None
        for _ in range(random.randint(2, 40)):
            joining = merges if time > 200.0 else ()
            if joining:
                people, merges = [1, 2, 3], ()
                speaking = {2 if person == 4 else person for person in speaking}
            faces = tuple(FaceScore(person, Box(0, 0, 9, 9), 0.5, person in speaking) for person in people)
            primary = min(speaking) if speaking else None
            yield Snapshot(round(time * 25), time, 0.5, faces, state, primary, Lag(0.0, 0.0), offscreen, joining)
            time += 3.0 if random.random() < 0.003 else 0.04
    for _ in range(2):
        yield Snapshot(round(time * 25), time, 0.0, (), SpeakingState.SILENCE, None, Lag(0.0, 0.0))
        time += 0.04


def saved(page: Page, kind: str, folder: Path) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path.read_text(encoding="utf-8")


CANVAS_TEXTS = """
    globalThis.canvasTexts = new Set();
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        canvasTexts.add(text);
        return fillText.call(this, text, ...place);
    };
"""


def test_the_timeline_zooms_to_the_whole_session(new_page: Open, url: str) -> None:
    page = new_page(reduced_motion="reduce")
    page.add_init_script(CANVAS_TEXTS)
    start_camera(page, url)
    wait_for_person(page)
    page.wait_for_function("canvasTexts.size >= 2")
    names = [page.locator("#extent").inner_text()]
    while page.get_by_role("button", name="Show more time").is_enabled():
        page.get_by_role("button", name="Show more time").click()
        page.wait_for_timeout(200)
        names.append(page.locator("#extent").inner_text())
    assert names == ["1 min", "5 min", "15 min", "1 hour", "Whole session"]
    expect(page.get_by_role("button", name="Show less time")).to_be_enabled()
    expect(page.get_by_role("img", name="Timeline: Person 1")).to_be_visible()
    page.locator("#speaker.speaking").wait_for()
    assert page.evaluate("document.getAnimations().length") == 0, "something moves although the user wants no motion"
    times = {text for text in page.evaluate("[...canvasTexts]") if not text.startswith("Person")}
    assert times >= {"now", "−1:00"} and all(re.fullmatch(r"now|−\d+ s|−?[\d:]+", text) for text in times), times


def test_the_video_fills_the_screen_and_a_small_window(new_page: Open, url: str) -> None:
    page = new_page()
    start_camera(page, url)
    wait_for_person(page)
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")
    page.get_by_role("button", name="Small window").click()
    page.wait_for_function("documentPictureInPicture.window?.document.getElementById('stage')")
    page.wait_for_function("!documentPictureInPicture.window.document.getElementById('video').paused")
    page.evaluate("documentPictureInPicture.window.close()")
    expect(page.locator("#stage")).to_be_visible()
    expect(page.get_by_role("button", name="Small window")).to_be_visible()


class Texts(HTMLParser):
    """All texts and labels of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("aria-label", "title", "alt") and value}

    def handle_data(self, data: str) -> None:
        self.found.add(" ".join(data.split()))


AS_THEY_ARE = {"Speakerlight", "JSON", "CSV", "WebVTT", "SRT", "RTTM", "–"}
"""Texts that are the same in all languages."""


def test_every_text_has_its_german_and_no_other() -> None:
    texts = Texts()
    texts.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    shown = {text for text in texts.found if re.search(r"[A-Za-z]{2}", text)} - AS_THEY_ARE
    scripts = "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.js"))
    shown |= set(re.findall(r'\bt\("([^"]+)"', scripts))
    german = (PAGE / "strings.js").read_text(encoding="utf-8").partition("const GERMAN = {")[2].partition("\n};")[0]
    keys = {quoted or plain for quoted, plain in re.findall(r'^  (?:"([^"]+)"|(\w+)):', german, re.MULTILINE)}
    assert shown == keys


def test_a_bundle_holds_each_module_once_and_nothing_is_left_to_import() -> None:
    bundles = [bundle(PAGE, entry) for entry in ENTRIES]
    for script in bundles:
        assert not re.search(r"^\s*(?:import|export)\b", script, re.MULTILINE)
        modules = re.findall(r"^const \$(\w+) = ", script, re.MULTILINE)
        assert len(modules) == len(set(modules)) and modules[-1] in ENTRIES
        places = [script.index(f"const ${module} = ") for module in modules]
        assert all(before < after for before, after in pairwise(places))
    for path in PAGE.glob("*.js"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert all(line.count("`") % 2 == 0 for line in lines), "a text of several lines would lose its indentation"
    used = {module for script in bundles for module in re.findall(r"^const \$(\w+) = ", script, re.MULTILINE)}
    assert used == {path.stem for path in PAGE.glob("*.js")}, "a module that no document uses"
    assert {path.name for path in PAGE.iterdir() if path.suffix in (".css", ".svg")} < page_parts().keys()
