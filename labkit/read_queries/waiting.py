"""Read your own writes: is the version that a token names in what will answer, and how long to wait for it.

Owns: the look at each read model, and the waiting. Between two looks no thread is held, and only so many may wait.
Refuses to know: what is asked afterwards.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool

from labkit.events.ids import CUSTOMER_ID, ORDER_ID, parse_token
from labkit.problems import RETRY_AFTER_SECONDS, Problem
from labkit.projections.query_container import QueryContainer
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS
from labkit.read_queries import questions
from labkit.read_queries.synapse import Synapse

WAIT_AT_MOST_SECONDS: Final = 5.0
WAITING_AT_MOST: Final = 100
FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.05
"""Between two looks at a table, which cost nothing while it stands."""
LONGEST_BETWEEN_READS_SECONDS: Final = 0.25
"""Between two looks at the query container: each is a read that is charged."""
TOKEN: Final = re.compile(rf"(?:{ORDER_ID.pattern}|{CUSTOMER_ID.pattern})@[1-9][0-9]{{0,17}}", re.ASCII)

Look = Callable[[str, int], bool]
"""Aggregate id and version -> whether the read model shows that version or a later one."""


class Waiting:
    """Those who wait in one app; asked from its event loop alone."""

    def __init__(self, at_most_seconds: float) -> None:
        self.at_most_seconds = at_most_seconds
        self._how_many = 0

    async def until_visible(self, token: str, visible: Look, longest_pause: float = LONGEST_PAUSE_SECONDS) -> bool:
        """Whether the write became visible in time. Raises: `Problem` for what is no token, or when too many wait."""
        if TOKEN.fullmatch(token) is None:
            raise Problem("bad-header", "If-Version-At-Least is the Version-Token of a command's answer.")
        if self._how_many >= WAITING_AT_MOST:
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise Problem("busy", f"{WAITING_AT_MOST} requests wait for their writes already.", headers=again)
        aggregate_id, version = parse_token(token)
        pause = FIRST_PAUSE_SECONDS
        until = time.monotonic() + self.at_most_seconds
        self._how_many += 1
        try:
            while not await run_in_threadpool(visible, aggregate_id, version):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 1.5, longest_pause)
            return True
        finally:
            self._how_many -= 1


def in_tables(synapse: Synapse) -> Look:
    """A table is asked once for each of its versions, so that a crowd that waits costs hardly more than one."""
    seen: list[object] = []

    def visible(aggregate_id: str, version: int) -> bool:
        table = synapse.tables.one(table_of(aggregate_id))
        if table in seen:
            return False
        seen[:] = [table]
        return _shows(synapse, aggregate_id, version)

    return visible


def in_figures(synapse: Synapse) -> Look:
    """The figures are committed after the orders: they have to come as far as the orders were when they showed it, in
    the hub and in the replay of this aggregate's parked events, which moves no position."""
    shown = in_tables(synapse)
    wanted: list[tuple[Mapping[str, int], int]] = []

    def visible(aggregate_id: str, version: int) -> bool:
        replay, table = f"parked/{aggregate_id}", table_of(aggregate_id)
        if not wanted and shown(aggregate_id, version):
            wanted.append((synapse.tables.one(table).positions, synapse.tables.recorded(table, replay)))
        if not wanted:
            return False
        ((ends, replayed),) = wanted
        there = synapse.tables.one(DAILY_ORDER_METRICS.name).positions
        arrived = all(there[part] >= number for part, number in ends.items())
        return arrived and synapse.tables.recorded(DAILY_ORDER_METRICS.name, replay) >= replayed

    return visible


def in_query_container(container: QueryContainer, customer_id: str) -> Look:
    def visible(aggregate_id: str, version: int) -> bool:
        if ORDER_ID.fullmatch(aggregate_id) is None:
            raise Problem("bad-header", "This answer shows orders, and the token is not of an order.")
        return container.version_of(customer_id, aggregate_id) >= version

    return visible


def table_of(aggregate_id: str) -> str:
    return CUSTOMERS.name if CUSTOMER_ID.fullmatch(aggregate_id) else ORDERS.name


def _shows(synapse: Synapse, aggregate_id: str, version: int) -> bool:
    try:
        answer = questions.version_of(aggregate_id).answer(synapse)
    except ValueError:
        raise Problem("bad-header", "If-Version-At-Least names a day that no calendar has.") from None
    return any(there >= version for there in answer.rows["version"].to_pylist())
