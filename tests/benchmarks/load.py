"""Server load without browsers: rooms a core, several hosts, a burst of offers, the door, a simulation of many rooms.

Clients replay recorded RTP in processes of their own. Rooms are added one by one until the 95th percentile of the event
delay (from a frame's sending to its ``scores`` event at the client) or identity misses its bar. Each host is bound to
one core; the last core is the clients'. Hosts beyond the remaining cores share them. Processor time comes from /proc,
so rooms a core by processor time can be measured on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCPeerConnection

from speakerlight.cluster.host_process import READY, HostProcess, host_settings
from speakerlight.cluster.routing import HostAddress
from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings
from speakerlight.server.client_address import parse_network
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.tokens import new_token
from tests.benchmarks.engine import ROOT, cpu_seconds
from tests.benchmarks.load_client import loopback, percentile
from tests.benchmarks.load_recording import demo_recording, gallery_recording
from tests.benchmarks.load_simulation import ASSUMPTIONS, Costs, Measured, fleet, predicted_p95
from tests.benchmarks.measure import Row, Spread, exactly, header, line, spread, write_json
from tests.stream.server.test_server_factory import command

DELAY_BAR_SECONDS, IDENTITY_BAR, ROOMS_BAR = 0.3, 0.95, 4
BURST, CAPACITY = 50, 16
RUNNING = 1
"""Number of rooms that run during the burst, in addition to the capacity."""

BURST_SECONDS = 1.0
MIN_OFFERS, OFFERS_A_SECOND = 10, 4
"""Number of timed offers by each way: at least the first, and the second times ``--seconds``."""

OFFER_PAUSE_SECONDS = 0.1
"""Pause between timed offers, in which the previous offer's room closes."""

SETTLE_SECONDS = 6.0
"""Pause before a measurement: lag, people and load level of new rooms settle."""

FLEETS = (10, 1_000, 10_000)
PARTS = ("rooms", "burst", "door")
SEED = 5


@dataclass(frozen=True)
class Step:
    """Measurement with a number of rooms on a number of hosts. ``delays``: seconds, one list for each room;
    ``server_cores``, ``client_cores``: processor seconds a second; ``loop_cores``: of the busiest host's event loop."""

    hosts: int
    rooms: int
    delays: tuple[tuple[float, ...], ...]
    identities: tuple[float | None, ...]
    server_cores: float
    client_cores: float
    level: int
    loop_cores: float

    @property
    def p95(self) -> float:
        return percentile([delay for room in self.delays for delay in room], 0.95)

    @property
    def identity(self) -> float:
        """Identity of the worst room."""
        return min(0.0 if share is None else share for share in self.identities)

    @property
    def is_met(self) -> bool:
        return self.p95 <= DELAY_BAR_SECONDS and self.identity >= IDENTITY_BAR

    @property
    def note(self) -> str:
        shares = " ".join("–" if share is None else f"{share:.2f}" for share in self.identities)
        return f"identity {shares}, load level {self.level}, clients use {self.client_cores:.2f} cores"


