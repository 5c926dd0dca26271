"""Puts each frame beside the snapshot of its time, which is decided a fixed look-ahead later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from speakerlight.core.media import Frame
from speakerlight.core.snapshot import Snapshot

HELD_BYTES = 512 << 20
"""Frames wait for about 0.3 s (look-ahead and room lag); large and fast ones no longer than this allows (4K: 20)."""


class Pairing:
    """Holds frames until the snapshots on both sides of them are there, then gives each the nearer one."""

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self._held: deque[Frame] = deque()
        self._last: Snapshot | None = None

    def hold(self, frame: Frame) -> Iterator[tuple[Frame, Snapshot | None]]:
        """Take a frame; gives those that must go with the latest snapshot there is, because no more can be held."""
        self._held.append(frame)
        while len(self._held) * frame.image.nbytes > self._held_bytes:
            yield self._held.popleft(), self._last

    def pair(self, snapshot: Snapshot) -> Iterator[tuple[Frame, Snapshot]]:
        """Take a snapshot; gives the frames up to its time."""
        before, self._last = self._last, snapshot
        while self._held and self._held[0].time <= snapshot.time:
            frame = self._held.popleft()
            is_before_nearer = before is not None and frame.time - before.time < snapshot.time - frame.time
            yield frame, before if is_before_nearer and before is not None else snapshot

    def rest(self) -> Iterator[tuple[Frame, Snapshot | None]]:
        """The frames after the last snapshot, at the end of the run."""
        while self._held:
            yield self._held.popleft(), self._last
