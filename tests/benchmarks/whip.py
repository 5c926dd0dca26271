"""Identity over WHIP: Debian's whip-client sends a gallery of two people to a room, judged against ``--fast``.

The gallery follows a lead without faces, so that its beginning shows in the room's events. ``score_events.py``, beside
the clips of real people, judges both; without it there is nothing to send or to judge with.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from speakerlight.core.errors import InputError
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from tests.benchmarks.engine import ROOT
from tests.benchmarks.load_recording import compose_gallery, decoded, write
from tests.data import event_scores
from tests.stream.server.chromium import Event, Footage, is_told, lead, listening, on_file_time
from tests.stream.server.test_serving import command
from tests.stream.server.test_whip import UPNP_STUB

BAR = 0.05
"""So much less identity than ``--fast`` is met."""

SIZE = (640, 360)
LEAD_SECONDS = 4.0
VIDEO = "filesrc location={} ! matroskademux ! clocksync ! rtpvp8pay pt=96 ssrc=2 ! queue ! "
VIDEO += "application/x-rtp,media=video,encoding-name=VP8,payload=96"
AUDIO = "filesrc location={} ! matroskademux ! clocksync ! rtpopuspay pt=100 ssrc=1 ! queue ! "
AUDIO += "application/x-rtp,media=audio,encoding-name=OPUS,payload=100"


def file_events(clip: Path, out: Path) -> None:
    """Events of the same file through ``--fast``."""
    words = [sys.executable, "run_live.py", "--video", str(clip), "--fast", "--no-window", "--events", str(out)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)


def whip_events(clip: Path, folder: Path, out: Path) -> None:
    """Events of a room that whip-client sends the gallery to, on the gallery's own time and in its pixels."""
    sent, seconds = folder / "sent.mkv", _with_lead(clip, folder / "sent.mkv")
    with command() as (_, url):
        words = ["whip-client", "-u", f"{url}/whip?room=load", "--no-trickle"]
        words += ["-V", VIDEO.format(sent), "-A", AUDIO.format(sent)]
        process = subprocess.Popen(words, env=_environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            _wait_for_room(f"{url}/events?room=load", process)
            with listening(f"{url.replace('http', 'ws', 1)}/events?room=load") as events:
                deadline = time.monotonic() + LEAD_SECONDS + seconds + 20
                while not is_told(events, seconds - 0.5) and time.monotonic() < deadline:
                    time.sleep(0.2)
        finally:
            process.kill()
            process.communicate()
    lines: list[Event] = on_file_time(events, Footage(clip, clip, seconds, TICK_RATE), SIZE)
    out.write_text("".join(json.dumps(event) + "\n" for event in lines))


def _with_lead(clip: Path, path: Path) -> float:
    """Write what is sent; the gallery's length in seconds."""
    images, samples = decoded(clip)
    before = list(lead(*SIZE, TICK_RATE))
    silence = np.zeros(len(before) * SAMPLE_RATE // TICK_RATE, np.float32)
    write(path, [*before, *images], np.concatenate([silence, samples]), SIZE)
    return len(images) / TICK_RATE


def _environment(folder: Path) -> dict[str, str]:
    for tool, package in (("whip-client", "simple-whip-client"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            raise InputError(f"whip: {tool} is not installed: Debian's {package}")
    library = folder / "libgupnp-igd-1.0.so.4"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)], input=UPNP_STUB.encode(), check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "GST_REGISTRY": str(folder / "registry")}


def _wait_for_room(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address)
        except urllib.error.HTTPError as refused:
            if refused.code != 404:
                return  # the room is there; only a WebSocket may listen
        time.sleep(0.1)
    raise InputError("whip: whip-client opened no room")


def main(arguments: list[str]) -> int:
    """Print both identities; status 1 when WHIP loses more than the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks whip", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40.0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = compose_gallery(folder / "gallery.mp4", given.seed, given.seconds, SIZE)
        file_events(clip, folder / "fast.jsonl")
        whip_events(clip, folder, folder / "whip.jsonl")
        fast, whip = (event_scores(clip.with_suffix(".json"), folder / f"{way}.jsonl") for way in ("fast", "whip"))
    for way, result in (("--fast", fast), ("whip-client", whip)):
        shares = ", ".join(f"{key} {result[key]:.3f}" for key in ("identity", "delay", "faces", "ticks"))
        print(f"{way:12} {shares}")
    lost = float(fast["identity"]) - float(whip["identity"])
    print(f"identity lost {lost:+.3f}, bar {BAR:g}: {'met' if lost <= BAR else 'missed'}")
    return int(lost > BAR)
