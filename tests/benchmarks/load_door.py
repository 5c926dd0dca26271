"""Door in a process of its own, in front of one host: ``python -m tests.benchmarks.load_door NAME URL SECRET``.

Prints its URL. It trusts X-Forwarded-For of this machine, so that offers count as those of different clients.
"""

from __future__ import annotations

import sys
import threading

from speakerlight.cluster.door import Door
from speakerlight.cluster.routing import HostAddress
from speakerlight.server.client_address import parse_network
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings

if __name__ == "__main__":
    host = HostAddress(*sys.argv[1:4])
    settings = ServeSettings("127.0.0.1", 0, trusted_proxies=(parse_network("127.0.0.0/8"),))
    with listening(settings) as address, Door(address, lambda: (host,), print) as door:
        print(f"http://127.0.0.1:{door.port}", flush=True)
        threading.Event().wait()
