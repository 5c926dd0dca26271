"""A certificate made on the spot."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest


def certificate(folder: Path, *more: str) -> dict[str, Any]:
    """A certificate for localhost that signs itself, and its key."""
    made = {"cert": folder / "cert.pem", "key": folder / "key.pem"}
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 1 -subj /CN=localhost"
    lock = more or ("-noenc",)
    names = [*lock, "-addext", "subjectAltName=DNS:localhost", "-keyout", str(made["key"]), "-out", str(made["cert"])]
    try:
        subprocess.run([*command.split(), *names], check=True, capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, which makes the certificate")
    return made
