"""Read your own writes: is the version that a token names in what will answer, and how long to wait for it.

Owns: the look at each read model, and the waiting. All who wait for a table share one look: who comes joins the next
one, and it asks once for each version of the table and all who are new to it. So a crowd costs hardly more than one.
Between two looks no thread is held.
Refuses to know: what is asked afterwards.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat
from typing import Final
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from labkit.events.ids import CUSTOMER_ID, ORDER_ID, order_day, parse_token
from labkit.problems import Problem
from labkit.projections.query_container import QueryContainer
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS
from labkit.read_queries import questions
from labkit.read_queries.synapse import Answer, Synapse
from labkit.read_queries.tables import TableVersion

WAIT_AT_MOST_SECONDS: Final = 5.0
LOOK_EVERY_SECONDS: Final = 0.03
"""At the tables, which costs nothing while they stand."""
CHARGED_LOOK_EVERY_SECONDS: Final = 0.25
"""At the query container: each is a read that is charged."""
TOKEN: Final = re.compile(rf"(?:{ORDER_ID.pattern}|{CUSTOMER_ID.pattern})@[1-9][0-9]{{0,17}}", re.ASCII)

Wanted = tuple[str, int]
"""Aggregate id and version: what a token names."""
Look = Callable[[str, int], Awaitable[object]]
"""One look: true if the read model shows that version of the aggregate or a later one. Looks pace themselves."""


class Waiting:
    """Those who wait in one app; asked from its event loop alone."""

    def __init__(self, at_most_seconds: float, synapse: Synapse) -> None:
        self.at_most_seconds = at_most_seconds
        self._synapse = synapse
        self._wanted: set[Wanted] = set()
        self._next: asyncio.Task[dict[Wanted, Answer]] | None = None
        """The look that has not begun: who comes now joins it."""
        self._next_at = 0.0
        self._looking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        """Of each event loop, for an app that is served again has another one."""
        self._missed: dict[Wanted, TableVersion] = {}
        """Who was looked for last and was not there, and in which versions of the tables."""

    async def until_visible(self, token: str, look: Look) -> bool:
        """Whether the write became visible in time; one look is taken at least. Raises: `Problem` for no token."""
        if TOKEN.fullmatch(token) is None:
            raise Problem("bad-header", "If-Version-At-Least is the Version-Token of a command's answer.")
        deadline = time.monotonic() + self.at_most_seconds
        if await look(*parse_token(token)):
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                while not await look(*parse_token(token)):
                    pass
                return True
        return False

    async def in_tables(self, aggregate_id: str, version: int) -> Answer | None:
        """A `Look` at the table of this aggregate, and what is shown of it."""
        day_of(aggregate_id)
        self._wanted.add((aggregate_id, version))
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._looked())
        return (await asyncio.shield(self._next)).get((aggregate_id, version))

    def in_figures(self) -> Look:
        """At the figures, which are committed after the orders: they have to come as far as the orders were when they
        showed it, in the hub and in the replay of this aggregate's parked events, which moves no position."""
        ends: dict[str, int] = {}

        async def look(aggregate_id: str, version: int) -> bool:
            if ends:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
            elif await self.in_tables(aggregate_id, version) is None:
                return False
            else:
                ends.update(await run_in_threadpool(self._came_to, table_of(aggregate_id), aggregate_id))
            there = await run_in_threadpool(self._came_to, DAILY_ORDER_METRICS.name, aggregate_id)
            return all(there[part] >= number for part, number in ends.items())

        return look

    def _came_to(self, name: str, aggregate_id: str) -> dict[str, int]:
        tables = self._synapse.tables
        return {**tables.now([name])[name].positions, "parked": tables.recorded(name, f"parked/{aggregate_id}")}

    async def _looked(self) -> dict[Wanted, Answer]:
        """What the tables show of those who are waited for, as far as they have come."""
        async with self._looking.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            await asyncio.sleep(self._next_at - time.monotonic())
            self._next_at = time.monotonic() + LOOK_EVERY_SECONDS
            wanted, self._wanted, self._next = self._wanted, set(), None
            return await run_in_threadpool(self._shown, wanted)

    def _shown(self, wanted: Collection[Wanted]) -> dict[Wanted, Answer]:
        tables = self._synapse.tables.now({table_of(who) for who, _ in wanted})
        asked = {one: tables[table_of(one[0])] for one in wanted}
        of_day, there = defaultdict(set), dict[str, tuple[int, Answer]]()
        for one, seen in asked.items():
            if self._missed.get(one) != seen:
                of_day[day_of(one[0])].add(one[0])
        for names in of_day.values():
            answer = questions.shown_of(names).answer(self._synapse)
            found = zip(answer.rows[0].to_pylist(), answer.rows["version"].to_pylist(), strict=True)
            for number, (who, version) in enumerate(found):
                there[who] = version, replace(answer, rows=answer.rows.slice(number, 1))
        shown = {(who, version): there[who][1] for who, version in wanted if who in there and there[who][0] >= version}
        self._missed = {one: seen for one, seen in asked.items() if one not in shown}
        return shown


def in_query_container(container: QueryContainer, customer_id: str) -> Look:
    pauses = chain((0.0,), repeat(CHARGED_LOOK_EVERY_SECONDS))

    async def look(aggregate_id: str, version: int) -> bool:
        if ORDER_ID.fullmatch(aggregate_id) is None:
            raise Problem("bad-header", "This answer shows orders, and the token is not of an order.")
        await asyncio.sleep(next(pauses))
        return await run_in_threadpool(container.version_of, customer_id, aggregate_id) >= version

    return look


def table_of(aggregate_id: str) -> str:
    return CUSTOMERS.name if CUSTOMER_ID.fullmatch(aggregate_id) else ORDERS.name


def day_of(aggregate_id: str) -> dt.date | None:
    """The day whose files hold an order; None for a customer. Raises: `Problem` for a day that no calendar has."""
    try:
        return None if CUSTOMER_ID.fullmatch(aggregate_id) else order_day(aggregate_id)
    except ValueError:
        raise Problem("bad-header", "If-Version-At-Least names a day that no calendar has.") from None
