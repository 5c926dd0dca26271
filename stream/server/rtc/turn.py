"""TURN allocations (relays of WebRTC media) over UDP, TCP and TLS, whose UDP sockets stay inside the port range."""

from __future__ import annotations

import asyncio
import socket

from aioice.ice import Connection, StunProtocol
from aioice.stun import Class, Message, Method, TransactionError, TransactionFailed
from aioice.turn import (
    DEFAULT_ALLOCATION_LIFETIME,
    DEFAULT_CHANNEL_REFRESH_TIME,
    TurnClientUdpProtocol,
    TurnTransport,
    create_turn_endpoint,
)

from speakerlight.server.ice_settings import IceServer, IceSettings
from speakerlight.server.rtc.udp_ports import PortsTakenError, UdpPorts


async def allocate(server: IceServer, protocol: StunProtocol, ports: UdpPorts) -> TurnTransport:
    """Allocate a relay address on ``server``, which ``protocol`` is then connected to.

    The caller closes the transport. Raises OSError and aioice's TransactionError; ``failure`` words them.
    """
    if server.transport == "tcp":
        transport, _ = await create_turn_endpoint(
            lambda: protocol,
            server_addr=(server.host, server.port),
            username=server.username,
            password=server.credential,
            ssl=server.scheme == "turns",
            transport="tcp",
        )
        return transport
    loop = asyncio.get_running_loop()
    family, _, _, _, found = (await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM))[0]
    address = str(found[0]), int(found[1])
    bound = ports.bind("::" if family == socket.AF_INET6 else "0.0.0.0")
    try:
        bound.connect(address)
    except BaseException:
        bound.close()
        raise
    inner_transport, inner = await loop.create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(
            address,
            username=server.username,
            password=server.credential,
            lifetime=DEFAULT_ALLOCATION_LIFETIME,
            channel_refresh_time=DEFAULT_CHANNEL_REFRESH_TIME,
        ),
        sock=bound,
    )
    transport = TurnTransport(inner)
    try:
        await transport._connect(protocol)
    except BaseException:
        inner_transport.close()
        raise
    return transport


async def ask(server: IceServer, settings: IceSettings, timeout_seconds: float) -> tuple[str | None, str | None]:
    """Request an address from one server, as a room does, and release it: the address as text, or the failure."""
    ports = UdpPorts(settings.udp_ports)
    protocol = StunProtocol(Connection(ice_controlling=False))
    try:
        async with asyncio.timeout(timeout_seconds):
            if server.is_turn:
                transport = await allocate(server, protocol, ports)
                host, port = transport.get_extra_info("sockname")
                transport.close()
            else:
                host, port = await _reflexive_address(server, protocol, ports)
    except (OSError, TransactionError, TimeoutError, PortsTakenError) as error:
        return None, failure(error)
    return f"{host} port {port}", None


async def _reflexive_address(server: IceServer, protocol: StunProtocol, ports: UdpPorts) -> tuple[str, int]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(server.host, server.port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=ports.bind("0.0.0.0"))
    try:
        request = Message(message_method=Method.BINDING, message_class=Class.REQUEST)
        response, _ = await protocol.request(request, (str(found[0][4][0]), int(found[0][4][1])))
        host, port = response.attributes["XOR-MAPPED-ADDRESS"]
        return host, port
    finally:
        transport.close()


def failure(error: BaseException) -> str:
    """The failure of a STUN or TURN server, in a few words."""
    if isinstance(error, TransactionFailed):
        code, reason = error.response.attributes["ERROR-CODE"]
        return f"{code} {reason or 'refused'}".strip()
    if isinstance(error, TransactionError | TimeoutError):
        return "no answer"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return str(error) or type(error).__name__
