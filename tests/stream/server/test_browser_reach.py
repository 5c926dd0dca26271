"""Reach in a real Chromium: WHEP as a player, loopback alone, and what the page says when there is no way through."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")

from playwright.sync_api import Browser, expect, sync_playwright

from speakerlight.server.rtc import connection
from tests.stream.server.chromium import CHROMIUM, FLAGS, needs_chromium, start_camera
from tests.stream.server.conftest import Serve
from tests.stream.server.namespaces import HTTP_PORT, ROOT, TOKEN, inside, loopback_only, missing, server

pytestmark = needs_chromium

WATCH = """async (room) => {
  const peer = new RTCPeerConnection();
  for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
  await peer.setLocalDescription();
  await new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
  });
  const headers = { "Content-Type": "application/sdp" };
  const answer = await fetch(`/whep?room=${room}`, { method: "POST", headers, body: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  for (;;) {
    const stats = [...(await peer.getStats()).values()].filter((each) => each.type === "inbound-rtp");
    const of = (kind) => stats.find((each) => each.kind === kind) ?? {};
    const [video, audio] = [of("video"), of("audio")];
    if (video.framesDecoded >= 10 && audio.packetsReceived > 25) {
      const left = await fetch(answer.headers.get("Location"), { method: "DELETE" });
      peer.close();
      return { status: answer.status, size: [video.frameWidth, video.frameHeight], left: left.status };
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}"""


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


def test_chromium_plays_a_rooms_view(serve: Serve, browser: Browser) -> None:
    url = f"http://127.0.0.1:{serve().port}/"
    camera, player = browser.new_page(), browser.new_page()
    start_camera(camera, url)
    room = camera.locator("#overlay-link").input_value().partition("room=")[2]
    player.goto(url)
    player.set_default_timeout(20_000)
    watched = player.evaluate(WATCH, room)
    assert watched["status"] == 201 and watched["left"] == 200
    assert max(watched["size"]) >= 320


def test_the_page_shows_why_ice_failed(serve: Serve, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind NAT: the server sends nothing to the browser's addresses, and announces one that leads nowhere."""
    monkeypatch.setattr(connection, "is_allowed", lambda *_: False)
    monkeypatch.setattr(connection.IceConnection, "request_received", lambda *_: None)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{serve().port}/")
    page.get_by_role("button", name="Camera and microphone").click()
    notice = page.get_by_role("alert").filter(has_text="no way through")
    expect(notice).to_contain_text("--public-address", timeout=20_000)
    expect(notice).to_contain_text("the server announced host")


def test_chromium_needs_no_interface_but_loopback() -> None:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with loopback_only() as alone, server(alone, host="127.0.0.1"):
        url = f"http://127.0.0.1:{HTTP_PORT}/?token={TOKEN}"
        line = [*inside(alone), sys.executable, "-m", "tests.stream.server.reach_browser", url]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60.0)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] in ("127.0.0.1", "::1")
