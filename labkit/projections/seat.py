"""The seat: which of several projectors is the active one; the others stand by.

Owns one document among the ownerships (`events.ownership`): who holds the seat. It is claimed by its etag, so of two
claims one wins; the holder renews it, and leaves it when it stops. Who stands by watches the etag: one that has not
changed for `lease_seconds` by the watcher's own clock is taken over, so that no two clocks are compared.

The seat keeps two projectors from working for nothing. It does not keep the tables right: a holder that was halted and
wakes up still believes that it holds the seat. The positions in the commits do.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from azure.core.exceptions import AzureError

from labkit.events.ownership import NAMES, Ownership, OwnershipStore

logger = logging.getLogger(__name__)

SCOPE = "projection"
"""In place of the namespace: the SDK's own load balancing never looks there."""
NOBODY = ""


class Seat:
    """One candidate's view of the seat of a hub and consumer group, beside an event loop that goes on."""

    def __init__(
        self, ownerships: OwnershipStore, *, lease_seconds: float = 3.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.lease_seconds = lease_seconds
        self.candidate = uuid.uuid4().hex
        self._ownerships = ownerships
        self._monotonic = monotonic
        self._seen: tuple[str, float] = ("", 0.0)
        self._left = 0
        """How often it was given up: who looked before that claims nothing after it."""

    def take(self, hub: str, group: str) -> bool:
        """Take the seat, or keep it; whether it is held now."""
        left = self._left
        there = next(iter(self._ownerships.list_ownership(SCOPE, hub, group)), None)
        free = there is None or there["owner_id"] in (self.candidate, NOBODY) or self._is_left(there)
        return free and left == self._left and self._claim(hub, group, self.candidate, there)

    def leave(self, hub: str, group: str) -> None:
        """Free the seat, if it is held, so that nobody waits for it."""
        self._left += 1
        for there in self._ownerships.list_ownership(SCOPE, hub, group):
            if there["owner_id"] == self.candidate and not self._claim(hub, group, NOBODY, there):
                self.leave(hub, group)  # a renewal that was under way came between the look and the claim

    @asynccontextmanager
    async def seated(
        self, hub: str, group: str, stopping: asyncio.Event, standing_by: Callable[[], None]
    ) -> AsyncIterator[bool]:
        """Stand by until the seat is taken, and leave it in the end; False when told to stop before.

        A call that hangs keeps a thread for itself, which nobody waits for: not the next look, nor the end."""
        self._threads = ThreadPoolExecutor(32, "seat")  # the SDK gives a call up after minutes
        try:
            while not stopping.is_set() and not await self._takes(hub, group):
                standing_by()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self.lease_seconds / 3)
            yield not stopping.is_set()
        finally:
            leaving = asyncio.get_running_loop().run_in_executor(self._threads, self.leave, hub, group)
            self._threads.shutdown(wait=False)
            with suppress(AzureError):
                await leaving

    async def hold(self, hub: str, group: str) -> None:
        """Renew the seat (inside `seated`); return when it is another's, or could not be renewed for as long as it is
        respected."""
        kept = time.monotonic()
        while time.monotonic() < kept + self.lease_seconds:
            await asyncio.sleep(self.lease_seconds / 3)
            kept = time.monotonic() if await self._takes(hub, group) else kept
        logger.warning("the seat of %s is lost", hub)

    async def _takes(self, hub: str, group: str) -> bool:
        try:
            async with asyncio.timeout(self.lease_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self.take, hub, group)
        except (AzureError, TimeoutError) as error:
            logger.info("the seat cannot be asked for: %r", error)
            return False

    def _is_left(self, there: Ownership) -> bool:
        if there["etag"] != self._seen[0]:
            self._seen = (there["etag"], self._monotonic())
        return self._monotonic() - self._seen[1] > self.lease_seconds

    def _claim(self, hub: str, group: str, candidate: str, there: Ownership | None) -> bool:
        claim = dict(zip(NAMES, (SCOPE, hub, group, "projector", candidate), strict=True), etag=there and there["etag"])
        return bool(list(self._ownerships.claim_ownership([claim])))
