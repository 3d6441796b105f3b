"""The seat, on a store of the test's own that answers when it may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from labkit.projections.seat import NOBODY, Seat

HUB = ("hub", "group")


class Ownerships:
    """One document. A look at it can be held up, and something can come between a look and what follows from it."""

    def __init__(self) -> None:
        self.owner, self.etag = NOBODY, 0
        self.holds_up = False
        self.looks, self.may_look = threading.Event(), threading.Event()
        self.between: Callable[[], object] | None = None

    def list_ownership(self, *_: object) -> list[dict[str, Any]]:
        if self.holds_up:
            self.holds_up = False
            self.looks.set()
            assert self.may_look.wait(20)
        found, between, self.between = {"owner_id": self.owner, "etag": self.etag}, self.between, None
        if between is not None:
            between()
        return [found]

    def claim_ownership(self, claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if claims[0]["etag"] != self.etag:
            return []
        self.owner, self.etag = claims[0]["owner_id"], self.etag + 1
        return claims


class Held:
    """A seat on such a store, of whose takes one is held up; `over` says that this one has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there: Any = Ownerships()
        self.seat = Seat(self.there, lease_seconds=0.3)
        self.over = threading.Event()
        take = self.seat.take

        def noted(*hub: str) -> bool:
            held_up = self.there.holds_up
            try:
                return take(*hub)
            finally:
                if held_up:
                    self.over.set()

        monkeypatch.setattr(self.seat, "take", noted)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


def test_a_holder_that_stops_while_it_renews_the_seat_leaves_it_at_once_and_for_good(held: Held) -> None:
    before, started = set(threading.enumerate()), set[threading.Thread]()

    async def stopped() -> None:
        async with held.seat.seated(*HUB, asyncio.Event(), lambda: None):
            assert held.there.owner == held.seat.candidate
            held.there.holds_up = True
            holding = asyncio.create_task(held.seat.hold(*HUB))
            assert await asyncio.to_thread(held.there.looks.wait, 60)
            holding.cancel()
            await asyncio.wait({holding})
            started.update(set(threading.enumerate()) - before)

    asyncio.run(stopped())
    assert not held.over.is_set()
    assert held.there.owner == NOBODY
    held.there.may_look.set()
    assert held.over.wait(60)
    assert held.there.owner == NOBODY
    for thread in started:
        thread.join(5)
    assert started
    assert not [thread.name for thread in started if thread.is_alive()]


def test_a_look_that_hangs_holds_up_no_other(held: Held) -> None:
    held.there.holds_up = True

    async def seated() -> None:
        async with held.seat.seated(*HUB, asyncio.Event(), lambda: None) as seated:
            assert seated
            assert held.there.looks.is_set()
            assert not held.over.is_set()

    asyncio.run(seated())
    held.there.may_look.set()


def test_a_renewal_between_a_look_and_the_claim_does_not_keep_the_seat_from_being_left() -> None:
    there: Any = Ownerships()
    seat = Seat(there)
    assert seat.take(*HUB)
    there.between = lambda: seat.take(*HUB)
    seat.leave(*HUB)
    assert (there.owner, there.etag) == (NOBODY, 3)
