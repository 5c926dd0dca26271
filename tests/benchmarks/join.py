"""Accuracy of ``speakerlight join``: galleries through ``--fast --export``, then joined with known words.

The words fill the turns of the ground truth as speech does, and their times are off as those of speech-to-text
are. Galleries have their ground truth beside them, as for ``peers``; the demo without any.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speakerlight import RunSettings, Snapshot, command_line, run
from speakerlight.core.errors import InputError
from tests.benchmarks.peers import Gallery, SnapshotList, demo_gallery, read_gallery

BAR = 0.9

WORD_SECONDS = (0.15, 0.45)
GAP_SECONDS = (0.0, 0.08)
OFF_SECONDS = 0.1
"""Standard deviation of a word's times: whisper.cpp's and faster-whisper's are off by 0.1 to 0.2 s."""


@dataclass(frozen=True)
class SpokenWord:
    """A word of the person in ``tile`` (None: off-screen), at the times of speech-to-text in seconds."""

    text: str
    start: float
    end: float
    tile: int | None


def words_of(gallery: Gallery, end: float, seed: int = 0) -> list[SpokenWord]:
    """Made-up words that fill the gallery's turns up to ``end`` seconds."""
    rng = random.Random(seed)
    words: list[SpokenWord] = []
    for turn in gallery.turns:
        moment = turn.start
        while (ending := moment + rng.uniform(*WORD_SECONDS)) <= min(turn.end, end):
            off = rng.gauss(0, OFF_SECONDS)
            words.append(SpokenWord(f"word{len(words)}", max(moment + off, 0.0), max(ending + off, 0.01), turn.tile))
            moment = ending + rng.uniform(*GAP_SECONDS)
    return words


def joined(words: Sequence[SpokenWord], session: Path, folder: Path) -> dict[str, int | None]:
    """Each word's person, through the command ``join``."""
    given, out = folder / "words.json", folder / "said.json"
    given.write_text(json.dumps([{"word": w.text, "start": w.start, "end": w.end} for w in words]))
    if command_line.main(["join", str(given), str(session), "--output", str(out)]):
        raise InputError("join: the command failed")
    turns = json.loads(out.read_text())["turns"]
    return {word: turn["id"] for turn in turns for word in turn.get("text", "").split()}


def tiles_of(gallery: Gallery, snapshots: Sequence[Snapshot]) -> dict[int, int]:
    """The tile in which each person was most of the time."""
    places = Counter(
        (face.id, tile)
        for snapshot in snapshots
        for face in snapshot.faces
        for tile, box in enumerate(gallery.tiles)
        if box.contains(face.box.centre)
    )
    return {person: tile for (person, tile), _ in reversed(places.most_common())}


def measured(gallery: Gallery, seconds: float | None = None) -> tuple[float, int]:
    """Share of words under the right person, and the number of words. ``seconds``: of the gallery."""
    kept = SnapshotList()
    with tempfile.TemporaryDirectory() as folder:
        session = Path(folder) / "session.json"
        duration = seconds or gallery.seconds
        run(
            RunSettings(video=gallery.video, fast=True, window=False, duration_seconds=duration, exports=(session,)),
            [kept],
        )
        words = words_of(gallery, kept.snapshots[-1].time)
        persons = joined(words, session, Path(folder))
    tiles = tiles_of(gallery, kept.snapshots)
    in_view = [word for word in words if word.tile is not None]
    right = sum(tiles.get(persons.get(word.text) or 0) == word.tile for word in in_view)
    return right / max(len(in_view), 1), len(in_view)


def main(arguments: list[str]) -> int:
    """Print a line for each gallery; status 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks join", description=__doc__)
    parser.add_argument("galleries", nargs="*", type=Path, metavar="GALLERY.mp4")
    given = parser.parse_args(arguments)
    galleries = [read_gallery(path) for path in given.galleries] or [demo_gallery(0)]
    right = total = 0.0
    for gallery in galleries:
        share, count = measured(gallery)
        print(f"{gallery.name}: {share:.3f} of {count} words under the right name", flush=True)
        right, total = right + share * count, total + count
    print(f"all: {right / total:.3f}; bar: {BAR}")
    return 0 if right / total >= BAR else 1
