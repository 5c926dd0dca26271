"""The sync-signal plot: one curve a face over time, and under it who was the primary speaker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from speakerlight.core.errors import InputError
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE
from speakerlight.outputs.output import Output, check_writable
from speakerlight.palette import PALETTE, Rgb, colour

Values = npt.NDArray[np.floating[Any]]

BIN_LIMIT = 8192
"""Points a curve at most. Five and a half minutes fit tick by tick; then neighbours are merged, again and again."""

CURVES_IN_LEGEND = 25
"""More people than this (a day of visitors) are drawn but not listed."""

SILENCE_COLOUR = (240, 240, 240)
UNDECIDED_COLOUR = (180, 180, 180)
OFFSCREEN_COLOUR = (90, 90, 90)
STATE_COLOURS = {
    SpeakingState.SILENCE: SILENCE_COLOUR,
    SpeakingState.UNDECIDED: UNDECIDED_COLOUR,
    SpeakingState.OFFSCREEN: OFFSCREEN_COLOUR,
}


@dataclass
class Mean:
    """A running mean, and how many values are in it."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float, count: int = 1) -> None:
        self.total += value
        self.count += count


@dataclass
class Vote:
    """Who or what held a stretch of time the longest, as far as two counters can tell."""

    choice: int | SpeakingState = SpeakingState.SILENCE
    count: int = 0

    def add(self, choice: int | SpeakingState, count: int = 1) -> None:
        if choice == self.choice:
            self.count += count
        elif count > self.count:
            self.choice, self.count = choice, count


@dataclass
class SignalHistory:
    """Scores, speech and primary speaker of a whole run in bounded memory: the longer the run, the coarser its bins.

    ``seconds``: the width of a bin; bin k is the time from k × seconds.
    """

    limit: int = BIN_LIMIT
    seconds: float = 1 / TICK_RATE
    faces: dict[int, dict[int, Mean]] = field(default_factory=dict)
    speech: dict[int, Mean] = field(default_factory=dict)
    primary: dict[int, Vote] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Add a tick. Numbers that are not finite are left out."""
        place = self._bin(snapshot.time)
        while place >= self.limit:
            self._halve()
            place = self._bin(snapshot.time)
        choice = snapshot.primary if snapshot.primary is not None else snapshot.state
        self.primary.setdefault(place, Vote()).add(choice)
        if math.isfinite(snapshot.speech):
            self.speech.setdefault(place, Mean()).add(snapshot.speech)
        for face in snapshot.faces:
            if math.isfinite(face.score):
                self.faces.setdefault(face.id, {}).setdefault(place, Mean()).add(face.score)

    def _bin(self, time: float) -> int:
        return max(int(time / self.seconds + 0.5), 0)  # ticks lie on whole bins, give or take rounding

    def _halve(self) -> None:
        self.seconds *= 2
        self.speech = _merged(self.speech)
        self.faces = {person: _merged(curve) for person, curve in self.faces.items()}
        votes: dict[int, Vote] = {}
        for place, vote in self.primary.items():
            votes.setdefault(place // 2, Vote()).add(vote.choice, vote.count)
        self.primary = votes


def _merged(curve: dict[int, Mean]) -> dict[int, Mean]:
    merged: dict[int, Mean] = {}
    for place, mean in curve.items():
        merged.setdefault(place // 2, Mean()).add(mean.total, mean.count)
    return merged


class Plot(Output):
    """Draws the plot when it is closed. ``names`` may name a person."""

    option = "--plot"

    def __init__(self, path: Path, names: Mapping[int, str] | None = None, sources: Sequence[str] = ()) -> None:
        if path.suffix.lower() != ".png":
            raise InputError(f"{self.option} {path}: the plot is a PNG picture; give it a name that ends in .png")
        check_writable(path, self.option, sources)
        self._path = path
        self._names = names if names is not None else {}
        self._history = SignalHistory()

    def snapshot(self, snapshot: Snapshot) -> None:
        self._history.add(snapshot)

    def close(self) -> None:
        if self._history.primary:
            draw_plot(self._path, self._history, self._names)


def draw_plot(path: Path, history: SignalHistory, names: Mapping[int, str]) -> None:
    """Write the plot of a run as a PNG."""
    from matplotlib.figure import Figure  # without pyplot it needs no display

    count = max(history.primary) + 1
    times = np.arange(count) * history.seconds
    figure = Figure(figsize=(14, 5.2), dpi=120, layout="constrained")
    curves, strip = figure.subplots(2, 1, sharex=True, height_ratios=(9, 1))
    curves.fill_between(times, _values(history.speech, count), color="0.93", linewidth=0, label="speech")
    for person, curve in sorted(history.faces.items()):
        _draw_curve(curves, times, _values(curve, count), person, history, names)
    curves.set(ylabel="score", ylim=(-0.02, 1.02))
    curves.grid(color="0.85", linewidth=0.6)
    curves.spines[["top", "right"]].set_visible(False)
    strip.imshow(strip_colours(history)[None], extent=(0, count * history.seconds, 0, 1), aspect="auto")
    strip.set(xlabel="time, s", yticks=[], xlim=(0, count * history.seconds))
    strip.set_ylabel("primary", rotation="horizontal", ha="right", va="center")
    _draw_legend(figure, curves)
    figure.savefig(path)


def strip_colours(history: SignalHistory) -> npt.NDArray[np.uint8]:
    """The colour of each bin: the primary speaker's, or the state's; bins × 3, red green blue."""
    colours = np.full((max(history.primary) + 1, 3), SILENCE_COLOUR, np.uint8)
    for place, vote in history.primary.items():
        if isinstance(vote.choice, SpeakingState):
            colours[place] = STATE_COLOURS[vote.choice]
        else:
            colours[place] = colour(vote.choice)
    return colours


def _draw_curve(
    axes: Any, times: Values, values: Values, person: int, history: SignalHistory, names: Mapping[int, str]
) -> None:
    """Thin all along, thick where the person is the primary speaker; dashed from the palette's second round on."""
    line = {"color": _unit(colour(person)), "linestyle": "-" if person <= len(PALETTE) else "--"}
    axes.plot(times, values, linewidth=0.9, alpha=0.55, **line)
    held = np.array(
        [place in history.primary and history.primary[place].choice == person for place in range(len(times))]
    )
    label = names.get(person, f"person {person}")
    axes.plot(times, np.where(held, values, np.nan), linewidth=2.2, label=label, **line)


def _draw_legend(figure: Any, curves: Any) -> None:
    from matplotlib.patches import Patch

    handles, _ = curves.get_legend_handles_labels()
    handles = handles[: CURVES_IN_LEGEND + 1]
    for rgb, label in ((OFFSCREEN_COLOUR, "off-screen"), (UNDECIDED_COLOUR, "undecided"), (SILENCE_COLOUR, "silence")):
        handles.append(Patch(facecolor=_unit(rgb), edgecolor="0.6", label=label))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small")


def _unit(rgb: Rgb) -> tuple[float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255


def _values(curve: dict[int, Mean], count: int) -> Values:
    values = np.full(count, np.nan)
    for place, mean in curve.items():
        values[place] = mean.total / mean.count
    return values
