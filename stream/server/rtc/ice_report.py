"""ICE failure report: which candidates there were on each side, and what to set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from speakerlight.server.ice_settings import IceSettings

MAX_LISTED = 6


@dataclass(frozen=True)
class IceReport:
    """Candidates as (type, address) on both sides. ``refused``: remote addresses that are not checked.

    ``failures``: STUN and TURN servers that gave no candidate, and why.
    """

    announced: tuple[tuple[str, str], ...]
    offered: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]
    failures: tuple[str, ...]

    def describe(self, settings: IceSettings) -> str:
        """One line for the log and the page."""
        offered = _listed(f"{kind} {address}" for kind, address in self.offered) or "nothing"
        announced = _listed(f"{kind} {address}" for kind, address in self.announced) or "nothing"
        parts = [f"no way through: the client offered {offered}; the server announced {announced}"]
        if self.refused:
            parts.append(f"not checked: {_listed(self.refused)}")
        if self.failures:
            parts.append(f"no answer of use from {_listed(self.failures)}")
        return "; ".join(parts) + ". " + self._advice(settings)

    def _advice(self, settings: IceSettings) -> str:
        kinds = {kind for kind, _ in self.announced}
        if any(server.is_turn for server in settings.servers) and "relay" not in kinds:
            return "The TURN server gave no relay: check its address and credential with --doctor and --ice-server"
        if "relay" in kinds:
            return "Not even the relay was reached: let its clients reach the TURN server, on TCP too (?transport=tcp)"
        turn = "where UDP is blocked, add --ice-server turn:USER:CREDENTIAL@HOST"
        if not settings.public_addresses and "srflx" not in kinds:
            return (
                "Start the server with --public-address ADDRESS --udp-ports FIRST-LAST and let these ports through; "
                + turn
            )
        ports = "-".join(map(str, settings.udp_ports)) if settings.udp_ports else "of the server (set --udp-ports)"
        return f"Let the UDP ports {ports} through firewalls and address translation; {turn}"


def _listed(items: Iterable[str]) -> str:
    unique = list(dict.fromkeys(items))
    rest = f" and {len(unique) - MAX_LISTED} more" if len(unique) > MAX_LISTED else ""
    return ", ".join(unique[:MAX_LISTED]) + rest
