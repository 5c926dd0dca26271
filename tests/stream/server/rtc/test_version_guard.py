"""Only versions that were tried are used."""

from __future__ import annotations

import pytest

from speakerlight.core.errors import InputError
from speakerlight.server.rtc.version_guard import check_versions


def test_this_environment_was_tried() -> None:
    check_versions()


@pytest.mark.parametrize(
    "installed",
    [
        {"aiortc": "1.17.0", "aioice": "0.13.0"},
        {"aiortc": "1.1.6", "aioice": "0.13.0"},
        {"aiortc": "1.16.0", "aioice": "0.14.0"},
    ],
)
def test_any_other_is_refused_with_one_line(installed: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"^--serve needs aio\w+ \S+ but finds \S+: pip install"):
        check_versions(installed)
