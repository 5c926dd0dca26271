"""ICE connections: which sockets are bound, what is announced, where checks go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aioice import Candidate
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from speakerlight.server.client_address import parse_ip, parse_network
from speakerlight.server.ice_settings import IceSettings, parse_ice_server, parse_public_address
from speakerlight.server.rtc.connection import PeerConnection, is_allowed
from speakerlight.server.rtc.ice_report import IceReport
from speakerlight.server.rtc.udp_ports import UdpPorts
from tests.stream.server.browser import Browser, metric, offered
from tests.stream.server.conftest import Serve

PORTS = (41_000, 41_031)


@pytest.mark.parametrize(
    ("host", "client", "is_sent"),
    [
        ("192.0.2.9", "192.0.2.1", True),
        ("10.0.0.9", "192.0.2.1", True),
        ("127.0.0.1", "192.0.2.1", False),
        ("127.0.0.1", None, False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "192.0.2.1", False),
        ("169.254.1.1", "192.0.2.1", False),
        ("169.254.1.1", "169.254.1.1", True),
        ("169.254.1.2", "169.254.1.1", False),
        ("fe80::1", "2001:db8::1", False),
        ("fe80::1", "fe80::1", True),
        ("224.0.0.251", "127.0.0.1", False),
        ("ff02::fb", "::1", False),
        ("0.0.0.0", "127.0.0.1", False),
        ("::", "::1", False),
        ("255.255.255.255", "127.0.0.1", False),
        ("name.example", "127.0.0.1", False),
    ],
)
def test_where_checks_may_go(host: str, client: str | None, is_sent: bool) -> None:
    assert is_allowed(host, parse_ip(client or "")) == is_sent


@contextmanager
def socket_of_another() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        yield other


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_an_offer_from_elsewhere_sends_nothing_to_loopback(serve: Serve, is_elsewhere: bool) -> None:
    """Packets that a real offer causes at a socket of this machine, from elsewhere and from this machine itself."""

    async def play(port: int, other: socket.socket) -> int:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver("video", "sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = SessionDescription.parse(connection.localDescription.sdp)
        for candidate in sdp.media[0].ice_candidates:
            candidate.ip, candidate.port = other.getsockname()
        headers = {"X-Forwarded-For": "192.0.2.7"} if is_elsewhere else {}
        status, answer = await offered(f"http://127.0.0.1:{port}", str(sdp), headers)
        assert status == 200, answer
        await asyncio.sleep(0.6)
        await connection.close()
        count = 0
        while True:
            try:
                other.recv(2000)
            except BlockingIOError:
                return count
            count += 1

    server = serve(trusted_proxies=(parse_network("127.0.0.1"),))
    with socket_of_another() as other:
        received = asyncio.run(play(server.port, other))
    assert (received == 0) == is_elsewhere


@pytest.mark.parametrize(("client", "is_resolved"), [("8.8.8.8", False), ("192.168.1.2", True), ("127.0.0.1", True)])
def test_local_names_are_resolved_for_clients_of_this_network_alone(
    monkeypatch: pytest.MonkeyPatch, client: str, is_resolved: bool
) -> None:
    asked: list[object] = []

    async def no_name_service(subscriber: object) -> None:
        asked.append(subscriber)
        raise OSError

    monkeypatch.setattr("aioice.ice.get_or_create_mdns_protocol", no_name_service)

    async def play() -> None:
        peer = PeerConnection(IceSettings(), parse_ip(client))
        peer.addTransceiver("video", "recvonly")
        assert peer.ice is not None
        candidate = Candidate("1", 1, "udp", 1, "5f3a.local", 9, "host")
        with suppress(OSError):
            await peer.ice.add_remote_candidate(candidate)
        await peer.close()

    asyncio.run(play())
    assert bool(asked) == is_resolved


def udp_ports_of_this_process() -> set[int]:
    inodes = {link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    ports = set()
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_all_sockets_of_eight_rooms_are_in_the_range(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = PORTS
    server = serve(ice=IceSettings(udp_ports=PORTS))
    bound: list[int] = []
    bind = UdpPorts.bind

    def noted(self: UdpPorts, host: str) -> socket.socket:
        made: socket.socket = bind(self, host)
        bound.append(made.getsockname()[1])
        return made

    monkeypatch.setattr(UdpPorts, "bind", noted)

    async def play(port: int) -> None:
        before = udp_ports_of_this_process()
        browsers = [Browser(port) for _ in range(8)]
        try:
            for browser in browsers:
                await browser.__aenter__()
                await browser.scored(1)
            used = udp_ports_of_this_process() - before
            of_clients = {
                protocol.transport.get_extra_info("sockname")[1]
                for browser in browsers
                for protocol in next(iter(browser._connection.getSenders())).transport.transport._connection._protocols
            }
            assert len(used - of_clients) >= 8
            assert all(first <= each <= last for each in used - of_clients), sorted(used - of_clients)
        finally:
            await asyncio.gather(*(browser.__aexit__() for browser in browsers))

    asyncio.run(play(server.port))
    assert len(bound) >= 8 and all(first <= each <= last for each in bound)


def test_a_port_range_in_use_is_refused_clearly(serve: Serve) -> None:
    server = serve(ice=IceSettings(udp_ports=(41_100, 41_100)))

    async def play(port: int) -> None:
        async with Browser(port) as browser:
            await browser.scored(1)
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connection.addTransceiver("video", "sendonly")
            await connection.setLocalDescription(await connection.createOffer())
            status, answer = await offered(browser.url, connection.localDescription.sdp)
            await connection.close()
            assert status == 503 and "all UDP ports 41100-41100 are in use" in answer["error"]
            await browser.scored(len(browser.of("scores")) + 5)
            assert await metric(browser.url, "rooms") == 1

    asyncio.run(play(server.port))


@pytest.mark.parametrize("suffix", ["", ",only"])
def test_public_addresses_are_announced_on_the_same_ports(serve: Serve, suffix: str) -> None:
    addresses = [parse_public_address(f"203.0.113.5{suffix}"), parse_public_address("2001:db8::5")]
    settings = IceSettings(
        public_addresses=tuple(address for address, _ in addresses), only_public=bool(suffix), udp_ports=PORTS
    )

    async def play(port: int) -> None:
        async with Browser(port) as browser:
            media = SessionDescription.parse(browser.answer["sdp"]).media[0]
            hosts = {candidate.ip for candidate in media.ice_candidates}
            assert "203.0.113.5" in hosts and all(PORTS[0] <= each.port <= PORTS[1] for each in media.ice_candidates)
            own = hosts - {"203.0.113.5", "2001:db8::5"}
            assert not own if suffix else own
            if not suffix:
                await browser.scored(1)

    asyncio.run(play(serve(ice=settings).port))


def test_an_ice_report_lists_the_candidates_and_what_to_set() -> None:
    report = IceReport((("host", "10.0.0.2"),), (("host", "192.168.1.2"), ("host", "x.local")), ("127.0.0.1",), ())
    line = report.describe(IceSettings())
    assert "the client offered host 192.168.1.2, host x.local; the server announced host 10.0.0.2" in line
    assert "not checked: 127.0.0.1" in line and "--public-address ADDRESS --udp-ports FIRST-LAST" in line
    public = IceSettings(public_addresses=(parse_public_address("203.0.113.5")[0],), udp_ports=(5000, 5010))
    assert "Let the UDP ports 5000-5010 through" in report.describe(public)
    turn = IceSettings((parse_ice_server("turn:u:p@a"),))
    failed = IceReport((("host", "10.0.0.2"),), (), (), ("turn:a:3478?transport=udp: 401 Unauthorized",))
    assert "401 Unauthorized" in failed.describe(turn) and "--doctor" in failed.describe(turn)
    assert "offered nothing" in failed.describe(turn)
    relayed = IceReport((("relay", "192.0.2.3"),), (), (), ())
    assert "Not even the relay was reached" in relayed.describe(turn)
