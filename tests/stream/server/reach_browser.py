"""Chromium as a program: opens a room with its fake camera and prints the server's candidate in use, and the events.

python -m tests.stream.server.reach_browser URL
"""

from __future__ import annotations

import json
import sys

from playwright.sync_api import sync_playwright

from tests.stream.server.chromium import CHROMIUM, FLAGS, start_camera

RECORD = """
  const peers = window.peers = [];
  const Original = RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) { super(...given); peers.push(this); }
  };
"""

REACHED = """async () => {
  const stats = [...(await peers.at(-1).getStats()).values()];
  const pair = stats.find((each) => each.type === "candidate-pair" && each.nominated && each.state === "succeeded");
  const remote = stats.find((each) => each.id === pair?.remoteCandidateId);
  return remote ? [remote.address, remote.port] : null;
}"""

LOOPBACK_FLAG = "--allow-loopback-in-peer-connection"
"""Chromium leaves the loopback interface out of its candidates otherwise. Where there is no other, it then has none."""

if __name__ == "__main__":
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, LOOPBACK_FLAG])
        page = browser.new_page()
        page.add_init_script(RECORD)
        start_camera(page, sys.argv[1])
        print(json.dumps(page.evaluate(REACHED)))
        browser.close()
