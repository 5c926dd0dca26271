"""Fault injection: breaks one thing after another around a real run; reports losses and the time until recovery.

Each fault has a run of its own, on the real thing where there is one; a fault whose tools are missing says so. Exit
status 1 when something was lost that was already there, or a run did not survive.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from speakerlight.clock import SessionClock
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT
from speakerlight.sources.camera import CameraSource

ROOT = Path(__file__).parents[2]
DEMO = "demo:people=2,seed=0"

START_SECONDS = 60.0
"""Longest wait for a run to begin, on a busy machine."""

PATIENCE_SECONDS = 30.0
"""Longest wait for a run to recover, or to end."""

Event = dict[str, Any]


class UnavailableError(Exception):
    """A tool is missing; the message names it."""


@dataclass(frozen=True)
class Outcome:
    """``again``: seconds from the fault's end until right, None where nothing has to be. ``is_survived``: no more was
    lost than the fault itself takes."""

    lost: str
    again: float | None
    is_survived: bool
    note: str = ""


class Run:
    """``run_live.py`` in a process of its own; its events with the moment of their arrival."""

    def __init__(self, folder: Path, *arguments: str, prefix: Sequence[str] = (), env: dict[str, str] | None = None):
        self._errors = folder / "stderr"
        command = [*prefix, sys.executable, str(ROOT / "run_live.py"), *arguments, "--events", "-"]
        environment = os.environ if env is None else os.environ | env
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, env=environment, start_new_session=True
            )
        self.events: list[tuple[float, Event]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def kinds(self, kind: str) -> list[Event]:
        return [event for _, event in list(self.events) if event["type"] == kind]

    def wait_for(self, holds: Callable[[Event], bool], after: float = 0.0, limit: float = PATIENCE_SECONDS) -> float:
        """Moment at which the first such event arrived ``after`` another moment; infinite when it does not come."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            for moment, event in list(self.events):
                if moment > after and holds(event):
                    return moment
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        return float("inf")

    def play(self, seconds: float) -> None:
        """Wait until this much of the session has been scored. Raises UnavailableError when the run does not begin."""
        begun = self.wait_for(lambda event: is_scored(event) and event["time"] >= seconds, limit=START_SECONDS)
        if begun == float("inf"):
            raise UnavailableError(f"the run did not begin: {self.said[-1:] or 'nothing was said'}")

    def end(self, limit: float = PATIENCE_SECONDS) -> int | None:
        """Exit status; None when it does not end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(limit)
            self._reader.join(5.0)
        return self.process.poll()

    @property
    def said(self) -> list[str]:
        """The lines on standard error."""
        return self._errors.read_text(errors="replace").splitlines()

    @property
    def is_whole(self) -> bool:
        """Whether the last event is the summary."""
        return bool(self.events) and self.events[-1][1]["type"] == "summary"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))


def is_scored(event: Event) -> bool:
    return bool(event["type"] == "scores")


def is_marked(event: Event) -> bool:
    """Whether a person is marked as speaking."""
    return is_scored(event) and any(face["speaking"] for face in event["faces"])


def is_speech(event: Event) -> bool:
    return is_scored(event) and (event["speech"] or 0.0) >= 0.5


def needed(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} not installed")


def playable(path: Path) -> float:
    """Seconds of video that can be decoded."""
    with av.open(str(path)) as container:
        times = [frame.time or 0.0 for frame in container.decode(video=0)]
    return max(times, default=0.0)


def outage(run: Run, begin: float) -> str:
    """Longest time without a score after ``begin``, in session time."""
    times = [event["time"] for moment, event in run.events if is_scored(event) and moment > begin - 1.0]
    gap = max((b - a for a, b in pairwise(times)), default=0.0)
    return f"scores of {gap:.1f} s" if gap > 0.5 else "nothing"


# Faults


def full_disk(folder: Path) -> Outcome:
    """The disk under ``--output`` fills up."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UnavailableError("mounting a tmpfs needs root on Linux")
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], check=True)
    try:
        record, turns = disk / "o.mp4", folder / "r.rttm"
        arguments = ["--video", DEMO, "--no-window", "--duration", "14", "--output", str(record), "--rttm", str(turns)]
        with Run(folder, *arguments) as run:
            status = run.end(START_SECONDS + 14)
            kept = playable(record)
            is_right = status == 1 and run.is_whole and kept > 1 and turns.stat().st_size > 0
            return Outcome(f"the recording from {kept:.1f} s on", None, is_right, f"status {status}; the others whole")
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def stopped_process(folder: Path) -> Outcome:
    """SIGSTOP for 10 s, then SIGCONT."""
    with Run(folder, "--video", DEMO, "--no-window", "--duration", "60") as run:
        run.play(10.0)
        before = resident_mib(run.process.pid)
        begin = time.monotonic()
        run.process.send_signal(signal.SIGSTOP)
        time.sleep(10.0)
        run.process.send_signal(signal.SIGCONT)
        over = time.monotonic()
        again = run.wait_for(is_marked, over + 0.1) - over
        time.sleep(2.0)
        grown = resident_mib(run.process.pid) - before
        run.process.send_signal(signal.SIGTERM)
        status = run.end()
        return Outcome(outage(run, begin), again, status == 0 and run.is_whole, f"{grown:+.0f} MiB of memory")


