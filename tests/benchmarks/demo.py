"""The demo against its own ground truth, seed by seed: right person, second faces, off-screen turns, calibration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speakerlight import Output, RunSettings, Snapshot, run
from speakerlight.core.demo import Demo, DemoSettings, Judge, Verdict

SEEDS = range(8)
SECONDS = 60.0
"""Every whole minute of the demo has an off-screen turn."""

PEOPLE = 4


@dataclass(frozen=True)
class Bar:
    """Bar for the mean over all seeds: at least ``least``, or at most ``most``."""

    least: float = 0.0
    most: float = 1.0

    def __str__(self) -> str:
        return f"≥ {self.least:g}" if self.least else f"≤ {self.most:g}"


BARS = {
    "identity": Bar(least=0.97),
    "second": Bar(most=0.03),
    "offscreen": Bar(least=0.8),
    "calibration_error": Bar(most=0.05),
}


class JudgeOutput(Output):
    """Feeds every snapshot to a judge."""

    option = "judge"

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def snapshot(self, snapshot: Snapshot) -> None:
        self._judge.push(snapshot)


def judged(seed: int, people: int = PEOPLE, seconds: float = SECONDS, model: str = "compact") -> Verdict:
    """The verdict on one seed, through ``--fast``."""
    demo = Demo(DemoSettings(people=people, seed=seed, seconds=None))
    judge = Judge(demo.tiles, demo.turns)
    video = f"demo:people={people},seed={seed}"
    settings = RunSettings(video=video, model=model, fast=True, window=False, duration_seconds=seconds)
    run(settings, [JudgeOutput(judge)])
    return judge.verdict()


def mean(verdicts: Sequence[Verdict], measure: str) -> float:
    """Mean over the verdicts that have the measure."""
    return float(np.mean([value for v in verdicts if (value := getattr(v, measure)) is not None]))


def main(arguments: list[str]) -> int:
    """Print a line for each measure; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks demo", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--model", default="compact", help="compact, or the path of lipsync_expert.pth")
    given = parser.parse_args(arguments)
    verdicts = []
    for seed in given.seeds:
        verdicts.append(judged(seed, given.people, given.seconds, given.model))
        print(f"seed {seed}: {str(verdicts[-1]).removeprefix('demo: ')}", flush=True)
    missed = 0
    for name, bar in BARS.items():
        value = mean(verdicts, name)
        met = bar.least <= value <= bar.most
        missed += not met
        print(f"{name.replace('_', ' '):18} {value:.3f}  bar {bar}  {'met' if met else 'missed'}")
    return int(missed > 0)
