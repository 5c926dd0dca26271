"""Version guard: refuses versions of aiortc and aioice whose private parts were not tried with this package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from speakerlight.core.errors import InputError

TRIED = {"aiortc": ("1.16",), "aioice": ("0.13",)}
"""Package: the releases (without the patch number) that tests/stream/server/rtc passes with."""


def check_versions(installed: Mapping[str, str] | None = None) -> None:
    """Raise InputError unless the ``installed`` versions (default: of this environment) were tried."""
    for package, releases in TRIED.items():
        found = version(package) if installed is None else installed[package]
        if not found.startswith(tuple(f"{release}." for release in releases)):
            wanted = " or ".join(f"{release}.*" for release in releases)
            raise InputError(f"--serve needs {package} {wanted} but finds {found}: pip install '{package}=={wanted}'")
