"""A small internet of network namespaces: a client behind NAT, a server behind NAT, a TURN server between them.

client 192.168.7.2 ── client-nat 198.18.0.10 ──┐
server 10.9.0.2 ───── server-nat 198.18.0.20 ──┼── inet (a bridge) ── turn 198.18.0.30
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PREFIX = "spkl-"
CLIENT, SERVER = "client", "server"
PUBLIC_SERVER, TURN = "198.18.0.20", "198.18.0.30"
HTTP_PORT = 8000
ROOT = Path(__file__).parents[3]
TOKEN = "a token of the tests"
TOOLS = {"ip": "iproute2", "nft": "nftables", "turnserver": "coturn"}
TURN_PORTS = (50_900, 50_999)


def missing() -> str | None:
    """Why namespaces cannot be used here; None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is not installed: Debian's package {package}"
    made = subprocess.run(["ip", "netns", "add", f"{PREFIX}probe"], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces are not allowed here: {made.stderr.strip()}"
    shell(f"ip netns del {PREFIX}probe")
    return None


def inside(name: str) -> list[str]:
    """What to put before a command that runs in a namespace."""
    return ["ip", "netns", "exec", PREFIX + name]


@contextmanager
def loopback_only() -> Iterator[str]:
    """A namespace that has no interface but loopback."""
    with _namespaces("alone"):
        yield "alone"


@contextmanager
def internet(udp_ports: tuple[int, int]) -> Iterator[None]:
    """The namespaces above. The server's NAT hands on its HTTP port and ``udp_ports``."""
    first, last = udp_ports
    with _namespaces("inet", CLIENT, "client-nat", SERVER, "server-nat", "turn"):
        _in("inet", "ip link add bridge type bridge; ip link set bridge up")
        for name, address in (("client-nat", "198.18.0.10"), ("server-nat", PUBLIC_SERVER), ("turn", TURN)):
            _link("inet", name, outer="wan", address=f"{address}/24")
            # What is sent to private addresses gets lost, as on the internet: coturn gives up where there is no route.
            _in(name, "ip route add default dev wan")
        for name, nat, gateway, address in (
            (CLIENT, "client-nat", "192.168.7.1", "192.168.7.2"),
            (SERVER, "server-nat", "10.9.0.1", "10.9.0.2"),
        ):
            shell(f"ip link add lan netns {PREFIX}{nat} type veth peer name eth netns {PREFIX}{name}")
            _in(nat, f"ip addr add {gateway}/24 dev lan; ip link set lan up; sysctl -qw net.ipv4.ip_forward=1")
            _in(name, f"ip addr add {address}/24 dev eth; ip link set eth up; ip route add default via {gateway}")
            _rules(nat, "chain out { type nat hook postrouting priority 100; oifname wan masquerade\n}")
        handed_on = f"iifname wan tcp dport {HTTP_PORT} dnat to 10.9.0.2\n"
        handed_on += f"iifname wan udp dport {first}-{last} dnat to 10.9.0.2"
        _rules("server-nat", f"chain in {{ type nat hook prerouting priority -100; {handed_on}\n}}")
        yield


def block_udp() -> None:
    """From now on no UDP leaves the client's network."""
    _rules("client-nat", "chain fw { type filter hook forward priority 0; meta l4proto udp drop\n}")


@contextmanager
def turn_server(folder: Path, *options: str) -> Iterator[None]:
    """coturn in its namespace, on UDP and TCP port 3478."""
    line = [*inside("turn"), "turnserver", "-n", "--realm=test", f"--listening-ip={TURN}", f"--relay-ip={TURN}"]
    line += ["--no-tls", "--no-dtls", "--no-cli", f"--pidfile={folder / 'pid'}", f"--db={folder / 'db'}", *options]
    line += [f"--min-port={TURN_PORTS[0]}", f"--max-port={TURN_PORTS[1]}", f"--log-file={folder / 'turn.log'}"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10.0)


@contextmanager
def server(
    namespace: str,
    *options: str,
    host: str = "0.0.0.0",
    program: Sequence[str] = ("-m", "tests.stream.server.reach_server"),
) -> Iterator[subprocess.Popen[str]]:
    """A server in a namespace, once it serves; over stand-in engines, unless ``program`` is another."""
    line = [*inside(namespace), sys.executable, *program]
    line += ["--serve", f"{host}:{HTTP_PORT}", "--token", TOKEN, *options]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "serving" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def shell(commands: str) -> None:
    subprocess.run(["sh", "-ec", commands], check=True, capture_output=True, text=True)


def _in(name: str, commands: str) -> None:
    subprocess.run([*inside(name), "sh", "-ec", commands], check=True, capture_output=True, text=True)


def _link(bridge: str, name: str, outer: str, address: str) -> None:
    shell(f"ip link add {outer} netns {PREFIX}{name} type veth peer name {name} netns {PREFIX}{bridge}")
    _in(bridge, f"ip link set {name} master bridge up")
    _in(name, f"ip addr add {address} dev {outer}; ip link set {outer} up")


def _rules(name: str, chain: str) -> None:
    kind = "filter" if "type filter" in chain else "nat"
    line = [*inside(name), "nft", "-f", "-"]
    subprocess.run(line, input=f"table ip {kind} {{ {chain}\n}}\n", check=True, capture_output=True, text=True)


@contextmanager
def _namespaces(*names: str) -> Iterator[None]:
    try:
        for name in names:
            shell(f"ip netns add {PREFIX}{name}; ip -n {PREFIX}{name} link set lo up")
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", PREFIX + name], capture_output=True)
