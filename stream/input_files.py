"""Input files: everything on this machine that a run reads, none of which an output may write over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

STDIN = Path("/dev/stdin")

PLAYLIST_MARKS = (b"#EXTM3U", b"ffconcat")

PLAYLIST_BYTES = 1 << 20
"""What is read of a playlist: some ten thousand names."""

PLAYLIST_DEPTH = 2
"""A playlist of variants names playlists of segments."""

_URI = re.compile(r'URI="([^"]+)"')
_LISTED = re.compile(r"file\s+(.+)")


def input_files(sources: Iterable[str]) -> list[Path]:
    """The files among ``sources``: by path, by ``file:`` address, as standard input, or named by a playlist."""
    paths = [path for source in sources for path in _paths_of(source) if _exists(path)]
    return [*paths, *(named for path in paths for named in _named_in(path, PLAYLIST_DEPTH))]


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two paths lead to one existing file, through links of either kind."""
    try:
        return first.samefile(second)
    except (OSError, ValueError):
        return False


def _paths_of(source: str) -> Iterator[Path]:
    yield Path(source)
    if source.lower().startswith("file:"):
        yield Path(unquote(urlsplit(source).path))
    if source == "-" and STDIN.is_file():  # a socket may be standard output as well
        yield STDIN


def missing_files(playlist: Path) -> list[str]:
    """The files that a playlist, or one that it names, plays and that are not there; none where it is no playlist.

    By their names there, without a query, which may hold a token.
    """
    missing = []
    for path in (playlist, *_named_in(playlist, PLAYLIST_DEPTH)):
        text = _playlist(path) or ""
        plays_files = "#EXTINF" in text or text.startswith("ffconcat")  # else it offers variants, of which one will do
        missing += [name.partition("?")[0] for name, file in _files_of(path, text) if plays_files and not _exists(file)]
    return missing


def _named_in(path: Path, depth: int) -> Iterator[Path]:
    """The files that the playlist at ``path`` names, and those that they name; nothing where it is no playlist."""
    text = _playlist(path) if depth else None
    for _, named in _files_of(path, text or ""):
        if _exists(named):
            yield named
            yield from _named_in(named, depth - 1)


def _playlist(path: Path) -> str | None:
    """The text of a playlist; None where the file at ``path`` is none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(PLAYLIST_BYTES).removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return None
    return head.decode("utf-8", "surrogateescape") if head.startswith(PLAYLIST_MARKS) else None


def _files_of(playlist: Path, text: str) -> Iterator[tuple[str, Path]]:
    """The names of files in the text of a playlist, and their paths."""
    for name in _names(text):
        if "://" not in name:
            yield name, playlist.resolve().parent / name.removeprefix("file:")


def _names(text: str) -> Iterator[str]:
    is_list = text.startswith("ffconcat")
    for line in map(str.strip, text.splitlines()):
        if is_list:
            if match := _LISTED.fullmatch(line):
                yield match[1].strip("'")
        elif line.startswith("#"):
            yield from _URI.findall(line)
        elif line:
            yield line


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a source can be any text: too long for a file name, or with a zero byte
        return False