def killed_display(folder: Path) -> Outcome:
    """Xvfb is killed while it shows the window."""
    needed("Xvfb")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        display = f":{server.stdout.readline().strip()}"
        record = folder / "o.mp4"
        arguments = ["--video", DEMO, "--duration", "14", "--output", str(record)]
        with Run(folder, *arguments, env={"DISPLAY": display}) as run:
            try:
                run.play(5.0)
            finally:
                server.kill()
            over = time.monotonic()
            again = run.wait_for(is_scored, over + 0.1) - over
            status = run.end()
            kept = playable(record)
            lost = "the window" if run.is_whole else "the summary and the open turn"
            is_right = status == 0 and run.is_whole and kept > run.events[-1][1]["duration"] - 1.5
            return Outcome(lost, again, is_right, f"status {status}, {kept:.0f} s kept")


def stopped_reader(folder: Path) -> Outcome:
    """The reader of the event pipe stops reading for good."""
    pipe, rttm = folder / "pipe", folder / "r.rttm"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen(["sleep", "600"], stdin=end) as reader:
        command = [sys.executable, "run_live.py", "--video", DEMO, "--no-window", "--duration", "60"]
        command += ["--events", str(pipe), "--rttm", str(rttm)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline and (not rttm.exists() or not rttm.stat().st_size):
                time.sleep(0.1)
            time.sleep(5.0)
            run.send_signal(signal.SIGTERM)
            begin = time.monotonic()
            said = run.communicate(timeout=PATIENCE_SECONDS)[1]
        took = time.monotonic() - begin
        reader.kill()
    is_right = run.returncode == 1 and "--events" in said and rttm.stat().st_size > 0
    return Outcome("events that were not read", None, is_right, f"status {run.returncode}, ended in {took:.1f} s")


def removed_sink(folder: Path) -> Outcome:
    """PulseAudio's sink, whose monitor is the microphone, is removed for 3 s."""
    needed("pulseaudio", "pactl", "paplay")
    voice = folder / "voice.wav"
    write_voice(voice, 120.0)
    with pulseaudio(folder) as env, ExitStack() as players:
        module = sink(env)
        players.enter_context(playing(voice, env))
        arguments = ["--video", DEMO, "--audio", "mic.monitor", "--no-window", "--duration", "90"]
        with Run(folder, *arguments, env=env) as run:
            run.play(4.0)
            if run.wait_for(is_speech) == float("inf"):
                raise UnavailableError("the microphone gives no speech")
            begin = time.monotonic()
            subprocess.run(["pactl", "unload-module", module], env=os.environ | env, check=True)
            time.sleep(3.0)
            went_on = run.wait_for(is_scored, begin + 1.0, 3.0) < float("inf")
            sink(env)
            players.enter_context(playing(voice, env))
            over = time.monotonic()
            again = run.wait_for(is_speech, over + 0.1) - over
            run.process.send_signal(signal.SIGTERM)
            status = run.end()
            note = "" if went_on else "no scores meanwhile"
            is_right = again < float("inf") and status == 0 and run.is_whole
            return Outcome("audio of the outage", again, is_right, note)


def lossy_network(folder: Path) -> Outcome:
    """An RTP stream over a network that loses 5 % and delays by 40 ± 20 ms, for 6 s."""
    clip = folder / "clip.mp4"
    command = [sys.executable, "run_live.py", "--video", DEMO, "--fast", "--no-window", "--duration", "30"]
    subprocess.run([*command, "--output", str(clip)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    with lossy_link() as (prefix, ports, impair, kind):
        send = [*prefix, sys.executable, "-m", "tests.benchmarks.faults", "--send", str(clip), str(ports[0])]
        address = f"rtp://127.0.0.1:{ports[1]}"
        with subprocess.Popen(send, cwd=ROOT, stderr=subprocess.DEVNULL) as sender:
            try:
                with Run(folder, "--video", address, "--no-window", "--duration", "40", prefix=prefix) as run:
                    run.play(3.0)
                    if run.wait_for(is_marked) == float("inf"):
                        raise UnavailableError("no person is marked in the stream")
                    begin = time.monotonic()
                    impair(True)
                    time.sleep(6.0)
                    impair(False)
                    over = time.monotonic()
                    again = run.wait_for(is_marked, over) - over
                    run.process.send_signal(signal.SIGTERM)
                    status = run.end()
                    is_right = again < float("inf") and status == 0 and run.is_whole
                    return Outcome(outage(run, begin), again, is_right, kind)
            finally:
                sender.kill()


def killed_browser(folder: Path) -> Outcome:
    """A browser is killed in the middle of its session; another one comes."""
    needed("chromium")
    try:
        from playwright.sync_api import sync_playwright

        from speakerlight.core.demo import Demo, DemoSettings
        from tests.stream.server.chromium import FLAGS, listening, start_camera, write_demo
        from tests.stream.server.test_server_factory import command
    except ImportError as error:
        raise UnavailableError(f"{error.name} is not installed: pip install '.[test]'") from error
    demo = Demo(DemoSettings(people=1, seed=0, seconds=None))
    footage = write_demo(demo, 10.0, folder / "footage")
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={footage.video}"]
    flags += [f"--use-file-for-fake-audio-capture={footage.audio}"]
    with command() as (server, url), sync_playwright() as playwright:

        def browser() -> Any:
            return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)

        def live(opened: Any) -> Any:
            page = opened.new_page()
            start_camera(page, url)
            return page

        first = browser()
        page = live(first)
        with listening(page.locator("#events-link").input_value()) as events:
            wait_until(lambda: any(is_scored(event) for event in events))
            kill_chromium(folder)
            killed = time.monotonic()
            is_ended = wait_until(lambda: any(event["type"] == "summary" for event in events))
            ended = time.monotonic() - killed
        second = browser()
        begin = time.monotonic()
        live(second)
        again = time.monotonic() - begin
        second.close()
        is_right = is_ended and server.poll() is None
        return Outcome(
            "the killed browser's room", again, is_right, f"its room ended after {ended:.0f} s, with a summary"
        )


def failing_camera(folder: Path) -> Outcome:
    """A camera whose file descriptor gives errors for 3 s.

    The camera is a stand-in, which fails as OpenCV's does.
    """
    real, cv2.VideoCapture = cv2.VideoCapture, FailingCamera  # type: ignore[misc, assignment]
    try:
        source, clock = CameraSource(0), SessionClock()
        source.start(clock)
        frames = source.frames
        assert frames is not None
        try:
            assert frames.take(5.0) is not None
            FailingCamera.is_failing = True
            time.sleep(3.0)
            trouble = source.trouble
            while frames.take(0) is not None:
                pass
            FailingCamera.is_failing = False
            over = time.monotonic()
            frame = frames.take(PATIENCE_SECONDS)
            again = time.monotonic() - over
        finally:
            source.stop()
    finally:
        cv2.VideoCapture = real  # type: ignore[misc]
        FailingCamera.is_failing = False
    is_right = frame is not None and trouble is not None
    return Outcome("frames of the outage", again, is_right, f"stand-in; said: {trouble}")


def truncated_model(folder: Path) -> Outcome:
    """A model file in the cache is cut in half."""
    cache = folder / "cache"
    cache.mkdir()
    whole = fetch(BLAZEFACE_SHORT)
    (cache / whole.name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    status, said, took = short_run(folder, cache)
    is_mended = (cache / whole.name).exists() and (cache / whole.name).read_bytes() == whole.read_bytes()
    if status == 0 and is_mended:
        return Outcome("nothing", took, True, "fetched anew")
    return Outcome("nothing", None, status == 2 and len(said) == 1, f"status {status}: {said[-1:]}")


def shared_cache(folder: Path) -> Outcome:
    """Two runs begin at once with one empty cache."""
    cache = folder / "cache"
    results: list[tuple[int, list[str], float]] = []

    def run(name: str) -> None:
        own = folder / name
        own.mkdir()
        results.append(short_run(own, cache))

    threads = [threading.Thread(target=run, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(status for status, _, _ in results)
    if statuses == [2, 2]:
        raise UnavailableError(f"no model can be fetched here: {results[0][1][-1:]}")
    left = sorted(path.name for path in cache.iterdir())
    is_right = statuses == [0, 0] and (cache / BLAZEFACE_SHORT.name).read_bytes() == fetch(BLAZEFACE_SHORT).read_bytes()
    return Outcome("nothing", None, is_right, f"statuses {statuses}, in the cache: {', '.join(left)}")


FAULTS = {
    fault.__name__: fault
    for fault in (
        full_disk,
        stopped_process,
        killed_display,
        stopped_reader,
        removed_sink,
        lossy_network,
        killed_browser,
        failing_camera,
        truncated_model,
        shared_cache,
    )
}


# Tools


class FailingCamera:
    """The part of OpenCV's VideoCapture that is used; ``is_failing``: its file descriptor gives errors."""

    is_failing = False

    def __init__(self, *_: object) -> None:
        pass

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return not self.is_failing

    def set(self, *_: object) -> bool:
        return True

    def grab(self) -> bool:
        time.sleep(1 / 30)
        return not self.is_failing

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.zeros((360, 640, 3), np.uint8)

    def release(self) -> None:
        pass


def short_run(folder: Path, cache: Path) -> tuple[int, list[str], float]:
    """Status, lines on standard error and seconds of a run of two seconds with a cache of its own."""
    command = [sys.executable, str(ROOT / "run_live.py"), "--video", DEMO, "--fast", "--no-window", "--duration", "2"]
    begin = time.monotonic()
    environment = os.environ | {"SPEAKERLIGHT_CACHE": str(cache)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    return ended.returncode, ended.stderr.splitlines(), time.monotonic() - begin


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait_until(holds: Callable[[], bool], limit: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill_chromium(folder: Path) -> None:
    """Kill the browser whose camera is a file in ``folder``, with all its processes."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)


def write_voice(path: Path, seconds: float) -> None:
    """The demo's voices as a WAV file."""
    from speakerlight.core.demo import Demo, DemoSettings

    samples = Demo(DemoSettings(people=2, seed=0, seconds=None)).audio(0, round(seconds * SAMPLE_RATE))
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def pulseaudio(folder: Path) -> Iterator[dict[str, str]]:
    """A private PulseAudio; gives the environment to reach it, in which it is ALSA's default."""
    home = Path(tempfile.mkdtemp(prefix="pulse"))
    (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    env = {name: str(home) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH")}
    env["PULSE_SERVER"] = f"unix:{home}/socket"
    env["SPEAKERLIGHT_CACHE"] = str(fetch(BLAZEFACE_SHORT).parent)
    protocol = f"module-native-protocol-unix socket={home}/socket auth-anonymous=1"
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "-L", protocol]
    with subprocess.Popen(command, env=os.environ | env, stderr=subprocess.DEVNULL) as daemon:
        try:
            if not wait_until((home / "socket").exists, 10.0):
                raise UnavailableError("PulseAudio does not start")
            yield env
        finally:
            daemon.terminate()
    shutil.rmtree(home, ignore_errors=True)


def sink(env: dict[str, str]) -> str:
    """Load a sink whose monitor is a microphone; returns the module's number."""
    command = ["pactl", "load-module", "module-null-sink", "sink_name=mic"]
    loaded = subprocess.run(command, env=os.environ | env, check=True, capture_output=True, text=True)
    subprocess.run(["pactl", "set-default-source", "mic.monitor"], env=os.environ | env, check=True)
    return loaded.stdout.strip()


@contextmanager
def playing(path: Path, env: dict[str, str]) -> Iterator[None]:
    command = ["paplay", "--latency-msec=40", "-d", "mic", str(path)]
    with subprocess.Popen(command, env=os.environ | env, stderr=subprocess.DEVNULL) as player:
        try:
            yield
        finally:
            player.kill()


Link = tuple[Sequence[str], tuple[int, int], Callable[[bool], None], str]
"""Prefixes of commands at both ends, the ports to send to and to listen on, a switch for the fault, its name."""


@contextmanager
def lossy_link() -> Iterator[Link]:
    """A network namespace with netem where the kernel has it, else a relay that loses and delays packets."""
    name = f"faults{os.getpid()}"
    netem = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "5%", "delay", "40ms", "20ms"]
    prefix = ["ip", "netns", "exec", name]
    with ExitStack() as cleanup:
        if quiet("ip", "netns", "add", name):
            cleanup.callback(quiet, "ip", "netns", "del", name)
            quiet(*prefix, "ip", "link", "set", "lo", "up")
            if quiet(*prefix, *netem) and quiet(*prefix, "tc", "qdisc", "del", "dev", "lo", "root"):

                def switch(on: bool) -> None:
                    quiet(*prefix, *(netem if on else ["tc", "qdisc", "del", "dev", "lo", "root"]))

                yield prefix, (5004, 5004), switch, "netem"
                return
    relay = Relay()
    try:
        yield (), relay.ports, relay.impair, "relay: no netem here"
    finally:
        relay.close()


def quiet(*command: str) -> bool:
    """Whether a command succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Relay:
    """Passes UDP packets on from one port to another; impaired, it loses 5 % and delays by 20 to 60 ms."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.ports = self._socket.getsockname()[1], free.getsockname()[1] & ~1
        self._is_impaired = False
        threading.Thread(target=self._work, daemon=True).start()

    def impair(self, on: bool) -> None:
        self._is_impaired = on

    def close(self) -> None:
        self._socket.close()

    def _work(self) -> None:
        chance = random.Random(1)
        while True:
            try:
                packet = self._socket.recv(65536)
            except OSError:
                return
            if not self._is_impaired:
                self._pass_on(packet)
            elif chance.random() >= 0.05:
                threading.Timer(chance.uniform(0.02, 0.06), self._pass_on, [packet]).start()

    def _pass_on(self, packet: bytes) -> None:
        with suppress(OSError):
            self._socket.sendto(packet, ("127.0.0.1", self.ports[1]))


def send(clip: Path, port: int) -> None:
    """Send a clip as MPEG-TS over RTP in real time, again and again."""
    target = f"rtp://127.0.0.1:{port}"
    with av.open(target, "w", format="rtp_mpegts") as out:
        begin, offset = time.monotonic(), 0.0
        streams: dict[int, Any] = {}
        while True:
            last = 0.0
            with av.open(str(clip)) as given:
                for packet in given.demux():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    if not streams:
                        for stream in given.streams:
                            streams[stream.index] = out.add_stream_from_template(stream)
                    moment = float(packet.dts * packet.time_base)
                    last = max(last, moment)
                    shift = round(offset / packet.time_base)
                    packet.dts += shift
                    packet.pts = None if packet.pts is None else packet.pts + shift
                    packet.stream = streams[packet.stream.index]
                    time.sleep(max(begin + offset + moment - time.monotonic(), 0.0))
                    out.mux(packet)
            offset += last + 0.04


def main(arguments: list[str]) -> int:
    """Print a markdown table, one line for each fault as it is measured; status 1 when one was not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"{', '.join(FAULTS)}; default: all")
    given = parser.parse_args(arguments)
    unknown = set(given.faults) - set(FAULTS)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    print("| fault | survived | lost | right again after | |\n|---|---|---|---|---|", flush=True)
    failures = 0
    for name in given.faults or FAULTS:
        line, is_survived = measured(FAULTS[name])
        failures += not is_survived
        print(line, flush=True)
    return 1 if failures else 0


def measured(fault: Callable[[Path], Outcome]) -> tuple[str, bool]:
    """The table's line for a fault, and whether it was survived (or not tried)."""
    title = (fault.__doc__ or "").splitlines()[0].rstrip(".")
    with tempfile.TemporaryDirectory(prefix="fault", ignore_cleanup_errors=True) as folder:
        try:
            outcome = fault(Path(folder))
        except UnavailableError as reason:
            return f"| {title} | not tried | | | {reason} |", True
        except Exception as error:
            return f"| {title} | **no** | | | {type(error).__name__}: {error} |", False
    again = "–" if outcome.again is None else f"{outcome.again:.1f} s"
    survived = "yes" if outcome.is_survived else "**no**"
    return f"| {title} | {survived} | {outcome.lost} | {again} | {outcome.note} |", outcome.is_survived


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        send(Path(sys.argv[2]), int(sys.argv[3]))
    sys.exit(main(sys.argv[1:]))
