"""ICE settings: what the options say, and what both ends get."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress

import pytest

from speakerlight import command_line
from speakerlight.core.errors import InputError
from speakerlight.server.ice_settings import (
    CREDENTIAL_SECONDS,
    IceServer,
    IceSettings,
    parse_ice_server,
    parse_public_address,
    parse_udp_ports,
)
from speakerlight.server.options import TURN_VARIABLE, add_serve_options, ice_settings


@pytest.mark.parametrize(
    ("text", "server", "url"),
    [
        ("stun:a.example", IceServer("stun", "a.example", 3478, "udp"), "stun:a.example:3478"),
        ("stun:192.0.2.1:99", IceServer("stun", "192.0.2.1", 99, "udp"), "stun:192.0.2.1:99"),
        ("turn:u:p@a", IceServer("turn", "a", 3478, "udp", "u", "p"), "turn:a:3478?transport=udp"),
        ("turn:u:p%40s@a:1?transport=tcp", IceServer("turn", "a", 1, "tcp", "u", "p@s"), "turn:a:1?transport=tcp"),
        ("turns:u:@a", IceServer("turns", "a", 5349, "tcp", "u", ""), "turns:a:5349?transport=tcp"),
        ("turn:[2001:db8::1]:9", IceServer("turn", "2001:db8::1", 9, "udp"), "turn:[2001:db8::1]:9?transport=udp"),
    ],
)
def test_an_ice_server(text: str, server: IceServer, url: str) -> None:
    assert parse_ice_server(text) == server
    assert server.url == url


NO_SERVERS = """
a.example http://a stun: stun:u:p@a turn:u@a stun:a?transport=tcp turns:u:p@a?transport=udp turn:u:p@a:0
turn:u:p@a:99999 turn:u:secret@a?transport=sctp
"""


@pytest.mark.parametrize("text", ["", *NO_SERVERS.split()])
def test_no_ice_server(text: str) -> None:
    with pytest.raises(InputError, match=r"^--ice-server") as refused:
        parse_ice_server(text)
    assert "secret" not in str(refused.value)


def test_a_turn_server_needs_a_user_or_the_secret() -> None:
    turn = parse_ice_server("turn:a.example")
    with pytest.raises(InputError, match=r"write turn:USER:CREDENTIAL@a\.example, or add --turn-secret"):
        IceSettings((turn,))
    with pytest.raises(InputError, match=r"--turn-secret: add"):
        IceSettings((parse_ice_server("stun:a"),), turn_secret="both know it")
    assert "both know it" not in repr(IceSettings((turn,), turn_secret="both know it"))


def test_credentials_of_the_secret_are_those_of_the_rest_api() -> None:
    settings = IceSettings(tuple(map(parse_ice_server, ("stun:a", "turn:u:p@b", "turn:c"))), turn_secret="both know it")
    stun, named, made = (server.for_browser() for server in settings.servers_at(1000.9))
    assert stun == {"urls": "stun:a:3478"}
    assert named == {"urls": "turn:b:3478?transport=udp", "username": "u", "credential": "p"}
    username = f"{1000 + CREDENTIAL_SECONDS}:speakerlight"
    digest = hmac.new(b"both know it", username.encode(), hashlib.sha1).digest()
    assert made == {
        "urls": "turn:c:3478?transport=udp",
        "username": username,
        "credential": base64.b64encode(digest).decode(),
    }


def test_public_addresses() -> None:
    assert parse_public_address("203.0.113.5") == (ipaddress.ip_address("203.0.113.5"), False)
    assert parse_public_address("2001:db8::5,only") == (ipaddress.ip_address("2001:db8::5"), True)
    for text in ("", "a.example", "203.0.113.5,", "203.0.113.5,alone", "203.0.113.5:80"):
        with pytest.raises(InputError, match=r"^--public-address"):
            parse_public_address(text)


def test_udp_ports() -> None:
    assert parse_udp_ports("50000-50010") == (50_000, 50_010) and parse_udp_ports("9-9") == (9, 9)
    for text in ("", "50000", "50010-50000", "0-9", "1-65536", "a-b", "-9"):
        with pytest.raises(InputError, match=r"^--udp-ports"):
            parse_udp_ports(text)


def test_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*arguments: str) -> IceSettings:
        parser = command_line._Parser(allow_abbrev=False)
        add_serve_options(parser)
        return ice_settings(parser.parse_args(arguments))

    assert made() == IceSettings()
    settings = made(
        *("--ice-server", "stun:a", "--ice-server", "turn:b", "--turn-secret", "s"),
        *("--public-address", "203.0.113.5,only", "--public-address", "2001:db8::5", "--udp-ports", "5000-5010"),
    )
    assert [server.host for server in settings.servers] == ["a", "b"] and settings.only_public
    assert len(settings.public_addresses) == 2 and settings.udp_ports == (5000, 5010)
    monkeypatch.setenv(TURN_VARIABLE, "of the environment")
    assert made("--ice-server", "turn:b").turn_secret == "of the environment"
    assert made().turn_secret is None, "of no use without a server"
