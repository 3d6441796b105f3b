"""The seat, on a store of the test's own that answers when it may."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from labkit.projections.seat import NOBODY, Seat


class Ownerships:
    """One document. A look at it can be held up; what it then finds is what there is by that time."""

    def __init__(self) -> None:
        self.owner = NOBODY
        self.holds_up = False
        self.looks, self.may_look = threading.Event(), threading.Event()

    def list_ownership(self, *_: object) -> list[dict[str, Any]]:
        if self.holds_up:
            self.holds_up = False
            self.looks.set()
            assert self.may_look.wait(60)
        return [{"owner_id": self.owner, "etag": self.owner}]

    def claim_ownership(self, claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.owner = claims[0]["owner_id"]
        return claims


def test_a_holder_that_stops_while_it_renews_the_seat_leaves_it() -> None:
    there: Any = Ownerships()
    seat = Seat(there, lease_seconds=1.0)

    async def stopped() -> None:
        async with seat.seated("hub", "group", asyncio.Event(), lambda: None):
            assert there.owner == seat.candidate
            there.holds_up = True
            holding = asyncio.create_task(seat.hold("hub", "group"))
            assert await asyncio.to_thread(there.looks.wait, 60)
            holding.cancel()
            await asyncio.wait({holding})
            threading.Timer(0.2, there.may_look.set).start()

    asyncio.run(stopped())
    assert there.owner == NOBODY
