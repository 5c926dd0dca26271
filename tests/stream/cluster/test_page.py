"""The page in a real Chromium when its host drains or is killed: it continues at another host."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from playwright.sync_api import Page, sync_playwright

from tests.stream.cluster.test_local import pid_of
from tests.stream.server.chromium import chromium, needs_chromium, start_camera
from tests.stream.server.test_server_factory import command

pytestmark = needs_chromium

OPEN_SECONDS, MOVE_SECONDS = 30.0, 10.0
"""Bounds on a busy machine."""


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        yield browser.new_page()


def room_of(page: Page, not_of: str = " ", seconds: float = OPEN_SECONDS) -> str:
    """The room of the page's links, once it is not on the host ``not_of``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.search(r"room=([^&]+)", page.locator("#overlay-link").input_value())
        if found and not found[1].startswith(f"{not_of}-"):
            return found[1]
        page.wait_for_timeout(50)
    raise AssertionError(f"no room after {seconds} s")


@pytest.mark.parametrize("how", ["drained", "killed"])
def test_the_page_continues_at_another_host(page: Page, how: str) -> None:
    with command("--cluster", "local:2") as (_, url):
        start_camera(page, url)
        before = room_of(page)
        host = before.partition("-")[0]
        begun = time.monotonic()
        if how == "killed":
            os.kill(pid_of(host), signal.SIGKILL)
        else:
            drain = urllib.request.Request(f"{url}/hosts/{host}/drain", method="POST")
            urllib.request.urlopen(drain, timeout=10).close()
        after = room_of(page, host, MOVE_SECONDS)
        print(f"{how}: another room after {time.monotonic() - begun:.2f} s")
        with urllib.request.urlopen(f"{url}/hosts", timeout=10) as answer:
            rooms = {each["name"]: each["rooms"] for each in json.load(answer)}
        assert sum(rooms.values()) >= 1 and after.partition("-")[0] in rooms
        assert page.locator("#connection").get_attribute("data-state") == "live"
