"""Bundling of the page: each document's JavaScript modules as one script, without comments and indentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent / "page"

ENTRIES = ("app", "overlay")
"""The modules that a document starts with."""

STATIC = ("style.css", "overlay.css", "icon.svg")

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Fixed, not from ``mimetypes``, because Windows may register other types."""

_COMMENT = re.compile(r"^[ ]*(?://[^\n]*|/\*.*?\*/)\n", re.MULTILINE | re.DOTALL)
_INDENTATION = re.compile(r"\n\s+")

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A file of the page. ``kind``: its media type."""

    text: str
    kind: str


def page_parts() -> dict[str, Part]:
    """All files of the page but the documents, by name."""
    texts = {f"{entry}.js": bundle(PAGE, entry) for entry in ENTRIES}
    texts |= {name: (PAGE / name).read_text(encoding="utf-8") for name in STATIC}
    return {name: Part(slim(text), KINDS[Path(name).suffix]) for name, text in texts.items()}


def slim(text: str) -> str:
    """Remove comments that have lines of their own, and indentation. No text of the page goes over several lines."""
    return _INDENTATION.sub("\n", _COMMENT.sub("", text))


def bundle(folder: Path, entry: str) -> str:
    """One script of the module ``entry`` and those that it imports, each in a function of its own.

    The modules import by name, one module a line, without cycles; they export functions, classes and constants.
    """
    wrapped: dict[str, str] = {}

    def add(name: str) -> None:
        source = (folder / f"{name}.js").read_text(encoding="utf-8")
        for _, imported in _IMPORT.findall(source):
            if imported not in wrapped:
                add(imported)
        exports = ", ".join(exported for _, exported in _EXPORT.findall(source))
        body = _EXPORT.sub(r"\1", _IMPORT.sub(r"const {\1} = $\2;\n", source))
        wrapped[name] = f"const ${name} = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();\n"

    add(entry)
    return "".join(wrapped.values())
