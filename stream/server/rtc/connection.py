"""Peer connection and its ICE: port range, public addresses, several servers, a filter of remote candidates.

aioice's own connection gathers host candidates on random ports, without loopback, asks one STUN and one TURN server,
and sends checks to every address that a client offers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Coroutine
from typing import Any

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aioice.mdns import is_mdns_hostname
from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport, SRTPProtectionProfile
from OpenSSL import SSL

from speakerlight.server.client_address import IpAddress, parse_ip
from speakerlight.server.ice_settings import IceServer, IceSettings
from speakerlight.server.rtc.ice_report import IceReport
from speakerlight.server.rtc.turn import allocate, failure
from speakerlight.server.rtc.udp_ports import PortsTakenError, UdpPorts

logger = logging.getLogger(__name__)

LOOPBACKS = ("127.0.0.1", "::1")

GATHER_SECONDS = 3.0
"""For STUN and TURN servers to answer; a page gives up on an answer after 10 s."""

CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (key, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
    for key in (b"ECDSA", b"RSA")
)
"""aiortc's own list, and the same for RSA."""

PUBLIC_PREFERENCE = 65_000
"""Local preference of public addresses, below that of this machine's own (65,535): the direct way is tried first."""


class PeerConnection(RTCPeerConnection):
    """aiortc's connection over :class:`IceConnection`. ``client``: the address that the client's requests come from."""

    def __init__(self, settings: IceSettings, client: IpAddress | None) -> None:
        self._settings, self._client = settings, client
        self._ice: list[IceConnection] = []
        super().__init__(RTCConfiguration(iceServers=[]))
        vars(self)["_RTCPeerConnection__certificates"] = [_Certificate.generateCertificate()]

    @property
    def ice(self) -> IceConnection | None:
        """The connection that is in use: offers are bundled, so one remains."""
        return next((each for each in self._ice if not each.is_closing), self._ice[0] if self._ice else None)

    def _RTCPeerConnection__createDtlsTransport(self) -> RTCDtlsTransport:  # noqa: N802
        transport: RTCDtlsTransport = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        ice = transport.transport
        connection = IceConnection(ice.iceGatherer._connection, self._settings, self._client)
        ice.iceGatherer._connection = ice._connection = connection
        ice._recv, ice._send = connection.recv, connection.send
        self._ice.append(connection)
        return transport


