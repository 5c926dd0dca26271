"""Identity over WHIP: Debian's whip-client sends a gallery of two people to a room, judged against ``--fast``.

A lead without faces precedes the gallery, so that its beginning shows in the room's events; both logs are then aligned
to a tick by their speech. The same file paced like a camera separates the cost of load from that of WHIP.
``score_events.py`` and the clips of people are needed; they are not part of this repository.
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
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from tests.benchmarks.engine import ROOT
from tests.benchmarks.load_recording import decoded, two_people, write
from tests.data import event_scores
from tests.stream.server.chromium import Event, Footage, is_reported, lead, listening, on_file_time
from tests.stream.server.test_server_factory import command
from tests.stream.server.test_whip import UPNP_STUB

BAR = 0.05
"""Maximum loss of identity against ``--fast``."""

SIZE = (640, 360)
LEAD_SECONDS = 4.0
VIDEO = "filesrc location={} ! matroskademux ! clocksync ! rtpvp8pay pt=96 ssrc=2 ! queue ! "
VIDEO += "application/x-rtp,media=video,encoding-name=VP8,payload=96"
AUDIO = "filesrc location={} ! matroskademux ! clocksync ! rtpopuspay pt=100 ssrc=1 ! queue ! "
AUDIO += "application/x-rtp,media=audio,encoding-name=OPUS,payload=100"


SEARCHED_SECONDS = 1.0
"""Range of the alignment. A beginning found by faces is late: a face is confirmed over several frames, and a room that
sheds load processes every other one."""


def file_events(clip: Path, out: Path, *options: str) -> None:
    """Events of the same file by ``run_live.py`` alone."""
    words = [sys.executable, "run_live.py", "--video", str(clip), *options, "--no-window", "--events", str(out)]
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
                while not is_reported(events, seconds - 0.5) and time.monotonic() < deadline:
                    time.sleep(0.2)
        finally:
            process.kill()
            process.communicate()
    lines: list[Event] = on_file_time(events, Footage(clip, clip, seconds, TICK_RATE), SIZE)
    out.write_text("".join(json.dumps(event) + "\n" for event in lines))


def align(path: Path, reference: Path) -> float:
    """Shift the events of ``path`` to where their speech fits that of ``reference`` best; returns the seconds."""
    times, speech = _speech(path)
    true_times, true_speech = _speech(reference)
    shifts = np.arange(-SEARCHED_SECONDS, SEARCHED_SECONDS + 1e-6, 1 / TICK_RATE)
    misses = [np.abs(np.interp(times + shift, true_times, true_speech) - speech).mean() for shift in shifts]
    shift = float(shifts[int(np.argmin(misses))])
    moved = [event | {"time": event["time"] + shift} for event in _events(path)]
    path.write_text("".join(json.dumps(event) + "\n" for event in moved if event["time"] >= 0))
    return shift


def _speech(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    scores = [event for event in _events(path) if event["type"] == "scores"]
    return np.array([each["time"] for each in scores]), np.array([each["speech"] for each in scores])


def _events(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def how_it_went(path: Path) -> str:
    """Ticks scored a second, the worst load level, and the lag at the end."""
    events = _events(path)
    times = [event["time"] for event in events if event["type"] == "scores"]
    ticks = (len(times) - 1) / (times[-1] - times[0])
    levels = [event["level"] for event in events if event["type"] == "load"]
    lags = [event["milliseconds"] for event in events if event["type"] == "lag"]
    return (
        f"{ticks:.1f} ticks a second, load level up to {max(levels, default=0)}, lag {lags[-1] if lags else 0:.0f} ms"
    )


def _with_lead(clip: Path, path: Path) -> float:
    """Write the file that is sent; returns the gallery's length in seconds."""
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
        clip = two_people(folder / "gallery.mp4", given.seed, given.seconds, SIZE)
        paths = {way: folder / f"{way}.jsonl" for way in ("--fast", "paced", "whip-client")}
        file_events(clip, paths["--fast"], "--fast")
        file_events(clip, paths["paced"])
        whip_events(clip, folder, paths["whip-client"])
        print(f"moved by {align(paths['whip-client'], paths['--fast']):+.2f} s; load average {os.getloadavg()[0]:.1f}")
        identity = {}
        for way, path in paths.items():
            result = event_scores(clip.with_suffix(".json"), path)
            identity[way] = float(result["identity"])
            shares = ", ".join(f"{key} {result[key]:.3f}" for key in ("identity", "delay", "faces", "ticks"))
            print(f"{way:12} {shares}; {how_it_went(path)}")
    lost = identity["--fast"] - identity["whip-client"]
    print(f"identity lost {lost:+.3f}, by load alone {identity['--fast'] - identity['paced']:+.3f}", end="; ")
    print(f"bar {BAR:g}: {'met' if lost <= BAR else 'missed'}")
    return int(lost > BAR)
