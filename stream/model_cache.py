"""Model cache: third-party model files, fetched once, checked by their SHA-256, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.model_files import ModelFile

CACHE_VARIABLE = "SPEAKERLIGHT_CACHE"
"""Environment variable that names the cache folder."""


def fetch(model: ModelFile) -> Path:
    """The file's path in the cache, after fetching it if need be. Reports on stderr what it downloads.

    Raises InputError when no source gives the file or the cache cannot be written.
    """
    path = cache_folder() / model.name
    if _is_genuine(path, model):
        return path
    from speakerlight.model_download import download  # here: most runs have the file, and need no http

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _keep(download(model, path), path)
    except OSError as error:
        # Another process may have put it there meanwhile, and may have it open.
        if not _is_genuine(path, model):
            reason = error.strerror or error
            raise InputError(
                f"cannot keep {model.name} in {path.parent} ({reason}): set {CACHE_VARIABLE} to a folder of yours"
            ) from error
    return path


def cache_folder() -> Path:
    """Where this user's model files lie; the platform's place for caches unless SPEAKERLIGHT_CACHE names another."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "speakerlight"


def _is_genuine(path: Path, model: ModelFile) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() in model.sha256
    except OSError:
        return False


def _keep(content: bytes, path: Path) -> None:
    """Write under another name, then rename: no process ever sees half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