class _Certificate(RTCCertificate):
    """aiortc's certificate, which also accepts peers whose own is RSA, such as GStreamer up to 1.22."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


class IceConnection(Connection):
    """aioice's connection, controlled by the client. ``local`` gives its user name and password."""

    def __init__(self, local: Connection, settings: IceSettings, client: IpAddress | None) -> None:
        super().__init__(
            ice_controlling=False, local_username=local.local_username, local_password=local.local_password
        )
        self._settings, self._client = settings, client
        self._ports = UdpPorts(settings.udp_ports)
        self._offered: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.failures: list[str] = []
        self._announced: tuple[Candidate, ...] = ()

    @property
    def is_closing(self) -> bool:
        return self._closing

    @property
    def remote_name(self) -> str | None:
        """The client's user name fragment (a=ice-ufrag)."""
        return self.remote_username

    @property
    def offered_count(self) -> int:
        """How many candidates the client has offered."""
        return len(self._offered)

    @property
    def report(self) -> IceReport:
        """The candidates on both sides."""
        announced = tuple((each.type, each.host) for each in self._announced)
        return IceReport(announced, tuple(self._offered), tuple(self.refused), tuple(self.failures))

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """As in aioice, but the end of candidates is ignored.

        With it, aioice fails at once when no pair is left to check, although a client behind NAT is about to send
        checks from an address that it does not know itself. Its rooms' time limit ends the wait instead.
        """
        if remote_candidate is not None:
            self._offered.append((remote_candidate.type, remote_candidate.host))
            # Names of another network cannot be resolved here, so the multicast query would be useless.
            if is_mdns_hostname(remote_candidate.host) and self._client is not None and self._client.is_global:
                self.refused.append(remote_candidate.host)
                return
            await super().add_remote_candidate(remote_candidate)

    def _add_remote_candidate(self, remote_candidate: Candidate, network_host: str) -> None:
        if is_allowed(network_host, self._client):
            super()._add_remote_candidate(remote_candidate, network_host)
        else:
            logger.info("no checks are sent to %s, which client %s offers", network_host, self._client)
            self.refused.append(network_host)

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        """Bind a socket for each of ``addresses``, and ask the servers. Raises PortsTakenError."""
        protocols = [
            protocol
            for address in addresses or LOOPBACKS
            if (protocol := await self._host_protocol(component, address)) is not None
        ]
        hosts = [protocol.local_candidate for protocol in protocols]
        candidates = [] if self._settings.only_public else list(hosts)
        candidates += self._public_candidates(hosts)
        candidates += await self._from_servers(component, protocols)
        self._announced = tuple(candidates)
        return candidates

    async def _host_protocol(self, component: int, address: str) -> StunProtocol | None:
        try:
            bound = self._ports.bind(address)
        except OSError as error:
            logger.debug("cannot bind to %s: %s", address, error)
            return None
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(lambda: StunProtocol(self), sock=bound)
        host, port = bound.getsockname()[:2]
        protocol.local_candidate = _host_candidate(component, host, port, base=host)
        self._protocols.append(protocol)
        return protocol

    def _public_candidates(self, hosts: list[Candidate]) -> list[Candidate]:
        """The public addresses on the ports of ``hosts``: address translation in front of them keeps ports."""
        known = {host.host for host in hosts}
        return [
            _host_candidate(host.component, str(public), host.port, base=host.host, preference=PUBLIC_PREFERENCE)
            for public in self._settings.public_addresses
            for host in hosts
            if ipaddress.ip_address(host.host).version == public.version
            and (str(public) not in known or self._settings.only_public)
        ]

    async def _from_servers(self, component: int, protocols: list[StunProtocol]) -> list[Candidate]:
        tasks: dict[asyncio.Task[Candidate], IceServer] = {}

        def start(server: IceServer, work: Coroutine[Any, Any, Candidate]) -> None:
            tasks[asyncio.create_task(work)] = server

        for server in self._settings.servers_at(time.time()):
            if server.is_turn:
                start(server, self._relayed(component, server))
                continue
            for protocol in protocols:
                if ipaddress.ip_address(protocol.local_candidate.host).version == 4:
                    start(server, _reflexive(protocol, server))
        if not tasks:
            return []
        done, late = await asyncio.wait(tasks, timeout=GATHER_SECONDS)
        for task in late:
            task.cancel()
            self._note_failure(tasks[task], TimeoutError())
        found: dict[tuple[str, int], Candidate] = {}
        for task in done:
            if (error := task.exception()) is not None:
                self._note_failure(tasks[task], error)
            else:
                found[task.result().host, task.result().port] = task.result()
        return list(found.values())

    async def _relayed(self, component: int, server: IceServer) -> Candidate:
        protocol = StunProtocol(self)
        transport = await allocate(server, protocol, self._ports)
        host, port = transport.get_extra_info("sockname")
        related_host, related_port = transport.get_extra_info("related_address")
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("relay", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "relay"),
            host=host,
            port=port,
            type="relay",
            related_address=related_host,
            related_port=related_port,
        )
        self._protocols.append(protocol)
        return protocol.local_candidate

    def _note_failure(self, server: IceServer, error: BaseException) -> None:
        if isinstance(error, PortsTakenError):
            raise error
        line = f"{server.url}: {failure(error)}"
        if line not in self.failures:
            self.failures.append(line)
            logger.warning("ICE server %s", line)


def is_allowed(host: str, client: IpAddress | None) -> bool:
    """Whether checks may be sent to ``host``, which ``client`` offers.

    Otherwise a client could make this server send packets to places that the client cannot reach itself: services of
    this machine or its link, or multicast groups. Loopback is allowed to clients of this machine, a link-local address
    to its own client.
    """
    address = parse_ip(host)
    if address is None or address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return False
    if address.is_loopback:
        return client is not None and (client.is_loopback or _is_own(client))
    return not address.is_link_local or address == client


def _is_own(address: IpAddress) -> bool:
    """Whether ``address`` is this machine's: only then can a socket be bound to it."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _host_candidate(component: int, host: str, port: int, base: str, preference: int = 65_535) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", f"{host} {base}" if host != base else host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", preference),
        host=host,
        port=port,
        type="host",
    )


async def _reflexive(protocol: StunProtocol, server: IceServer) -> Candidate:
    candidate, _ = await server_reflexive_candidate(protocol, (server.host, server.port))
    return candidate