@dataclass(frozen=True, eq=False)
class Client:
    """A client process with one or more rooms."""

    process: subprocess.Popen[str]

    def until_ready(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise InputError("load: a client could not open its rooms")

    def report(self, begin: float, end: float) -> list[dict[str, Any]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{begin} {end}\n")
        self.process.stdin.flush()
        rooms: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return rooms


def measured(hosts: int, rooms: int, recordings: Sequence[Path], seconds: float) -> Step:
    """Measure ``rooms`` spread over ``hosts`` processes."""
    with ExitStack() as stack:
        served = [stack.enter_context(server(index)) for index in range(hosts)]
        return _observed([process.pid for process, _ in served], [url for _, url in served], rooms, recordings, seconds)


def _observed(pids: Sequence[int], urls: Sequence[str], rooms: int, recordings: Sequence[Path], seconds: float) -> Step:
    with ExitStack() as stack:
        clients = []
        for index, url in enumerate(urls):
            own = range(index, rooms, len(urls))
            if own:
                recording = recordings[index % len(recordings)]
                clients.append(stack.enter_context(client(url, recording, len(own), 50 * index)))
        for each in clients:
            each.until_ready()
        time.sleep(SETTLE_SECONDS)
        loops = [_loop_seconds(url) for url in urls]
        begin, used = time.monotonic(), _used(pids)
        client_used = _used([each.process.pid for each in clients])
        time.sleep(seconds)
        end = time.monotonic()
        server_cores = (_used(pids) - used) / (end - begin)
        client_cores = (_used([each.process.pid for each in clients]) - client_used) / (end - begin)
        loop_cores = max(_loop_seconds(url) - before for url, before in zip(urls, loops, strict=True)) / (end - begin)
        reports = [room for each in clients for room in each.report(begin, end)]
        return _step(reports, len(urls), server_cores, client_cores, loop_cores)


def _loop_seconds(url: str) -> float:
    """Processor time of a server's event loop so far."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(each.split()[1]) for each in lines if each.startswith("speakerlight_loop_seconds "))


def _step(
    reports: Sequence[dict[str, Any]],
    hosts: int = 1,
    server_cores: float = 0.0,
    client_cores: float = 0.0,
    loop_cores: float = 0.0,
) -> Step:
    delays = tuple(tuple(report["delays"]) for report in reports)
    identities = tuple(report["identity"] for report in reports)
    level = max(report["level"] for report in reports)
    return Step(hosts, len(reports), delays, identities, server_cores, client_cores, level, loop_cores)


def _used(pids: Sequence[int]) -> float:
    return sum(map(cpu_seconds, pids))


@contextmanager
def server(index: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A host bound to one core, its own where there are enough. Another core is left for the clients."""
    with command("--rooms", str(CAPACITY), *arguments) as (process, url):
        _bind(process.pid, {index % max(_cores() - 1, 1)})
        yield process, url


@contextmanager
def client(url: str, recording: Path, rooms: int, first: int) -> Iterator[Client]:
    """A client process with ``rooms`` rooms. ``first``: number of its first room, which determines its address."""
    words = [sys.executable, "-m", "tests.benchmarks.load_client", url, str(recording), str(rooms), str(first)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _bind(process.pid, {_cores() - 1})
    try:
        yield Client(process)
    finally:
        process.kill()
        process.communicate()


def _cores() -> int:
    return os.cpu_count() or 1


def _bind(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def saturated(hosts: int, recordings: Sequence[Path], most: int, seconds: float) -> Iterator[Step]:
    """Measure with one more room on each host a step, up to and including the first step that misses a bar."""
    for rooms in range(hosts, most + 1, hosts):
        step = measured(hosts, rooms, recordings, seconds)
        yield step
        if not step.is_met:
            return


def burst(recordings: Sequence[Path], seconds: float) -> list[Row]:
    """Send 50 offers of different clients within a second while a room runs. The rooms they open receive nothing."""
    with ExitStack() as stack:
        process, url = stack.enter_context(command("--rooms", str(CAPACITY + RUNNING)))
        running = stack.enter_context(client(url, recordings[0], RUNNING, 0))
        running.until_ready()
        time.sleep(SETTLE_SECONDS)
        begin = time.monotonic()
        time.sleep(seconds / 2)
        used, offered = cpu_seconds(process.pid), time.monotonic()
        answers = asyncio.run(_offer_many(url))
        took, answered = cpu_seconds(process.pid) - used, time.monotonic()
        time.sleep(max(seconds / 2 - (answered - offered), 1.0))
        before = _step(running.report(begin, offered))
        after = _step(running.report(offered, time.monotonic()))
    admitted = [delay for status, _, delay in answers if status == 200]
    refused = [delay for status, is_clear, delay in answers if status == 503 and is_clear]
    other = BURST - len(admitted) - len(refused)
    note = f"of {BURST} at capacity {CAPACITY}; {len(refused)} clear refusals, {other} other answers"
    ms = [1000 * delay for delay in admitted + refused]
    return [
        _row("burst: rooms admitted", RUNNING, exactly(len(admitted)), "rooms", note),
        _row("burst: answer", RUNNING, spread(ms), "ms", f"p95 {np.quantile(ms, 0.95):.0f} ms"),
        _row(
            "burst: offers a core", RUNNING, exactly(BURST / max(took, 0.01)), "offers/s", f"{took:.2f} CPU s for all"
        ),
        _row("burst: p95 while running", RUNNING, exactly(after.p95), "s", f"{before.p95:.3f} s before"),
    ]


def door(seconds: float) -> list[Row]:
    """Send offers alternately to a host and through a door; each runs in a process of its own."""
    secret, name = new_token(), "h1"
    serve = ServeSettings("127.0.0.1", 0, rooms=CAPACITY, trusted_proxies=(parse_network("127.0.0.0/8"),))
    process = HostProcess(name, host_settings(RunSettings(serve=serve, people=False), secret))
    try:
        port = next((value for kind, value in process.messages() if kind == READY), None)
        if port is None:
            raise InputError("load: a host did not start")
        host = HostAddress(name, f"http://127.0.0.1:{port}", secret)
        with door_process(host) as (pid, url):
            ways = {"direct": (host.url, host.headers), "through the door": (url, {})}
            used, count = cpu_seconds(pid), max(round(OFFERS_A_SECOND * seconds), MIN_OFFERS)
            times = asyncio.run(_offer_in_turns(ways, count))
            cpu_ms = 1000 * (cpu_seconds(pid) - used) / count
    finally:
        process.close()
        process.join()
    rows = [
        _row(f"offer {way}", 0, spread(ms), "ms", f"p95 {np.quantile(ms, 0.95):.1f} ms") for way, ms in times.items()
    ]
    added = [through - direct for direct, through in zip(*times.values(), strict=True)]
    p95 = float(np.quantile(times["through the door"], 0.95) - np.quantile(times["direct"], 0.95))
    note = f"difference of p95; of pairs: median {np.median(added):.1f}, p95 {np.quantile(added, 0.95):.1f} ms"
    added_row = _row("added by the door", 0, exactly(p95), "ms", note)
    return [*rows, added_row, _row("an offer at the door", 0, exactly(cpu_ms), "ms CPU", "with the polls of its host")]


@contextmanager
def door_process(host: HostAddress) -> Iterator[tuple[int, str]]:
    """A door in front of ``host`` in a process of its own: process id and URL."""
    words = [sys.executable, "-m", "tests.benchmarks.load_door", host.name, host.url, host.secret]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


async def _offer_in_turns(ways: dict[str, tuple[str, dict[str, str]]], count: int) -> dict[str, list[float]]:
    """Milliseconds of each offer by each way. The rooms are closed again at once."""
    sdp = await _unconnected_offer()
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(count):
        for way, (url, headers) in ways.items():
            client = {"X-Forwarded-For": f"192.0.2.{1 + number % 250}"}
            async with aiohttp.ClientSession(headers=headers | client) as session:
                begun = time.perf_counter()
                async with session.post(f"{url}/offer", json={"type": "offer", "sdp": sdp}) as answer:
                    content = await answer.json()
                times[way].append(1000 * (time.perf_counter() - begun))
                if answer.status != 200:
                    raise InputError(f"load: an offer {way} was refused: {content.get('error')}")
                await session.delete(f"{url}/rooms/{content['room']}")
            await asyncio.sleep(OFFER_PAUSE_SECONDS)
    return times


async def _unconnected_offer() -> str:
    """The SDP of a client that never connects."""
    connection = RTCPeerConnection()
    connection.createDataChannel("events")
    for kind in ("audio", "video"):
        connection.addTransceiver(kind, "sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    sdp: str = connection.localDescription.sdp
    await connection.close()
    return sdp


async def _offer_many(url: str) -> list[tuple[int, bool, float]]:
    """Status of each offer, whether a refusal has its reason and Retry-After, and the seconds until the answer."""
    body = {"type": "offer", "sdp": await _unconnected_offer()}

    async def one(number: int) -> tuple[int, bool, float]:
        await asyncio.sleep(number * BURST_SECONDS / BURST)
        connector = aiohttp.TCPConnector(local_addr=(loopback(200 + number), 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            begun = time.monotonic()
            response = await session.post(f"{url}/offer", json=body)
            answer = await response.json()
            is_clear = bool(answer.get("error")) and "Retry-After" in response.headers
            return response.status, is_clear, time.monotonic() - begun

    return await asyncio.gather(*(one(number) for number in range(BURST)))


def service(steps: Sequence[Step]) -> Measured | None:
    """Processor time of a room and of a host without rooms, fitted over the steps in which no load was shed; None where
    it always was."""
    whole = [step for step in steps if step.level == 0]
    if not whole:
        return None
    if len(whole) > 1:
        a_room, fixed = np.polyfit([step.rooms for step in whole], [step.server_cores for step in whole], 1).tolist()
    else:
        a_room, fixed = whole[0].server_cores / whole[0].rooms, 0.0
    fixed_a_host = max(fixed, 0.0) / whole[0].hosts
    return Measured(a_room, fixed_a_host, percentile([d for room in whole[0].delays for d in room], 0.5))


def main(arguments: list[str]) -> int:
    """Print a table; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks load", description=__doc__)
    parser.add_argument("--rooms", type=int, default=8, help="try at most so many (default 8)")
    parser.add_argument("--hosts", type=int, nargs="+", default=[1], help="1 to 4, one after the other")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="measure only these parts")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured a step")
    parser.add_argument("--size", default="640x360", help="of the recordings")
    parser.add_argument("--people", choices=("demo", "recorded"), default="demo", help="who is before the cameras")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("load: measured on Linux only")

    def show(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)

    print(f"load average {os.getloadavg()[0]:.1f} on {_cores()} cores before the run\n{header()}", flush=True)
    is_met = True
    with tempfile.TemporaryDirectory() as folder:
        recordings = _recordings(Path(folder), given.people, given.size)
        if "rooms" in given.only:
            by_hosts = {
                hosts: list(_shown(saturated(hosts, recordings, given.rooms, given.seconds), show))
                for hosts in given.hosts
            }
            is_met = _compare(by_hosts, show)
        for row in burst(recordings, given.seconds) if "burst" in given.only else ():
            show(row)
        for row in door(given.seconds) if "door" in given.only else ():
            show(row)
    if given.json:
        write_json(given.json, rows)
    return int(not is_met)


def _shown(steps: Iterator[Step], show: Callable[[Row], None]) -> Iterator[Step]:
    for step in steps:
        for row in _step_rows(step):
            show(row)
        yield step


def _compare(by_hosts: dict[int, list[Step]], show: Callable[[Row], None]) -> bool:
    """Show rooms a core for each number of hosts, against the first one, and the simulation; whether the bar is met."""
    first, is_met = next(iter(by_hosts)), True
    for hosts, steps in by_hosts.items():
        label, cores = _label(hosts), min(hosts, max(_cores() - 1, 1))
        best = max((step.rooms for step in steps if step.is_met), default=0)
        is_met &= best >= ROOMS_BAR * cores
        show(_row(f"{label}: rooms a core, met bars", best, exactly(best / cores), "rooms", f"hosts on {cores} cores"))
        if (times := service(steps)) is None:
            print(f"{label}: load was shed from the first room on, so there is no processor time of a room")
        else:
            by_cpu = exactly((1 - times.fixed_cores) / times.room_cores)
            show(_row(f"{label}: rooms a core, by CPU", best, by_cpu, "rooms", str(times)))
        for name, ratio in _against(by_hosts[first], steps) if hosts != first else ():
            show(_row(f"{label}: rooms a core, ratio", best, exactly(ratio), "", f"to {_label(first)}, {name}"))
    if (times := service(by_hosts[first])) is not None:
        print_simulation(times, by_hosts.get(1, []))
    return is_met


def _against(reference: Sequence[Step], steps: Sequence[Step]) -> Iterator[tuple[str, float]]:
    """Processor time of ``reference`` over that of ``steps``, for each number of rooms that both have."""
    of_reference = {step.rooms: step for step in reference}
    for step in steps:
        if (other := of_reference.get(step.rooms)) is not None:
            levels = f"load levels {other.level} and {step.level}"
            yield f"by CPU with {step.rooms} rooms, {levels}", other.server_cores / step.server_cores


def print_simulation(times: Measured, steps: Sequence[Step]) -> None:
    """Print the simulation beside the measurement of one host, then the fleets."""
    print("\nsimulation, which assumes:")
    for assumption in ASSUMPTIONS:
        print(f"  - {assumption}")
    for step in steps:
        predicted = f"{predicted_p95(times, step.rooms, 1):.3f} s"
        print(f"{step.rooms} rooms on 1 core: p95 {predicted}, measured {step.p95:.3f} s at load level {step.level}")
    for rooms in FLEETS:
        print(fleet(times, rooms, Costs()))


def _recordings(folder: Path, people: str, size: str) -> list[Path]:
    width, height = map(int, size.split("x"))
    made = []
    for seed in (SEED, SEED + 1):
        path = folder / f"{seed}.mkv"
        make = gallery_recording if people == "recorded" else demo_recording
        made.append(make(path, seed, 20.0, (width, height)))
    return made


def _step_rows(step: Step) -> list[Row]:
    label, loop = _label(step.hosts), step.loop_cores * step.hosts / step.rooms
    saturation = f"one loop saturates with {1 / max(loop, 0.001):.0f} rooms"
    return [
        _row(f"{label}: event delay p95", step.rooms, exactly(step.p95), "s", step.note),
        _row(f"{label}: cores a room", step.rooms, exactly(step.server_cores / step.rooms), "cores", ""),
        _row(f"{label}: event loop a room", step.rooms, exactly(loop), "cores", saturation),
    ]


def _label(hosts: int) -> str:
    return f"{hosts} host{'s' if hosts > 1 else ''}"


def _row(measure: str, rooms: int, value: Spread, unit: str, note: str) -> Row:
    return Row("load", measure, "compact", rooms, value, unit, note=note)
