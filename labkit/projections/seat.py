"""The seat: which of several projectors is the active one; the others stand by.

Owns one document among the ownerships (`events.ownership`): who holds the seat. It is claimed by its etag, so of two
claims one wins; the holder renews it, and leaves it when it stops. Who stands by watches the etag: one that has not
changed for `lease_seconds` by the watcher's own clock is taken over, so that no two clocks are compared.

The seat keeps two projectors from working for nothing. It does not keep the tables right: a holder that was halted and
wakes up still believes that it holds the seat. The positions in the commits do.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from labkit.events.ownership import Ownership, OwnershipStore

SCOPE = "projection"
"""In place of the namespace: the SDK's own load balancing never looks there."""
NOBODY = ""


class Seat:
    """One candidate's view of the seat of a hub and consumer group."""

    def __init__(
        self,
        ownerships: OwnershipStore,
        *,
        lease_seconds: float = 3.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease_seconds = lease_seconds
        self.candidate = uuid.uuid4().hex
        self._ownerships = ownerships
        self._monotonic = monotonic
        self._seen: tuple[str, float] = ("", 0.0)

    def take(self, hub: str, group: str) -> bool:
        """Take the seat, or keep it; whether it is held now."""
        there = next(iter(self._ownerships.list_ownership(SCOPE, hub, group)), None)
        if there is not None and there["owner_id"] not in (self.candidate, NOBODY) and not self._is_left(there):
            return False
        return self._claim(hub, group, self.candidate, there)

    def leave(self, hub: str, group: str) -> None:
        """Free the seat, if it is held, so that nobody waits for it."""
        for there in self._ownerships.list_ownership(SCOPE, hub, group):
            if there["owner_id"] == self.candidate:
                self._claim(hub, group, NOBODY, there)

    def _is_left(self, there: Ownership) -> bool:
        etag, since = self._seen
        if there["etag"] != etag:
            self._seen = (there["etag"], self._monotonic())
            return False
        return self._monotonic() - since > self.lease_seconds

    def _claim(self, hub: str, group: str, candidate: str, there: Ownership | None) -> bool:
        claim: dict[str, Any] = {
            "fully_qualified_namespace": SCOPE,
            "eventhub_name": hub,
            "consumer_group": group,
            "partition_id": "projector",
            "owner_id": candidate,
        }
        if there is not None:
            claim["etag"] = there["etag"]
        return bool(list(self._ownerships.claim_ownership([claim])))
