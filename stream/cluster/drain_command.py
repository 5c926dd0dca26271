"""Command ``drain HOST``: a client that asks a cluster's gateway (``door.py``) over HTTP to drain a host.

The host itself opens no new rooms from then on and closes its rooms one after the other (``server/rooms.py``); their
pages reconnect at other hosts.
"""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote

from speakerlight.core.errors import InputError
from speakerlight.server.tokens import TOKEN_VARIABLE

TIMEOUT_SECONDS = 10.0


def main(arguments: list[str], program: str) -> int:
    """Run the command. ``program``: shown in the usage. Raises InputError with one line."""
    description = "A host of a cluster opens no new rooms, and its pages move to other hosts."
    made = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
    made.add_argument("host", metavar="HOST", help="name of the host, as /hosts lists it")
    made.add_argument("--door", metavar="URL", default="http://localhost:8000", help="where the door is")
    made.add_argument("--token", metavar="SECRET", help=f"the door's token; or set {TOKEN_VARIABLE}")
    given = made.parse_args(arguments)
    token = given.token or os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        address = f"{given.door.rstrip('/')}/hosts/{quote(given.host, safe='')}/drain"
        request = urllib.request.Request(address, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            print(f"{given.host} is being drained")
    except urllib.error.HTTPError as refused:
        raise InputError(f"drain {given.host}: {_reason(refused)}") from None
    except (OSError, ValueError) as failure:
        raise InputError(f"drain {given.host}: {given.door} does not answer ({failure}); give --door URL") from None
    return 0


def _reason(refused: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(refused.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"refused ({refused.code})" + ("; give --token" if refused.code == 401 else "")
