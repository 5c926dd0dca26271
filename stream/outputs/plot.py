"""Plot of the sync signal, drawn in bounded time: a score curve a face, and below it who the primary speaker was."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from speakerlight.caller_environment import without_matplotlib_backend
from speakerlight.core.errors import InputError
from speakerlight.core.identities import Merge
from speakerlight.core.segments import LONGEST_HOLD_SECONDS
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE
from speakerlight.core.transcript import encodable
from speakerlight.outputs.files import check_writable, write_whole
from speakerlight.outputs.output import Output
from speakerlight.palette import PALETTE, Rgb, colour

Values = npt.NDArray[np.floating[Any]]

BIN_LIMIT = 2048
"""Maximum number of time bins, more than one per pixel of the image. The first 82 s have one bin per tick; then
neighbours are merged."""

PENDING_ROWS = 4096
"""Scores that are collected before they are binned together: with 25 faces, those of 6.5 s."""

CURVES_IN_LEGEND = 22
"""More people than this (a day of visitors) are drawn but not listed."""

STATE_COLOURS: dict[SpeakingState, Rgb] = {
    SpeakingState.SILENCE: (240, 240, 240),
    SpeakingState.UNDECIDED: (180, 180, 180),
    SpeakingState.OFFSCREEN: (90, 90, 90),
}
"""Colours of the strip where there is no primary speaker."""

STATE_LABELS = {
    SpeakingState.OFFSCREEN: "off-screen",
    SpeakingState.UNDECIDED: "undecided",
    SpeakingState.SILENCE: "silence",
}

ROW = np.dtype([("person", np.int64), ("bin", np.int32), ("count", np.int32), ("total", np.float64)])


@dataclass
class Vote:
    """The primary speaker, or the state, that held a bin the longest, as far as two counters can tell."""

    choice: int | SpeakingState = SpeakingState.SILENCE
    count: int = 0

    def add(self, choice: int | SpeakingState, count: int = 1) -> None:
        if choice == self.choice:
            self.count += count
        elif count > self.count:
            self.choice, self.count = choice, count


class MeanTable:
    """Mean values by person and bin of time, as rows sorted by both; 24 bytes for each bin in which a person was."""

    def __init__(self) -> None:
        self._rows = np.zeros(0, ROW)
        self._pending: list[tuple[int, int, int, float]] = []

    def add(self, person: int, bin_number: int, value: float) -> None:
        """Add a value. What is not finite is ignored."""
        if math.isfinite(value):
            self._pending.append((person, bin_number, 1, value))
        if len(self._pending) >= PENDING_ROWS:
            self._settle()

    def halve(self) -> None:
        """Merge each pair of neighbouring bins."""
        self._settle()
        self._rows["bin"] //= 2
        self._rows = _merged(self._rows)

    def merge(self, person: int, into: int) -> None:
        """Move the values of one person to another."""
        self._settle()
        self._rows["person"][self._rows["person"] == person] = into
        self._rows = _merged(self._rows)

    def means(self) -> Iterator[tuple[int, npt.NDArray[np.int32], Values]]:
        """For each person, in order: the bins, and the mean in each."""
        self._settle()
        people, starts = np.unique(self._rows["person"], return_index=True)
        for person, first, last in zip(people, starts, [*starts[1:], len(self._rows)], strict=False):
            rows = self._rows[first:last]
            yield int(person), rows["bin"], rows["total"] / rows["count"]

    def __len__(self) -> int:
        self._settle()
        return len(self._rows)

    def _settle(self) -> None:
        if self._pending:
            self._rows = _merged(np.concatenate([self._rows, np.array(self._pending, ROW)]))
            self._pending.clear()


def _merged(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows sorted by person and bin, those of the same added up."""
    rows = rows[np.lexsort((rows["bin"], rows["person"]))]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (rows["person"][1:] != rows["person"][:-1]) | (rows["bin"][1:] != rows["bin"][:-1])
    starts = np.flatnonzero(is_first)
    merged = rows[starts]
    for name in ("count", "total"):
        merged[name] = np.add.reduceat(rows[name], starts) if len(rows) else rows[name]
    return merged


