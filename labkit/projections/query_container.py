"""The query container: the orders once more, in Cosmos DB, partitioned by customer, for "all orders of this customer".

Owns the documents of the container `query-model` (partition key `/customerId`, id: the order's), how far it has come,
and the thread that feeds it. The rows are those that the folds made for the table `orders`; nothing is folded here.

Guarded by version: what is there is looked at first, an older document is replaced by its etag, a missing one created,
any other left alone, one transactional batch per customer. Whoever was faster makes the batch fail, and it is looked at
again. The positions (one document per hub) are written after the rows, so a crash between the two writes the same rows
again, which changes nothing: at least once, guarded, and behind the tables by what waits.

A container that knows nothing of the hub yet is filled from the table first.

Known gaps: the positions are one writer's; a projector that lost its seat may set them back, which costs a re-reading.
A rebuild with mended folds changes no document here whose version is still the same.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError
from pydantic.alias_generators import to_camel

from labkit.documents import document_named, queried
from labkit.projections.folds import Arrival, read
from labkit.projections.read_store import ReadStore
from labkit.projections.rows import OrderRow, Row, from_arrow
from labkit.projections.tables import ORDERS, contents

POSITIONS_OF = "positions"
"""The logical partition of the positions: no customer id begins like that."""
BATCH_OPERATIONS = 100
ATTEMPTS = 5
ROOM_ROWS = 20_000
"""Rows that may wait to be written; then the projector waits."""
OF_CUSTOMER = """
SELECT c.id AS orderId, c.customerId, c.status, c.itemCount, c.total, c.createdAt, c.updatedAt, c.version, c.createdDay
FROM c WHERE c.id > @after ORDER BY c.id OFFSET 0 LIMIT @many
"""
THERE = "SELECT c.id, c.version, c._etag FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"


def document(row: OrderRow) -> dict[str, Any]:
    """The order as its customer's queries find it. Money stays text, so that no cent is lost to a float."""
    told = {to_camel(name): value for name, value in msgspec.to_builtins(row).items()}
    return {"id": told.pop("orderId"), **told, "createdDay": row.created_day.isoformat()}


class QueryContainer:
    """The container itself. Threads may share it for reading; one writes."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    def came_to(self, hub: str) -> tuple[dict[str, int], datetime | None]:
        """Hub partition -> the last sequence number whose order is here, and when that was written, to the second: all
        rows up to there were in the container then. Nothing and None if the hub was never followed."""
        found = document_named(self._container, f"positions-{hub}", POSITIONS_OF)
        if found is None:
            return {}, None
        return found["positions"], datetime.fromtimestamp(found["_ts"], UTC)

    def orders_of(self, customer_id: str, after: str = "", how_many: int = 100) -> list[dict[str, Any]]:
        """A customer's orders by id, those that follow `after`. A query in one logical partition."""
        return queried(self._container, OF_CUSTOMER, customer_id, after=after, many=how_many)

    def version_of(self, customer_id: str, order_id: str) -> int:
        """The version of this order there; 0 if this customer has none of this id."""
        found = document_named(self._container, order_id, customer_id)
        return int(found["version"]) if found else 0

    def save(self, hub: str, positions: Mapping[str, int]) -> None:
        """All rows up to here are written."""
        body = {"id": f"positions-{hub}", "customerId": POSITIONS_OF, "positions": dict(positions)}
        self._container.upsert_item(body)

    def write(self, rows: Iterable[OrderRow]) -> int:
        """Write those that are newer than what is there; how many that were. Any number of times: the same documents.

        Raises: `CosmosBatchOperationError` when another writer was faster each time.
        """
        of_customer: dict[str, list[OrderRow]] = defaultdict(list)
        for row in rows:
            of_customer[row.customer_id].append(row)
        return sum(
            self._write(customer, mine[start : start + BATCH_OPERATIONS])
            for customer, mine in of_customer.items()
            for start in range(0, len(mine), BATCH_OPERATIONS)
        )

    def _write(self, customer: str, rows: Sequence[OrderRow]) -> int:
        for attempt in range(ATTEMPTS):
            operations = self._operations(customer, rows)
            try:
                if operations:
                    self._container.execute_item_batch(operations, partition_key=customer)
                return len(operations)
            except CosmosBatchOperationError:
                if attempt == ATTEMPTS - 1:
                    raise
        return 0

    def _operations(self, customer: str, rows: Sequence[OrderRow]) -> list[tuple[Any, ...]]:
        found = queried(self._container, THERE, customer, ids=[row.order_id for row in rows])
        there = {one["id"]: one for one in found}
        operations: list[tuple[Any, ...]] = []
        for row in rows:
            old = there.get(row.order_id)
            if old is None:
                operations.append(("create", (document(row),)))
            elif old["version"] < row.version:
                unchanged = {"if_match_etag": old["_etag"]}
                operations.append(("replace", (row.order_id, document(row)), unchanged))
        return operations


def missed_orders(batch: Iterable[Arrival], rows: Mapping[str, Row]) -> set[str]:
    """The orders of a batch that are not among its rows: the tables had these events before."""
    return {reading.aggregate_id for reading in map(read, batch) if reading.day} - rows.keys()


def opened(target: QueryContainer, store: ReadStore, hub: str, applied: Mapping[str, int]) -> QueryFeed:
    """The feed of this container, which goes on where it ended. An unknown hub: filled from the table, as it is."""
    positions, written_at = target.came_to(hub)
    if written_at is None:
        table, positions = store.table(ORDERS), dict(applied)
        for days in table.partitions():
            target.write(from_arrow(OrderRow, contents(table, ORDERS, f"created_day = DATE '{days['created_day']}'")))
        target.save(hub, positions)
    return QueryFeed(target, hub, positions)


class QueryFeed:
    """Writes to the container on a thread of its own, so that the tables do not wait for it. Of an order that changes
    faster than it is written, only the last version is."""

    def __init__(self, target: QueryContainer, hub: str, positions: Mapping[str, int]) -> None:
        self._target = target
        self._hub = hub
        self.positions: Mapping[str, int] = dict(positions)
        """Hub partition -> the last sequence number whose order is in the container."""
        self._offered = dict(positions)
        self._waiting: dict[str, OrderRow] = {}
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "query-feed")
        self._writing: Future[None] = self._thread.submit(lambda: None)

    def offer(self, rows: Iterable[Row], ends: Mapping[str, int]) -> None:
        """Have these rows written, all of them up to `ends`; waits while too many wait. Raises: what ended the feed."""
        if self._writing.done() or len(self._waiting) > ROOM_ROWS:
            self._writing.result()
        with self._lock:
            for row in rows:
                if isinstance(row, OrderRow):
                    there = self._waiting.get(row.order_id)
                    self._waiting[row.order_id] = there if there and there.version > row.version else row
            self._offered |= {part: max(number, self._offered.get(part, -1)) for part, number in ends.items()}
        self._writing = self._thread.submit(self._write, self._writing)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what waits, for so long, and end the thread. Raises: what ended the feed; `TimeoutError`."""
        self._thread.shutdown(wait=False)
        self._writing.result(timeout_seconds)

    def _write(self, before: Future[None]) -> None:
        """Write what waits. Raises: what the write before it raised, for no position may pass by its rows."""
        before.result()
        with self._lock:
            rows, ends, self._waiting = self._waiting, dict(self._offered), {}
        if rows:
            self._target.write(rows.values())
        if ends != self.positions:
            self._target.save(self._hub, ends)
            self.positions = ends
