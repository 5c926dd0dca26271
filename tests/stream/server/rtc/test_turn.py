"""TURN allocations against coturn on loopback."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiortc", reason="aiortc is not installed: pip install '.[web]'")

from aioice.stun import TransactionTimeout

from speakerlight.server.ice_settings import IceSettings, parse_ice_server
from speakerlight.server.rtc.turn import ask, failure
from speakerlight.server.rtc.udp_ports import PortsTakenError

TIMEOUT_SECONDS = 5.0


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a TURN server on loopback that knows user ``ada`` with password ``secret``."""
    if shutil.which("turnserver") is None:
        pytest.skip("turnserver is not installed: apt-get install coturn")
    folder: Path = tmp_path_factory.mktemp("coturn")
    port = free_port()
    line = ["turnserver", "-n", "--realm=test", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"]
    line += [f"--listening-port={port}", "--lt-cred-mech", "--user=ada:secret", "--no-tls", "--no-dtls", "--no-cli"]
    line += [
        "--allow-loopback-peers",
        f"--pidfile={folder / 'pid'}",
        f"--db={folder / 'db'}",
        f"--log-file={folder / 'log'}",
    ]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("coturn does not answer on loopback")


def answer(
    spec: str, settings: IceSettings | None = None, timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[str | None, str | None]:
    return asyncio.run(ask(parse_ice_server(spec), settings or IceSettings(), timeout_seconds))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_relay_address_is_allocated(coturn: int, transport: str) -> None:
    address, error = answer(f"turn:ada:secret@127.0.0.1:{coturn}?transport={transport}")
    assert error is None
    assert address is not None
    assert address.startswith("127.0.0.1 port ")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_wrong_credentials_are_refused(coturn: int, transport: str) -> None:
    address, error = answer(f"turn:ada:wrong@127.0.0.1:{coturn}?transport={transport}")
    assert address is None
    assert error is not None
    assert error.startswith("401")


def test_the_reflexive_address_comes_from_the_port_range(coturn: int) -> None:
    port = free_port()
    address, error = answer(f"stun:127.0.0.1:{coturn}", IceSettings(udp_ports=(port, port)))
    assert (address, error) == (f"127.0.0.1 port {port}", None)


def test_a_port_range_in_use_is_reported(coturn: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        address, error = answer(f"turn:ada:secret@127.0.0.1:{coturn}", IceSettings(udp_ports=(port, port)))
    assert address is None
    assert error == str(PortsTakenError(port, port))


def test_a_server_that_does_not_answer_is_reported() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert answer(f"turn:ada:secret@127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.5) == (
            None,
            "no answer",
        )


def test_a_refused_tcp_connection_is_reported() -> None:
    address, error = answer(f"turn:ada:secret@127.0.0.1:{free_port()}?transport=tcp")
    assert address is None
    assert error is not None
    assert "connect" in error or "refused" in error


def test_failures_have_a_few_words() -> None:
    assert failure(TransactionTimeout()) == "no answer"
    assert failure(ConnectionRefusedError(111, "Connection refused")) == "connection refused"
    assert failure(OSError()) == "oserror"
