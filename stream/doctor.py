"""``--doctor``: one page about this machine, to paste into a bug report, and whether the program would run on it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from speakerlight import model_files
from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.devices import cameras, microphones
from speakerlight.engine import StageError
from speakerlight.model_cache import cache_folder
from speakerlight.model_files import ModelFile
from speakerlight.run_settings import RunSettings
from speakerlight.server.ice_settings import IceSettings
from speakerlight.sources.camera import CameraSource

PACKAGE = "speakerlight"

DEMO = RunSettings(video="demo:people=2", duration_seconds=3.0, window=False)

FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Processor features that kernels are chosen by."""

CAMERA_FRAMES = 20
CAMERA_SECONDS = 0.5
"""A camera's rate is measured over so many frames; each is waited for this long."""


def doctor(ice: IceSettings | None = None) -> tuple[str, bool]:
    """The page, and whether ``run_live.py`` without options would run, and whether the STUN and TURN servers answer.

    It runs when the models load and the demo is marked, and when a camera comes with a microphone; without a camera it
    shows the demo. Takes some ten seconds; fetches missing models.
    """
    demo, problem = _demo()
    found_cameras, found_microphones = [_measured(each) for each in cameras()], _microphones()
    if problem is None and found_cameras and isinstance(found_microphones, str):
        problem = found_microphones
    ice_lines, ice_problem = _ice_servers(ice) if ice is not None else ([], None)
    problem = problem or ice_problem
    sections: list[tuple[str, Iterable[str]]] = [
        ("versions", _versions()),
        ("processor", _processor()),
        ("kernels", _kernels()),
        ("models", _models()),
        ("cameras", found_cameras or ["none found"]),
        ("microphones", [found_microphones] if isinstance(found_microphones, str) else found_microphones),
        ("display", _display()),
        ("extras", _extras()),
        *([("ice servers", ice_lines)] if ice_lines else []),
        ("demo", [demo]),
        ("result", [f"not ready: {problem}" if problem else "ready"]),
    ]
    lines = [f"{title if first else '':<12} {line}" for title, body in sections for first, line in _marked(body)]
    return "\n".join(lines).replace(str(Path.home()), "~"), problem is None


def _marked(lines: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Each line, and whether it is the first."""
    return ((number == 0, line) for number, line in enumerate(lines))


def _ice_servers(ice: IceSettings) -> tuple[list[str], str | None]:
    """A line about each STUN and TURN server, and what is wrong with the first that fails."""
    if not ice.servers:
        return [], None
    try:
        from speakerlight.server.turn_check import check_ice_servers
    except ModuleNotFoundError as error:
        problem = f"{error.name} is missing: pip install '.[web]'"
        return [problem], problem
    checks = check_ice_servers(ice)
    return [str(check) for check in checks], next((str(check) for check in checks if check.problem), None)


def _versions() -> Iterator[str]:
    yield f"{PACKAGE} {metadata.version(PACKAGE)}, Python {platform.python_version()}, {platform.platform()}"
    required = [_name(line) for line in metadata.requires(PACKAGE) or () if "extra ==" not in line]
    yield ", ".join(f"{name} {_version(name)}" for name in required)


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _processor() -> Iterator[str]:
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        described = ""
    model = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    flags = set(described.split())
    yield f"{model[1] if model else platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    if described:
        yield " ".join(name for name in FEATURES if name in flags) or "none of the features that kernels use"


def _kernels() -> Iterator[str]:
    import torch

    from speakerlight.core.models.expert import fast_dtype
    from speakerlight.core.models.lipsync import choose_device
    from speakerlight.core.models.openvino_graph import fast_precision, has_fast_int8

    device = choose_device("auto")
    expert = str(fast_dtype(torch.device(device))).removeprefix("torch.")
    graphs = f"OpenVINO {fast_precision()}" + (" and int8" if has_fast_int8() else "")
    compact = graphs if device == "cpu" else "PyTorch"
    yield f"device {device}; compact: {compact}; expert: {expert} for faces"


def _models() -> Iterator[str]:
    for name, file in vars(model_files).items():
        if isinstance(file, ModelFile):
            path = cache_folder() / file.name
            yield f"{name.lower()}: {path if path.exists() else 'not fetched yet'}"


def _measured(camera: str) -> str:
    """A camera (``index: name``) with its size and the rate at which its frames really come."""
    try:
        source = CameraSource(int(camera.partition(":")[0]))
    except InputError:
        return f"{camera}: cannot be opened; another program may use it"
    assert source.frames is not None
    source.start(SessionClock())
    frames = [frame for _ in range(CAMERA_FRAMES) if (frame := source.frames.take(CAMERA_SECONDS))]
    source.stop()
    if len(frames) < 2:
        return f"{camera}: delivers no frames"
    height, width = frames[-1].image.shape[:2]
    rate = (len(frames) - 1) / (frames[-1].time - frames[0].time)
    return f"{camera}: {width}×{height}, {rate:.1f} frames a second"


def _microphones() -> list[str] | str:
    """Microphones with their rates, or why there is none."""
    try:
        return microphones() or "none found"
    except InputError as error:
        return str(error)


def _display() -> Iterator[str]:
    from speakerlight.window import has_display

    yield "found" if has_display() else "none: runs without a window"


def _extras() -> Iterator[str]:
    extras: dict[str, list[str]] = {}
    for line in metadata.requires(PACKAGE) or ():
        if named := re.search(r"extra == [\"'](\w+)[\"']", line):
            extras.setdefault(named[1], []).append(_name(line))
    extras.pop("test", None)
    for extra, names in extras.items():
        missing = [name for name in names if _version(name) == "missing"]
        yield f"{extra}: {'missing ' + ', '.join(missing) if missing else 'installed'}"


def _demo() -> tuple[str, str | None]:
    """How the demo went, and what is wrong if it did not go well."""
    from speakerlight.session import run

    try:
        summary = run(DEMO, notify=_ignore)
    except (InputError, StageError) as error:
        return "failed", str(error)
    latency = summary.latency_ms
    text = f"{summary.ticks} ticks, capture to overlay {_ms(latency.p50)}, p95 {_ms(latency.p95)}"
    return text, None if summary.ticks and summary.speakers else "the demo's speaker was not detected"


def _ms(milliseconds: float | None) -> str:
    return "unknown" if milliseconds is None else f"{milliseconds:.0f} ms"


def _ignore(line: str) -> None:
    """Nothing but the page is printed."""