@dataclass
class SignalHistory:
    """Scores, speech and primary speaker of a whole run in bounded memory: the longer the run, the wider its bins.

    ``seconds``: the width of a bin; bin k is the time from k × seconds. ``speech`` has its values under person 0.
    """

    limit: int = BIN_LIMIT
    seconds: float = 1 / TICK_RATE
    faces: MeanTable = field(default_factory=MeanTable)
    speech: MeanTable = field(default_factory=MeanTable)
    primary: dict[int, Vote] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Add a tick. Values that are not finite are ignored."""
        for merge in snapshot.merges:
            self._merge(merge)
        place = self._bin(snapshot.time)
        while place >= self.limit:
            self._halve()
            place = self._bin(snapshot.time)
        choice = snapshot.primary if snapshot.primary is not None else snapshot.state
        self.primary.setdefault(place, Vote()).add(choice)
        self.speech.add(0, place, snapshot.speech)
        for face in snapshot.faces:
            self.faces.add(face.id, place, face.score)

    def _merge(self, merge: Merge) -> None:
        self.faces.merge(merge.id, merge.into)
        for vote in self.primary.values():
            if vote.choice == merge.id:
                vote.choice = merge.into

    def _bin(self, time: float) -> int:
        return max(int(time / self.seconds + 0.5), 0)  # ticks lie on whole bins, give or take rounding

    def _halve(self) -> None:
        self.seconds *= 2
        self.faces.halve()
        self.speech.halve()
        votes: dict[int, Vote] = {}
        for place, vote in self.primary.items():
            votes.setdefault(place // 2, Vote()).add(vote.choice, vote.count)
        self.primary = votes


class Plot(Output):
    """Draws the plot when it is closed."""

    option = "--plot"

    def __init__(self, path: Path, sources: Sequence[str] = ()) -> None:
        if path.suffix.lower() != ".png":
            raise InputError(f"{self.option} {path}: the plot is a PNG image; give it a name that ends in .png")
        check_writable(path, self.option, sources)
        self._path = path
        self._names: dict[int, str] = {}
        self._history = SignalHistory()

    def snapshot(self, snapshot: Snapshot) -> None:
        self._names.update(snapshot.names)
        self._history.add(snapshot)

    def close(self) -> None:
        if self._history.primary:
            write_whole(self._path, plot_png(self._history, self._names))


def plot_png(history: SignalHistory, names: Mapping[int, str]) -> bytes:
    """The plot of a run as a PNG file."""
    with _default_matplotlib():
        from matplotlib.figure import Figure  # without pyplot it needs no display

        end = (max(history.primary) + 1) * history.seconds
        figure = Figure(figsize=(14, 5.2), dpi=120)
        # Fixed margins: a layout engine draws everything twice.
        figure.subplots_adjust(left=0.06, right=0.86, top=0.97, bottom=0.1, hspace=0.06)
        curves, strip = figure.subplots(2, 1, sharex=True, height_ratios=(9, 1))
        _draw_speech(curves, history)
        _draw_faces(curves, history)
        curves.set(ylabel="score", ylim=(-0.02, 1.02))
        curves.grid(color="0.85", linewidth=0.6)
        curves.spines[["top", "right"]].set_visible(False)
        strip.imshow(strip_colours(history)[None], extent=(0, end, 0, 1), aspect="auto", interpolation="nearest")
        strip.set(xlabel="time, s", yticks=[], xlim=(0, end))
        strip.set_ylabel("primary", rotation="horizontal", ha="right", va="center")
        _draw_legend(figure, history, names)
        png = io.BytesIO()
        figure.savefig(png, format="png", pil_kwargs={"compress_level": 1})
    return png.getvalue()


def strip_colours(history: SignalHistory) -> npt.NDArray[np.uint8]:
    """The colour of each bin: the primary speaker's, or that of the state; bins × 3, red green blue."""
    silence = STATE_COLOURS[SpeakingState.SILENCE]
    colours = np.full((max(history.primary) + 1, 3), silence, np.uint8)
    for place, vote in history.primary.items():
        if isinstance(vote.choice, SpeakingState):
            colours[place] = STATE_COLOURS.get(vote.choice, silence)
        else:
            colours[place] = colour(vote.choice)
    return colours


