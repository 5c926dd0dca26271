"""The package: one import name with everything in it, a light import, and no import cycles."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions, version
from pathlib import Path

import pytest

import speakerlight

ROOT = Path(__file__).parents[1]
FOLDERS = {"stream": "speakerlight", "core": "speakerlight.core"}


def modules() -> dict[str, Path]:
    """Every module of the project by its import name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def test_every_folder_with_code_is_a_listed_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {name if path.name == "__init__.py" else name.rpartition(".")[0] for name, path in MODULES.items()}
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_the_wheel_has_one_import_name_and_all_that_is_in_the_folders(tmp_path: Path) -> None:
    # Not imported here: setuptools refuses where distutils was imported before it.
    if next((int(each.version.partition(".")[0]) for each in distributions(name="setuptools")), 0) < 77:
        pytest.skip("setuptools 77 or newer is not installed")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this environment has no pip")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir"]
    source = _checkout(tmp_path / "source")
    subprocess.run([*build, str(tmp_path), str(source)], check=True, timeout=110)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"speakerlight"}
    expected = {
        "/".join([*FOLDERS[folder].split("."), *path.relative_to(source / folder).parts])
        for folder in FOLDERS
        for path in (source / folder).rglob("*")
        if path.is_file()
    }
    assert expected <= set(names)


def _checkout(folder: Path) -> Path:
    """A copy of what Git tracks: a build must not find what an earlier one left."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a Git checkout")
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(path.read_bytes())
    return folder


def test_importing_loads_no_heavy_library() -> None:
    heavy = ("torch", "cv2", "mediapipe", "av", "numpy", "openvino", "aiohttp")
    program = f"import sys, speakerlight; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == "[]"


def test_every_public_name_can_be_imported_and_is_documented() -> None:
    assert speakerlight.__version__ == version("speakerlight")
    assert set(speakerlight.__all__) <= set(dir(speakerlight))
    for name in set(speakerlight.__all__) - {"__version__", "Event"}:
        assert getattr(speakerlight, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = speakerlight.missing


def test_importing_is_quick() -> None:
    """Without the interpreter's own start; the best of five, for a busy machine."""
    program = "import time; begun = time.perf_counter(); import speakerlight; print(time.perf_counter() - begun)"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    assert min(float(run.stdout) for run in runs) < 0.05


def test_no_module_imports_itself_through_others() -> None:
    imports = {name: set(_imported(name, path)) for name, path in MODULES.items()}
    assert _cycle(imports) is None


def _imported(name: str, path: Path) -> Iterator[str]:
    """The project's modules that ``path`` imports, inside functions too, other than for types."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [module for module in (full, node.module) if module in MODULES and module != name][:1]
        elif isinstance(node, ast.Import):
            yield from [alias.name for alias in node.names if alias.name in MODULES and alias.name != name]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)


def _cycle(imports: dict[str, set[str]]) -> list[str] | None:
    """A chain of modules that ends where it begins, if there is one."""
    done: set[str] = set()

    def search(chain: list[str]) -> list[str] | None:
        for following in sorted(imports[chain[-1]] - done):
            if following in chain:
                return [*chain[chain.index(following) :], following]
            if found := search([*chain, following]):
                return found
        done.add(chain[-1])
        return None

    return next((found for name in imports if name not in done and (found := search([name]))), None)


def test_a_cycle_is_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
