from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from speakerlight import model_download
from speakerlight.core.errors import InputError
from speakerlight.model_cache import CACHE_VARIABLE, cache_folder, fetch
from speakerlight.model_files import (
    BLAZEFACE_SHORT,
    FACE_ENCODER,
    FACE_ENCODER_MANIFEST,
    VOICE_ENCODER,
    ModelFile,
    NpmPackage,
    Wheel,
)

CONTENT = b"a network " * 5000
MODEL = ModelFile(
    name="small.tflite",
    sha256=frozenset({hashlib.sha256(CONTENT).hexdigest()}),
    url=None,
    package=Wheel("speakerlight-test-model==1.0", "models/inner.tflite", 1),
)


class Shelf(BaseHTTPRequestHandler):
    """A web server with the file, a changed one, half of it, and an address that never answers."""

    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(3)
            return
        pages = {"/good": CONTENT, "/changed": CONTENT + b"!", "/half": CONTENT[: len(CONTENT) // 2]}
        if (content := pages.get(self.path)) is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(max(len(content), len(CONTENT))))
        self.end_headers()
        # Noted first: once the content is out, the test goes on at once.
        self.server.served.append(self.path)  # type: ignore[attr-defined]
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    server.daemon_threads = True
    server.served = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine without any network: pip sees only an empty folder."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "wheels").mkdir()
    return tmp_path / "cache"


def put_wheel(folder: Path, content: bytes = CONTENT, member: str = MODEL.package.member) -> None:
    info = "speakerlight_test_model-1.0.dist-info"
    name = "speakerlight_test_model-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: speakerlight-test-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        wheel.writestr(f"{info}/RECORD", "")


def at(shelf: ThreadingHTTPServer, page: str) -> ModelFile:
    return replace(MODEL, url=f"http://127.0.0.1:{shelf.server_address[1]}/{page}")


def refusal(model: ModelFile) -> str:
    with pytest.raises(InputError) as refused:
        fetch(model)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_the_official_address_is_asked_once(shelf: ThreadingHTTPServer, cache: Path) -> None:
    path = fetch(at(shelf, "good"))
    assert path == cache / "small.tflite" and path.read_bytes() == CONTENT
    assert fetch(at(shelf, "good")) == path
    assert shelf.served == ["/good"]  # type: ignore[attr-defined]
    assert list(cache.iterdir()) == [path], "nothing half-written stays"


def test_a_file_put_there_by_hand_is_used(cache: Path) -> None:
    cache.mkdir()
    (cache / "small.tflite").write_bytes(CONTENT)
    assert fetch(MODEL) == cache / "small.tflite"


def test_a_damaged_file_in_the_cache_is_fetched_again(shelf: ThreadingHTTPServer, cache: Path) -> None:
    cache.mkdir()
    (cache / "small.tflite").write_bytes(CONTENT[:100])
    assert fetch(at(shelf, "good")).read_bytes() == CONTENT


@pytest.mark.parametrize("page", ["absent", "changed", "half"])
def test_the_wheel_is_the_second_source(page: str, shelf: ThreadingHTTPServer, cache: Path) -> None:
    put_wheel(cache.parent / "wheels")
    assert fetch(at(shelf, page)).read_bytes() == CONTENT


def test_an_address_that_does_not_answer_costs_little(
    shelf: ThreadingHTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_download._CONNECT_SECONDS <= 5
    monkeypatch.setattr(model_download, "_CONNECT_SECONDS", 0.3)
    put_wheel(cache.parent / "wheels")
    begun = time.monotonic()
    with pytest.raises(model_download._UnavailableError):
        model_download._from_url(at(shelf, "silent"))
    assert time.monotonic() - begun < 2
    assert fetch(at(shelf, "silent")).read_bytes() == CONTENT


def test_an_unknown_file_is_never_accepted(shelf: ThreadingHTTPServer, cache: Path) -> None:
    put_wheel(cache.parent / "wheels", content=b"something else")
    message = refusal(at(shelf, "changed"))
    assert "url gave another file than expected; package gave another file than expected" in message
    assert not (cache / "small.tflite").exists()


def test_without_any_network_one_line_names_the_place_of_the_file(cache: Path) -> None:
    message = refusal(replace(MODEL, url="http://127.0.0.1:1/small.tflite"))
    assert message.startswith("cannot fetch small.tflite (its address cannot be reached; PyPI cannot be reached)")
    assert f"get http://127.0.0.1:1/small.tflite by hand and save it as {cache / 'small.tflite'}" in message


def test_a_wheel_without_the_file(cache: Path) -> None:
    put_wheel(cache.parent / "wheels", member="models/other.tflite")
    assert "does not hold it" in refusal(MODEL)


def test_a_python_without_pip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    assert "this Python has no pip to get it from PyPI: uv pip install pip" in refusal(MODEL)


NPM_MODEL = replace(MODEL, package=NpmPackage("@test/model@1.0.0", "package/inner.bin", 1))


def put_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = CONTENT, member: str = "inner.bin") -> None:
    """An npm on the path that packs one package, and writes down its arguments."""
    folder.mkdir()
    with tarfile.open(folder / "packed.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo(f"package/{member}")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\ncp {folder}/packed.tgz "$5/test-model-1.0.0.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform == "win32", reason="npm is a shell script here")
def test_npm_is_a_source_too(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(cache.parent / "npm", monkeypatch)
    assert fetch(NPM_MODEL).read_bytes() == CONTENT
    arguments = (cache.parent / "npm" / "arguments").read_text().split()
    assert arguments[0] == "pack" and arguments[-1] == "@test/model@1.0.0" and "--ignore-scripts" in arguments


@pytest.mark.skipif(sys.platform == "win32", reason="npm is a shell script here")
def test_an_npm_package_without_the_file_or_with_another(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(cache.parent / "npm", monkeypatch, member="other.bin")
    assert "the npm package @test/model@1.0.0 does not hold it" in refusal(NPM_MODEL)
    put_npm(cache.parent / "npm2", monkeypatch, content=b"something else")
    assert "package gave another file than expected" in refusal(NPM_MODEL)


def test_a_machine_without_npm(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cache))
    assert "there is no npm to get it from its registry" in refusal(NPM_MODEL)


def test_a_cache_that_cannot_be_written(shelf: ThreadingHTTPServer, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert f"set {CACHE_VARIABLE} to a folder of yours" in refusal(at(shelf, "good"))


def test_processes_that_fetch_at_once_all_get_the_whole_file(shelf: ThreadingHTTPServer, cache: Path) -> None:
    model = at(shelf, "good")
    program = (
        "import hashlib; from speakerlight.model_cache import fetch;"
        "from speakerlight.model_files import ModelFile, Wheel;"
        f"path = fetch(ModelFile({model.name!r}, frozenset({set(model.sha256)!r}), {model.url!r}, Wheel('', '', 1)));"
        f"assert hashlib.sha256(path.read_bytes()).hexdigest() in {set(model.sha256)!r}"
    )
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=root) for _ in range(3)]
    assert [process.wait(timeout=30) for process in running] == [0, 0, 0]
    assert [path.name for path in cache.iterdir()] == ["small.tflite"]


def test_the_cache_lies_where_the_platform_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, base in [
        ("linux", tmp_path / "xdg"),
        ("win32", tmp_path / "local"),
        ("darwin", tmp_path / "Library" / "Caches"),
    ]:
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == base / "speakerlight"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "speakerlight"


def test_the_models_are_pinned() -> None:
    models = (BLAZEFACE_SHORT, FACE_ENCODER, FACE_ENCODER_MANIFEST, VOICE_ENCODER)
    pins = [
        package.requirement if isinstance(package := model.package, Wheel) else package.specification
        for model in models
    ]
    face_api = "@vladmandic/face-api@1.7.15"
    assert pins == ["mediapipe==0.10.21", face_api, face_api, "Resemblyzer==0.1.4"]
    assert all(len(known) == 64 for model in models for known in model.sha256)
    assert len({model.name for model in models}) == len(models)
