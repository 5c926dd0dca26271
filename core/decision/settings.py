"""Constants of the decision that are not learnt: the voice activity gate, and what a wrong or a late name costs.

What is learnt (emission, rates of the chain) is in the weights. Scores are calibrated probabilities, so thresholds
follow from costs: an action that is right with probability p pays when p exceeds cost / (cost + gain).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from speakerlight.core.decision.calibration import Calibration


@dataclass(frozen=True)
class Settings:
    """Thresholds are calibrated probabilities, times are seconds."""

    calibration: Calibration = field(default_factory=Calibration)

    speech_on: float = 0.5
    """Speech probability at which speech begins, …"""
    speech_off: float = 0.25
    """… and below which it ends: the hold below it is counted from there."""
    hold_seconds: float = 0.6
    """A pause this short is part of the speech around it. Pauses within a turn last up to about that long: with 0.3 s
    4 % of the time of turns is taken for silence (measured on the development galleries)."""
    named_from: float = 0.5
    """Probability from which a face is named: the name is right more often than not."""
    lost_below: float = 0.1
    """Probability below which the primary speaker is no longer named …"""
    lost_odds: float = 6.0
    """… or when it is this many times as probable that nobody in view speaks."""
    takeover_odds: float = 5.0
    """A challenger must be this many times as probable as the primary speaker: each change of name costs a little."""
    min_dwell_seconds: float = 0.4
    """Least time between two changes of the primary speaker …"""
    certain_from: float = 0.9
    """… unless the challenger is this probable."""
    marked_from: float = 0.8
    marked_below: float = 0.6
    """Probability at which the primary speaker is marked as speaking, and no longer: the best guess may have less. From
    0.7 (0.5), marks come 0.04 s earlier, and diarization errors rise by a fifth (seven development galleries)."""
    second_from: float = 0.5
    second_below: float = 0.35
    """Probability of the pair at which a second speaker is marked beside the primary one, and no longer marked."""
    offscreen_from: float = 0.4
    offscreen_below: float = 0.3
    """Probability of no active speaker in view at which the state is off-screen unless a face is named, and no longer
    is."""
    offscreen_seconds: float = 0.08
    """How long that must last: the first ticks of a turn match no face yet. With 0.2 s, of strangers' speech 0.04 to
    0.05 less is reported, and of the speech of people in view 0.003 to 0.005 less is taken for it (measured on the
    development galleries)."""
    unseen_seconds: float = 0.2
    """The same while no face is compared with the voice: after a cut, new faces are first confirmed, then seen for some
    frames."""
