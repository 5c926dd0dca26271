"""Decision weights: the learnt numbers of emission and chain, one file for each lip-sync model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from speakerlight.core.decision.chain import ChainConstants
from speakerlight.core.decision.emission import EmissionWeights
from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors

FOLDER = Path(__file__).parent / "weights"
"""Made by ``python -m speakerlight.core.training decision``; each file's header names its data."""

FALLBACK = "compact"
"""Weights for a model that has none of its own."""


@dataclass(frozen=True, eq=False)
class DecisionWeights:
    """What was learnt for one lip-sync model."""

    emission: EmissionWeights
    chain: ChainConstants


def load_decision(path: Path) -> DecisionWeights:
    """The weights in ``path``. Raises InputError when the file is missing, broken or holds something else."""
    arrays, _ = load_safetensors(path)
    try:
        return DecisionWeights(EmissionWeights.of(arrays), ChainConstants.of(arrays))
    except KeyError as error:
        raise InputError(f"{path} holds no decision weights: {error} is missing") from error


@lru_cache(maxsize=8)
def decision_for(model_name: str) -> DecisionWeights:
    """The shipped weights for the lip-sync model of this name."""
    path = FOLDER / f"{model_name}.safetensors"
    return load_decision(path if path.is_file() else FOLDER / f"{FALLBACK}.safetensors")
