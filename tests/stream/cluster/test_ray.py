"""A door over hosts that Ray runs on two nodes of one machine: rooms on both, one host killed, one drained."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")
pytest.importorskip("ray", reason="the extra [cluster] is not installed: pip install '.[cluster]'")

import ray
from ray._private import state
from ray.cluster_utils import Cluster

from speakerlight.cluster.cluster_settings import RayCluster
from speakerlight.cluster.door import Door
from speakerlight.cluster.ray_hosts import ACTOR, RayHosts
from speakerlight.run_settings import RunSettings
from speakerlight.server.client_address import parse_network
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings
from tests.stream.cluster.test_local import ROOT, asked, pid_of, pids_of, words_of
from tests.stream.server.browser import Browser

ROOMS = 3
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def cluster(mediapipe_loaded: None) -> Iterator[Cluster]:
    """Two nodes."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    made = Cluster()
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=80 << 20)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def door(cluster: Cluster, said: list[str]) -> Iterator[int]:
    """The port of a door; the machine's own address is trusted to name clients."""
    serve = ServeSettings(
        "127.0.0.1",
        0,
        rooms=ROOMS,
        trusted_proxies=(parse_network("127.0.0.1"),),
        cluster=RayCluster(cluster.address, sizes_hosts=False),
    )
    settings = RunSettings(serve=serve, people=False)
    assert isinstance(serve.cluster, RayCluster)
    with (
        listening(serve) as address,
        RayHosts(settings, serve.cluster, said.append) as hosts,
        Door(address, hosts.addresses, said.append) as door,
    ):
        yield door.port


async def hosts_of(port: int) -> dict[str, int]:
    return {each["name"]: each["rooms"] for each in await asked(f"http://127.0.0.1:{port}", "/hosts")}


async def gone(url: str, room: str) -> None:
    async with asyncio.timeout(20):
        while "error" not in await asked(url, f"/rooms/{room}"):
            await asyncio.sleep(0.1)


def test_rooms_go_to_both_nodes_and_the_metrics_show_them(door: int) -> None:
    async def work() -> None:
        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(Browser(door)) for _ in range(2)]
            for page in pages:
                await page.until(lambda page=page: page.of("scores"), 40)  # type: ignore[misc]
            assert sorted((await hosts_of(door)).values()) == [1, 1]
            assert len({page.room.partition("-")[0] for page in pages}) == 2
            await until_shown()

    async def until_shown() -> None:
        names = set(await hosts_of(door))
        ports = {node["MetricsExportPort"] for node in ray.nodes()}
        async with asyncio.timeout(30):
            while True:
                text = "".join(map(scraped, ports))
                lines = [line for line in text.splitlines() if line.startswith("ray_speakerlight_rooms{")]
                if all(any(name in line and line.endswith(" 1.0") for line in lines) for name in names):
                    assert "ray_speakerlight_capacity" in text and "ray_speakerlight_latency_ms" in text
                    return
                await asyncio.sleep(0.5)

    asyncio.run(work())


def scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_a_page_of_a_killed_host_keeps_its_names_and_ray_starts_the_host_again(door: int) -> None:
    url = f"http://127.0.0.1:{door}"

    async def work() -> None:
        async with Browser(door) as before:
            await before.until(lambda: before.of("scores"), 40)
            before.notify(type="name", id=3, name="Ada")
            await before.until(lambda: before.of("names"))
            await asyncio.sleep(1.5)
            host = before.room.partition("-")[0]
            pid = pid_of(host)
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            await gone(url, before.room)
        async with Browser(door, moved_from=before.room) as after:
            await after.until(lambda: after.of("scores"), 40)
            print(f"scored again {time.monotonic() - killed:.1f} s after kill -9")
            assert after.room.partition("-")[0] != host
            await after.until(lambda: after.of("names"))
            assert after.of("names")[-1]["names"] == {"3": "Ada"}
        async with asyncio.timeout(60):  # the door may list the host that died a little longer
            while pids_of(host) in ([], [pid]) or host not in await hosts_of(door):
                await asyncio.sleep(0.2)

    asyncio.run(work())


def test_a_drained_host_is_ended_once_its_page_has_moved(door: int) -> None:
    url = f"http://127.0.0.1:{door}"

    async def work() -> None:
        async with Browser(door) as before:
            await before.until(lambda: before.of("scores"), 40)
            host = before.room.partition("-")[0]
            await asked(url, f"/hosts/{host}/drain", "POST")
            await before.until(lambda: before.of("moved"))
            async with Browser(door, moved_from=before.room) as after:
                await after.until(lambda: after.of("scores"), 40)
                assert after.room.partition("-")[0] != host
        async with asyncio.timeout(40):
            while any(each["Name"] == ACTOR + host and each["State"] != "DEAD" for each in state.actors().values()):
                await asyncio.sleep(0.2)
        await asyncio.sleep(2.0)
        assert host not in await hosts_of(door), "it is not started again"

    asyncio.run(work())


def test_auto_starts_ray_here_and_leaves_nothing_behind() -> None:
    environment = os.environ | {"RAY_ADDRESS": ""}
    line = [sys.executable, "run_live.py", "--serve", "0", "--cluster", "auto", "--people", "off"]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        said = "".join(lines)
        url = re.search(r"serving on (http://127\.0\.0\.1:\d+)/", said)
        if "timed out during startup" in said:
            pytest.skip("this machine is busy: Ray's own node did not start within 30 s")
        assert url, said
        assert [each["rooms"] for each in asyncio.run(asked(url[1], "/hosts"))] == [0]
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.communicate()
    session = f"_{process.pid}/".encode()
    deadline = time.monotonic() + 20
    while left := [each for each in Path("/proc").glob("[0-9]*/cmdline") if session in words_of(each)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
