"""Decision weights: the learnt numbers of emission and chain, one file for each lip-sync model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.chain import ChainConstants
from speakerlight.core.decision.emission import FEATURES, EmissionWeights
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
    """The weights in ``path``. Raises InputError as ``decision_arrays``."""
    arrays = decision_arrays(path)
    return DecisionWeights(EmissionWeights.of(arrays), ChainConstants.of(arrays))


def decision_arrays(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The numbers in ``path`` as they are stored. Raises InputError when the file is missing, broken, holds something
    else or is of another version."""
    arrays, _ = load_safetensors(path)
    for field in (*fields(EmissionWeights), *fields(ChainConstants)):
        if field.name not in arrays:
            raise InputError(f"{path} holds no decision weights: {field.name!r} is missing")
    if (found := len(arrays["linear"])) != FEATURES:
        raise InputError(f"{path} is of another version: {found} features instead of {FEATURES}; fit it anew")
    return arrays


@lru_cache(maxsize=8)
def decision_for(model_name: str) -> DecisionWeights:
    """The shipped weights for the lip-sync model of this name."""
    path = FOLDER / f"{model_name}.safetensors"
    return load_decision(path if path.is_file() else FOLDER / f"{FALLBACK}.safetensors")
