"""Face selection: which faces are followed or scored when there are more than allowed, with hysteresis."""

from __future__ import annotations

from collections.abc import Container, Sequence

from speakerlight.core.faces.tracking import TrackedFace

LARGER = 1.4
"""Ratio of box areas above which a face replaces a selected one. Those of equal faces vary by ±15 % (measured)."""


class FaceSelection:
    """Keeps the selected faces until one of them leaves or a clearly larger face appears."""

    def __init__(self) -> None:
        self._selected: set[int] = set()

    def select(
        self, faces: Sequence[TrackedFace], most: int, preferred: Container[int] = frozenset()
    ) -> list[TrackedFace]:
        """At most ``most`` of ``faces``, in their order; ids in ``preferred`` come first, then the largest."""

        def rank(face: TrackedFace) -> tuple[bool, float]:
            return face.id in preferred, face.box.area

        ranked = sorted(faces, key=rank, reverse=True)
        inside = [face for face in ranked if face.id in self._selected]
        outside = [face for face in ranked if face.id not in self._selected]
        outside = inside[most:] + outside
        inside = inside[:most]
        while outside and len(inside) < most:
            inside.append(outside.pop(0))
        for challenger in outside:
            last = min(inside, key=rank)
            prefers, preferred_before = challenger.id in preferred, last.id in preferred
            is_larger = challenger.box.area > LARGER * last.box.area
            if prefers > preferred_before or (prefers == preferred_before and is_larger):
                inside.remove(last)
                inside.append(challenger)
        self._selected = {face.id for face in inside}
        return [face for face in faces if face.id in self._selected]
