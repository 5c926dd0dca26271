"""Calibration: turns the chain's posterior into probabilities that hold on recordings.

The chain is fitted on synthetic conversations, in which voices match lips worse than they do in recordings of people:
its posterior is too cautious. Where it has 0.5 for a face, that face speaks in 0.8 of the ticks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """``floor`` is added to the probabilities of each face alone and of nobody, all are raised to the power
    ``sharpness``, nobody is weighted by ``nobody``, and their sum is brought to 1 again.

    Fitted on 44 galleries of people who were not trained on, for the log-probability of who speaks, with voices;
    ``python -m tests.benchmarks decision DIR --calibrate`` fits them without.
    """

    sharpness: float = 2.9
    floor: float = 0.095
    nobody: float = 0.3

    def __call__(self, singles: Floats, pairs: Floats, nobody: float) -> tuple[Floats, Floats, float]:
        """Calibrated probabilities of each face alone [F], each pair [F, F] (symmetric) and nobody, of the same.

        ``singles``, half of ``pairs`` and ``nobody`` sum to 1.
        """
        singles = (singles + self.floor) ** self.sharpness
        pairs = pairs**self.sharpness
        nobody = self.nobody * (nobody + self.floor) ** self.sharpness
        total = float(nobody + singles.sum() + pairs.sum() / 2)
        return singles / total, pairs / total, nobody / total


UNCALIBRATED = Calibration(sharpness=1.0, floor=0.0, nobody=1.0)
"""Leaves the posterior as the chain has it."""