@contextmanager
def _default_matplotlib() -> Iterator[None]:
    """Matplotlib with default settings, independent of the caller's MPLBACKEND and matplotlibrc."""
    mpl = import_matplotlib()
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams["text.parse_math"] = False  # a name may hold a dollar sign
        warnings.filterwarnings("ignore", "Glyph")  # … or characters that the font lacks
        yield


def import_matplotlib() -> Any:
    """Import what draws the plot, which takes half a second the first time. Returns Matplotlib."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that it cannot write to does not matter
    with without_matplotlib_backend():
        import matplotlib as mpl
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    return mpl


def _draw_speech(axes: Any, history: SignalHistory) -> None:
    for _, bins, values in history.speech.means():
        for first, last in _segments(bins, history.seconds):
            times = bins[first:last] * history.seconds
            axes.fill_between(times, values[first:last], color="0.93", linewidth=0)


def _draw_faces(axes: Any, history: SignalHistory) -> None:
    """Each face's curve: thin all along, thick where the person is the primary speaker; dashed from the palette's
    second round on. Only where the face was in view, and one collection for all: a day has thousands of people."""
    from matplotlib.collections import LineCollection

    thin, thick = _Curves(), _Curves()
    held = _primary_by_bin(history)
    for person, bins, values in history.faces.means():
        points = np.stack([bins * history.seconds, values], axis=1)
        for first, last in _segments(bins, history.seconds):
            thin.add(points[first:last], person)
            is_held = np.flatnonzero(held[bins[first:last]] == person) + first
            for begin, end in _segments(bins[is_held], history.seconds):
                thick.add(points[is_held[begin:end]], person)
    for curves, width, alpha in ((thin, 0.9, 0.55), (thick, 2.2, None)):
        axes.add_collection(
            LineCollection(
                curves.points, colors=curves.colours, linestyles=curves.styles, linewidths=width, alpha=alpha
            )
        )


@dataclass
class _Curves:
    """Segments of one colour and width, drawn together."""

    points: list[Values] = field(default_factory=list)
    colours: list[tuple[float, float, float]] = field(default_factory=list)
    styles: list[Any] = field(default_factory=list)

    def add(self, points: Values, person: int) -> None:
        self.points.append(points.repeat(2, axis=0) if len(points) == 1 else points)  # one point draws nothing
        self.colours.append(_unit(colour(person)))
        self.styles.append(_style(person))


def _segments(bins: npt.NDArray[np.int32], seconds: float) -> Iterator[tuple[int, int]]:
    """First index, and that after the last, of each group of ``bins`` between which no tick can be missing."""
    longest = max(LONGEST_HOLD_SECONDS / seconds, 1.0)
    breaks = np.flatnonzero(np.diff(bins) > longest) + 1
    edges = [0, *breaks.tolist(), len(bins)]
    return ((first, last) for first, last in pairwise(edges) if last > first)


def _primary_by_bin(history: SignalHistory) -> npt.NDArray[np.int64]:
    held = np.zeros(max(history.primary) + 1, np.int64)
    for place, vote in history.primary.items():
        held[place] = 0 if isinstance(vote.choice, SpeakingState) else vote.choice
    return held


def _draw_legend(figure: Any, history: SignalHistory, names: Mapping[int, str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor="0.93", label="speech")]
    people = [person for person, _, _ in history.faces.means()]
    for state, label in STATE_LABELS.items():
        handles.append(Patch(facecolor=_unit(STATE_COLOURS[state]), edgecolor="0.6", label=label))
    for person in people[:CURVES_IN_LEGEND]:
        # FreeType takes no lone surrogate, and between dollar signs Matplotlib reads formulas.
        label = encodable(names.get(person, f"person {person}")).replace("$", r"\$")
        handles.append(
            Line2D([], [], color=_unit(colour(person)), linestyle=_style(person), linewidth=2.2, label=label)
        )
    if len(people) > CURVES_IN_LEGEND:
        handles.append(Patch(facecolor="none", label=f"and {len(people) - CURVES_IN_LEGEND} more"))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.865, 0.98), frameon=False, fontsize="small")


def _style(person: int) -> Literal["-", "--"]:
    return "-" if person <= len(PALETTE) else "--"


def _unit(rgb: Rgb) -> tuple[float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255
