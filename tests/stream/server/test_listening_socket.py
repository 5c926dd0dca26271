"""The address is taken at once, and what is wrong with it is one line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings
from tests.stream.server.certificate import certificate


def test_a_port_is_found_where_none_is_asked_for() -> None:
    with listening(ServeSettings("127.0.0.1", 0)) as one, listening(ServeSettings("127.0.0.1", 0)) as two:
        assert one.port != two.port and one.tls is None
        port = one.port
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0)


def test_an_address_in_use_is_reported() -> None:
    with listening(ServeSettings("127.0.0.1", 0)) as taken:
        message = rf"^--serve 127.0.0.1:{taken.port}: address already in use; choose another port or address$"
        with pytest.raises(InputError, match=message), listening(ServeSettings("127.0.0.1", taken.port)):
            pass


def test_an_address_that_is_not_this_machines_is_reported() -> None:
    message = r"^--serve 192.0.2.77:80: cannot assign requested address; choose"
    with pytest.raises(InputError, match=message), listening(ServeSettings("192.0.2.77", 80, "correct horse battery")):
        pass


def test_a_certificate_and_its_key_are_read(tmp_path: Path) -> None:
    with listening(ServeSettings("127.0.0.1", 0, **certificate(tmp_path))) as address:
        assert address.tls is not None


def test_what_is_no_certificate_is_reported(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    settings = ServeSettings("127.0.0.1", 0, cert=bad, key=bad)
    with pytest.raises(InputError, match=r"^--cert .*give PEM files without a password$"), listening(settings):
        pass


def test_a_locked_key_is_reported_not_asked_about(tmp_path: Path) -> None:
    files = certificate(tmp_path, password="secret")
    with pytest.raises(InputError, match=r"the key has a password"), listening(ServeSettings("127.0.0.1", 0, **files)):
        pass
