"""Command-line options of the server, and the settings they make."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from speakerlight.cluster.cluster_settings import LocalCluster, RayCluster, parse_cluster
from speakerlight.core.errors import InputError
from speakerlight.server.capacity import ROOMS_A_CORE, ROOMS_A_PROCESS, rooms_on, usable_cores
from speakerlight.server.client_address import parse_network
from speakerlight.server.ice_settings import IceSettings, parse_ice_server, parse_public_address, parse_udp_ports
from speakerlight.server.serve_settings import ServeSettings, parse_address
from speakerlight.server.tokens import AUTO, TOKEN_VARIABLE, new_token, token_from

TURN_VARIABLE = "SPEAKERLIGHT_TURN_SECRET"

Notify = Callable[[str], None]

OPTIONS = (
    "token",
    "token_file",
    "read_token",
    "cert",
    "key",
    "trusted_proxy",
    "ice_server",
    "turn_secret",
    "public_address",
    "udp_ports",
    "rooms",
    "cluster",
    "recognize",
)
"""Options that are errors without ``--serve``."""


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--serve`` and what belongs to it."""
    add = parser.add_argument
    add("--serve", metavar="[HOST:]PORT", help="a web page for browsers' cameras, and events; --video shows there too")
    add("--token", metavar="SECRET|auto", help="what browsers must know; needed where others can reach the address")
    add("--token-file", metavar="FILE", type=Path, help=f"read the token from here; or set {TOKEN_VARIABLE}")
    add("--read-token", metavar="SECRET|auto", help="a second token, for events and the overlay alone")
    add("--cert", metavar="FILE", type=Path, help="TLS certificate: browsers elsewhere give no camera without it")
    add("--key", metavar="FILE", type=Path, help="the certificate's private key")
    add(
        "--trusted-proxy",
        metavar="ADDRESS|NETWORK",
        action="append",
        default=[],
        help="trust X-Forwarded-For from this reverse proxy; may be repeated",
    )

    add(
        "--ice-server",
        metavar="URL",
        action="append",
        default=[],
        help="stun:HOST[:PORT], or turn: or turns:USER:CREDENTIAL@HOST[:PORT][?transport=tcp], for both ends; "
        "may be repeated",
    )
    add("--turn-secret", metavar="SECRET", help=f"shared secret of TURN servers without a user; or set {TURN_VARIABLE}")
    add(
        "--public-address",
        metavar="IP[,only]",
        action="append",
        default=[],
        help="an address by which others reach this machine, beside its own or as the only one; may be repeated",
    )
    add(
        "--rooms",
        metavar="N",
        type=int,
        help=f"admit so many rooms at once; default: {ROOMS_A_CORE} a core, at most {ROOMS_A_PROCESS}",
    )
    add(
        "--recognize",
        action="store_true",
        help="name the people of --people FILE in browsers' rooms, too; the page says so before it opens a camera",
    )
    add(
        "--cluster",
        metavar="local[:N]|auto|ADDRESS",
        help="serve from N worker processes of this machine (default: by its cores), or from the nodes of a Ray "
        "cluster: auto starts one here, HOST:PORT or ray://HOST:PORT joins one",
    )
    add("--udp-ports", metavar="FIRST-LAST", help="range of the UDP ports for media; default: any")


def ice_settings(given: argparse.Namespace) -> IceSettings:
    """The ICE settings that the options give. Raises InputError."""
    addresses = [parse_public_address(text) for text in given.public_address]
    servers = tuple(parse_ice_server(text) for text in given.ice_server)
    needs_secret = any(server.is_turn and server.username is None for server in servers)
    return IceSettings(
        servers,
        given.turn_secret or (os.environ.get(TURN_VARIABLE) or None if needs_secret else None),
        tuple(address for address, _ in addresses),
        any(is_only for _, is_only in addresses),
        parse_udp_ports(given.udp_ports) if given.udp_ports is not None else None,
    )


def serve_settings(given: argparse.Namespace, notify: Notify) -> ServeSettings | None:
    """The settings of the server; None without ``--serve``. Reports a generated token once to ``notify``.

    Raises InputError.
    """
    if given.serve is None:
        if any(getattr(given, name) for name in OPTIONS):
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(given, name))
            raise InputError(f"{flags} belong to --serve; add it")
        return None
    token, is_new = _made_up(token_from(given.token, given.token_file, os.environ))
    read_token, is_read_new = _made_up(given.read_token)
    cluster = parse_cluster(given.cluster) if given.cluster is not None else None
    if isinstance(cluster, RayCluster):
        cluster = replace(cluster, sizes_hosts=given.rooms is None)
    hosts = cluster.hosts if isinstance(cluster, LocalCluster) else 1
    rooms = rooms_on(usable_cores() / hosts) if given.rooms is None else given.rooms
    settings = ServeSettings(
        *parse_address(given.serve),
        token,
        given.cert,
        given.key,
        read_token,
        tuple(parse_network(text) for text in given.trusted_proxy),
        ice_settings(given),
        rooms,
        cluster,
        given.recognize,
    )
    if is_new:
        notify(f"token of this run, shown once: {token}")
    if is_read_new:
        notify(f"read-only token of this run, shown once: {read_token}")
    return settings


def _made_up(token: str | None) -> tuple[str | None, bool]:
    """``token``, or a generated one for ``auto``; and whether it was generated."""
    return (new_token(), True) if token == AUTO else (token, False)
