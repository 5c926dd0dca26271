"""Reach beyond one network: NAT on both sides, TURN where UDP is blocked, a port range, loopback alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stream.server.namespaces import (
    CLIENT,
    PUBLIC_SERVER,
    ROOT,
    SERVER,
    TOKEN,
    TURN,
    TURN_PORTS,
    block_udp,
    inside,
    internet,
    loopback_only,
    missing,
    server,
    turn_server,
)

UDP_PORTS = (50_000, 50_009)
PORTS = "-".join(map(str, UDP_PORTS))

if (reason := missing()) is not None:
    pytest.skip(reason, allow_module_level=True)


def reach(namespace: str = CLIENT, host: str = PUBLIC_SERVER, *options: str) -> dict[str, Any]:
    """How a client reached the server."""
    line = [*inside(namespace), sys.executable, "-m", "tests.stream.server.reach_client", host, TOKEN, *options]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60.0)
    assert done.returncode == 0, done.stderr
    reached: dict[str, Any] = json.loads(done.stdout)
    return reached


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with internet(UDP_PORTS):
        yield


def sockets(namespace: str) -> set[int]:
    """Ports of the UDP sockets in a namespace."""
    listed = subprocess.run([*inside(namespace), "ss", "-Huan"], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[3].rpartition(":")[2]) for line in listed.splitlines()}


def test_without_settings_the_failure_reports_what_to_set(network: None) -> None:
    with server(SERVER) as process:
        failure = reach(CLIENT, PUBLIC_SERVER, "--short")["failure"]
        assert "the client offered host 192.168.7.2" in failure and "the server announced host 10.9.0.2" in failure
        assert "--public-address" in failure and "--ice-server turn:" in failure
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "room of client 198.18.0.10: no way through" in line and "--public-address" in line


@pytest.mark.parametrize("suffix", ["", ",only"])
def test_a_public_address_is_reached_directly(network: None, suffix: str) -> None:
    with server(SERVER, "--public-address", PUBLIC_SERVER + suffix, "--udp-ports", PORTS):
        reached = reach()
    host, port = reached["reached"]
    assert host == PUBLIC_SERVER and UDP_PORTS[0] <= port <= UDP_PORTS[1] and not reached["is_relayed"]


@pytest.mark.parametrize("way", ["public address", "TURN only"])
def test_the_right_person_is_marked_through_nat(network: None, tmp_path: Path, way: str) -> None:
    settings = {
        "public address": ("--public-address", PUBLIC_SERVER, "--udp-ports", PORTS),
        "TURN only": ("--ice-server", f"turn:ada:lovelace@{TURN}"),
    }[way]
    with (
        turn_server(tmp_path, "--lt-cred-mech", "--user=ada:lovelace"),
        server(SERVER, *settings, program=("run_live.py",)),
    ):
        judged = reach(CLIENT, PUBLIC_SERVER, "--demo")
    if "skipped" in judged:
        pytest.skip(judged["skipped"])
    assert judged["identity"] > 0.8


def test_behind_nat_without_a_public_address_turn_relays(network: None, tmp_path: Path) -> None:
    """Neither side can reach the other: both hold a relay address."""
    with (
        turn_server(tmp_path, "--lt-cred-mech", "--user=ada:lovelace"),
        server(SERVER, "--ice-server", f"turn:ada:lovelace@{TURN}"),
    ):
        reached = reach()
    host, port = reached["reached"]
    assert (host == TURN and TURN_PORTS[0] <= port <= TURN_PORTS[1]) or reached["is_relayed"]
    assert reached["ice"] == [{"urls": f"turn:{TURN}:3478?transport=udp", "username": "ada", "credential": "lovelace"}]


def test_the_servers_turn_socket_stays_in_the_range(network: None, tmp_path: Path) -> None:
    with (
        turn_server(tmp_path, "--lt-cred-mech", "--user=ada:lovelace"),
        server(SERVER, "--ice-server", f"turn:ada:lovelace@{TURN}", "--udp-ports", PORTS),
    ):
        client = subprocess.Popen(
            [*inside(CLIENT), sys.executable, "-m", "tests.stream.server.reach_client", PUBLIC_SERVER, TOKEN],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        seen: set[int] = set()
        while client.poll() is None:
            seen |= sockets(SERVER)
        assert client.returncode == 0
    assert len(seen) >= 2 and seen <= set(range(UDP_PORTS[0], UDP_PORTS[1] + 1))


def test_where_udp_is_blocked_turn_over_tcp_relays_with_a_shared_secret(network: None, tmp_path: Path) -> None:
    block_udp()  # for the rest of the module
    with (
        turn_server(tmp_path, "--use-auth-secret", "--static-auth-secret=both know it"),
        server(
            SERVER,
            *("--public-address", PUBLIC_SERVER, "--udp-ports", PORTS),
            *("--ice-server", f"turn:{TURN}?transport=tcp", "--turn-secret", "both know it"),
        ),
    ):
        reached = reach()
    assert reached["is_relayed"]
    assert re.fullmatch(r"\d{10}:speakerlight", reached["ice"][0]["username"])


def test_loopback_alone_is_enough() -> None:
    with loopback_only() as alone, server(alone, host="127.0.0.1"):
        assert reach(alone, "127.0.0.1", "--loopback")["reached"][0] == "127.0.0.1"


def test_doctor_checks_the_servers(network: None, tmp_path: Path) -> None:
    checks = "from speakerlight.server.ice_settings import *\nfrom speakerlight.server.turn_check import *\n"
    checks += "servers = [parse_ice_server(url) for url in {urls}]\n"
    checks += "for check in check_ice_servers(IceSettings(tuple(servers)), 2.0): print(check)"
    urls = [f"turn:ada:lovelace@{TURN}", f"turn:ada:lovelace@{TURN}?transport=tcp", f"turn:ada:wrong@{TURN}"]
    urls += [f"stun:{TURN}", f"stun:{TURN}:9"]
    with turn_server(tmp_path, "--lt-cred-mech", "--user=ada:lovelace"):
        line = [*inside(SERVER), sys.executable, "-c", checks.format(urls=urls)]
        lines = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for line_of_one, expected in zip(lines, ["relays at", "relays at", "401", "sees this", "no answer"], strict=True):
        assert expected in line_of_one and "wrong" not in line_of_one
