"""Search for large lags: notices audio that is 0.6 to 3 s off, beyond the lags that are compared every tick.

While speech matches no face in view, the embeddings of the last seconds are compared at intervals over a wide range of
lags. A lag that is found is reported once, with the flag that corrects it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.lag import MAX_LAG_TICKS
from speakerlight.core.models.audio_stream import AudioEncoderStream
from speakerlight.core.models.face_stream import FaceEncoderStream
from speakerlight.core.timebase import TICK_RATE

FARTHEST_TICKS = 75
"""Lags up to ±3 s are searched."""

_WINDOW_TICKS = 100
"""Frames that each lag's mean is taken over: 4 s."""

SEARCH_TICKS = _WINDOW_TICKS + 2 * FARTHEST_TICKS
"""Number of ticks whose face and audio embeddings the search needs."""

_EVERY_TICKS = 50
_UNEXPLAINED = 0.6
"""Share of the recent speech that matches no face in view, from which the search runs …"""
_UNEXPLAINED_TICKS = 75.0
"""… with the time constant of that share, in ticks of speech."""

_MIN_RISE, _MIN_DEVIATIONS = 0.08, 5.0
"""Minimum height of a peak above the median over lags, as a cosine and in robust standard deviations."""

_SAME_TICKS = 1
"""Two searches in a row must agree this closely."""


class LagSearch:
    """``notify`` takes the one line for the user."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._unexplained = 0.0
        self._since = 0
        self._found: int | None = None
        self._reported: set[int] = set()

    def update(
        self,
        tick: int,
        ids: Sequence[int],
        speech: float,
        no_speaker: float,
        steps: int,
        faces: FaceEncoderStream,
        audio: AudioEncoderStream,
    ) -> None:
        """Update with a tick's speech probability and the posterior of no active speaker in view; search when due."""
        if speech >= 0.5:
            self._unexplained += (no_speaker - self._unexplained) * min(1.0, steps / _UNEXPLAINED_TICKS)
        self._since += steps
        if self._unexplained < _UNEXPLAINED or self._since < _EVERY_TICKS or tick < SEARCH_TICKS:
            return
        self._since = 0
        middle = tick - FARTHEST_TICKS
        found = far_lag(
            faces.vectors(ids, np.arange(middle - _WINDOW_TICKS + 1, middle + 1)),
            audio.vectors(np.arange(middle - _WINDOW_TICKS + 1 - FARTHEST_TICKS, middle + 1 + FARTHEST_TICKS), tick)[0],
        )
        before, self._found = self._found, found
        if found is None or before is None or abs(found - before) > _SAME_TICKS:
            return
        if not any(abs(found - lag) <= 2 * _SAME_TICKS for lag in self._reported):
            self._reported.add(found)
            self._notify(_message(found))


def _message(lag: int) -> str:
    milliseconds = round(lag * 1000 / TICK_RATE)
    place = "later" if lag > 0 else "earlier"
    return (
        f"the audio is about {abs(milliseconds) / 1000:.1f} s {place} than the video, "
        f"more than is corrected automatically: run with --lag {milliseconds}"
    )


def far_lag(faces: npt.NDArray[np.float32], audio: npt.NDArray[np.float32]) -> int | None:
    """The lag in ticks beyond MAX_LAG_TICKS at which some face fits the audio clearly best; None where there is none.

    ``faces`` [F, N, D], zero where a face has no vector; ``audio`` [N + 2 × FARTHEST_TICKS, D], zero where unknown.
    """
    count, span = faces.shape[1], 2 * FARTHEST_TICKS + 1
    products = faces @ audio.T
    index = np.arange(count)[:, None] + np.arange(span)
    curves = products[:, np.arange(count)[:, None], index].mean(axis=1)
    curves = curves - np.median(curves, axis=1, keepdims=True)
    deviation = 1.4826 * np.median(np.abs(curves), axis=1)
    best = curves.max(axis=1, initial=0.0)
    clear = (best >= _MIN_RISE) & (best >= _MIN_DEVIATIONS * deviation)
    if not clear.any():
        return None
    face = int(np.argmax(np.where(clear, best, 0.0)))
    lag = int(np.argmax(curves[face])) - FARTHEST_TICKS
    return lag if abs(lag) > MAX_LAG_TICKS else None
