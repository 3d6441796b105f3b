"""What a server was started with: kept in its state file, so that one brought back after a kill answers as it did.

Owns: which options those are, and their form in `state.json` and on the command line. The bearer token goes by the
environment, where other users do not see it. Not among them: ports, keys and hubs, which the folder has files for, and
the idle time, for what is brought back runs in the background and nobody would stop it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from localazure.cosmos.consistency import LEVELS, SESSION

MOST_RANGES = 256
TOKEN_VARIABLE = "LOCALAZURE_BEARER_TOKEN"


@dataclass(frozen=True, slots=True)
class StartedWith:
    """See `localazure.server.ServerOptions`."""

    tls: bool = False
    ranges: int | None = None
    consistency: str = SESSION
    bearer_token: str | None = field(default=None, repr=False)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> StartedWith:
        """As a state file says it; what it does not say, or wrongly, is as without the option."""
        told = state.get("started_with")
        told = told if isinstance(told, dict) else {}
        ranges, consistency, token = told.get("ranges"), told.get("consistency"), told.get("bearer_token")
        return cls(
            told.get("tls") is True,
            ranges if type(ranges) is int and 1 <= ranges <= MOST_RANGES else None,
            consistency if consistency in LEVELS else SESSION,
            token if isinstance(token, str) else None,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def arguments(self) -> list[str]:
        """For `python -m localazure serve`."""
        tls = ["--tls"] if self.tls else []
        ranges = ["--ranges", str(self.ranges)] if self.ranges is not None else []
        return [*tls, *ranges, "--consistency", self.consistency]

    def environment(self) -> dict[str, str]:
        return {} if self.bearer_token is None else {TOKEN_VARIABLE: self.bearer_token}
