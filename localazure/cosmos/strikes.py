"""Where armed faults strike a Cosmos DB request.

Owns: at which point each kind acts. Refuses to know: how faults are counted (`localazure.fault_book`), HTTP.
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from localazure.cosmos.errors import CosmosError
from localazure.fault_book import Fault, FaultBook

CODES = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    408: "RequestTimeout",
    410: "Gone",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Place(TypedDict):
    """What a request is about, as faults are narrowed to it; None where its route names none."""

    database: str | None
    container: str | None


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class Crashed(Dropped):
    """All connections are to be cut, and everything that is not on disk is to be forgotten."""


class Strikes:
    """Asks the armed faults at the points where the service can fail."""

    def __init__(self, faults: FaultBook) -> None:
        self._faults = faults

    async def before(self, operation: str, place: Place) -> None:
        """Raises: `CosmosError` as armed, `Dropped`, `Crashed`; nothing has been read or written then."""
        delay = self._faults.take("cosmos", "delay", operation=operation, **place)
        if delay is not None:
            await asyncio.sleep(float(delay.values["milliseconds"]) / 1000)
        refusal = self._faults.take("cosmos", "respond", operation=operation, **place)
        if refusal is not None:
            raise _as_error(refusal)
        if self._takes("crash", operation, place, after_commit=False):
            raise Crashed
        if self._takes("drop_connection", operation, place, after_commit=False):
            raise Dropped

    def after(self, operation: str, place: Place) -> None:
        """Raises: `Dropped`, `Crashed`, with the operation done and on disk."""
        if self._takes("crash", operation, place, after_commit=True):
            raise Crashed
        if self._takes("drop_connection", operation, place, after_commit=True):
            raise Dropped

    def enforces_throughput(self, place: Place) -> bool:
        return self._faults.peek("cosmos", "enforce_throughput", **place) is not None

    def count_throttled(self, place: Place) -> None:
        """One request was answered with 429."""
        self._faults.take("cosmos", "enforce_throughput", **place)

    def second_region_lag(self) -> float | None:
        """Seconds by which the second region lags; None while there is none."""
        fault = self._faults.peek("cosmos", "lag_second_region")
        return None if fault is None else float(fault.values["milliseconds"]) / 1000

    def count_second_region(self) -> None:
        """One request was answered by the second region."""
        self._faults.take("cosmos", "lag_second_region")

    def _takes(self, kind: str, operation: str, place: Place, *, after_commit: bool) -> bool:
        return self._faults.take("cosmos", kind, operation=operation, **place, after_commit=after_commit) is not None


def _as_error(fault: Fault) -> CosmosError:
    wait = fault.values.get("retry_after_ms")
    error = CosmosError("A fault was asked for.", retry_after_ms=None if wait is None else float(wait))
    error.status = int(fault.values["status"])
    error.substatus = int(fault.values.get("substatus") or 0)
    error.code = CODES.get(error.status, "Fault")
    return error
