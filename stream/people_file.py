"""People file: enrolled people on disk, for the owner's eyes only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from speakerlight.core.errors import InputError
from speakerlight.core.people.enrolment import Enrolled, from_json, joined, to_json

OWNER_ONLY = 0o600


class PeopleFile:
    """The file of ``--people``: read when a session begins, updated when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Enrolled]:
        """The enrolled people; empty when there is no file yet. Raises InputError with one line."""
        try:
            return from_json(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--people {self._path}: cannot be read ({error})") from error
        except InputError as error:
            raise InputError(f"--people {self._path}: {error}") from error

    def update(self, met: Sequence[Enrolled]) -> None:
        """Add what a session learnt of those it met. Raises InputError with one line."""
        if met:
            self._save(joined(self.load(), met))

    def forget(self, name: str) -> None:
        """Delete a person. Raises InputError when no person has that name."""
        people = self.load()
        kept = [person for person in people if person.name != name]
        if len(kept) == len(people):
            known = ", ".join(person.name for person in people) or "no one"
            raise InputError(f"--people-forget {name}: {self._path} knows {known}")
        self._save(kept)

    def _save(self, people: Sequence[Enrolled]) -> None:
        """Write beside the file, readable by the owner only, then rename: the file is never half."""
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "w", encoding="utf-8"
            ) as file:
                file.write(to_json(people))
            part.replace(self._path)
        except OSError as error:
            raise InputError(f"--people {self._path}: cannot be written ({error.strerror or error})") from error
        finally:
            part.unlink(missing_ok=True)
