"""A shop for tests from the command to the tables: a lab with its write side and relay, and projectors on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.eventhub import EventData

from labkit.events.envelope import from_document, to_json
from labkit.events.partition_key import partition_of
from labkit.events.relay import Relay
from labkit.lab import Lab
from labkit.projections.folds import Arrival, fold, read
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.projections.rows import Row, daily_metrics
from labkit.projections.tables import ORDERS, READ_MODELS, contents, to_table
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item

PATIENCE_SECONDS = 60.0


class Side:
    """A lab with its write side and its relay."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.write_model = lab.container("write-model", "command")
        self.handler = CommandHandler(self.write_model, lab.clock)
        self.producer = lab.producer("relay")
        clients = lab.container("write-model", "relay"), self.producer, lab.container("relay-state", "relay")
        self.relay = Relay(*clients, partition_ids=lab.partition_ids)
        self.parking = ParkingLane(lab.container("parked-events", "projector"))
        self.commands = 0


class Shop:
    """Orders of one test's own, and projectors on one read store that begins where the hub ends now."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.side, self.lab, self.parking, self.producer = side, side.lab, side.parking, side.producer
        self.store = ReadStore(str(folder))
        self.first = self.ends()
        self.name = f"{side.commands:04}"
        self.aggregates: set[str] = set()
        self.started: list[Projector] = []

    def order(self, number: int) -> str:
        return f"order-20260105-{self.name}-{number}"

    def created(self, number: int) -> CreateOrder:
        """For 25.00."""
        return CreateOrder(self.order(number), "customer-1", (Item("tea", 2, Decimal("12.50")),))

    def projector(self, **options: float) -> Projector:
        """Told of the hub partitions, as the relay is: asking takes the SDK four tenths of a second."""
        told = {"first": self.first, "partition_ids": self.lab.partition_ids}
        projector = Projector(self.lab.async_consumer, self.store, self.parking, **told, **options)
        self.started.append(projector)
        projector.start()
        return projector

    def does(self, *commands: object) -> str:
        """Carry these out and publish; the token of the last."""
        token = ""
        for command in commands:
            self.side.commands += 1
            answer = self.side.handler.handle(command, Context(f"key-{self.side.commands}"))
            assert isinstance(answer, Accepted), answer
            self.aggregates.add(answer.aggregate_id)
            token = answer.token
        self.side.relay.run_once()
        return token

    def history(self) -> list[bytes]:
        """Every event of this test in the event store, as its wire bytes."""
        documents = self.side.write_model.query_items(
            "SELECT * FROM c WHERE c.kind = 'event'", enable_cross_partition_query=True
        )
        events = sorted(map(from_document, documents), key=lambda event: (event.aggregate_id, event.version))
        return [to_json(event) for event in events if event.aggregate_id in self.aggregates]

    def send(self, aggregate_id: str, *bodies: bytes) -> None:
        """Put these bodies into the hub partition of the aggregate, under its name."""
        batch = self.producer.create_batch(partition_id=partition_of(aggregate_id, self.lab.partition_ids))
        for body in bodies:
            event = EventData(body)
            event.properties = {"aggregateId": aggregate_id}
            batch.add(event)
        self.producer.send_batch(batch)

    def ends(self) -> dict[str, int]:
        """The last sequence number in each hub partition, all asked at once: each answer takes the SDK as long."""

        async def ask() -> list[dict[str, Any]]:
            async with self.lab.async_consumer("monitor", "monitor") as client:
                return await asyncio.gather(*map(client.get_partition_properties, self.lab.partition_ids))

        ends = zip(self.lab.partition_ids, asyncio.run(ask()), strict=True)
        return {part: -1 if end["is_empty"] else end["last_enqueued_sequence_number"] for part, end in ends}

    def tables(self) -> dict[str, list[dict[str, object]]]:
        return {
            model.name: contents(self.store.current().table(model), model).sort_by(model.key).to_pylist()
            for model in READ_MODELS
        }


@contextmanager
def opened(side: Side, folder: Path) -> Iterator[Shop]:
    shop = Shop(side, folder)
    yield shop
    for projector in shop.started:
        projector.stop()


def folded(history: list[bytes]) -> dict[str, list[dict[str, object]]]:
    """What the tables must hold for this history, without any table."""
    rows: dict[str, Row] = fold([read(Arrival("0", n, body)) for n, body in enumerate(history)], {}, {}).rows
    orders = to_table(ORDERS, [row for who, row in sorted(rows.items()) if who.startswith("order-")])
    customers = [msgspec.structs.asdict(row) for who, row in sorted(rows.items()) if who.startswith("customer-")]
    days = [msgspec.structs.asdict(day) for day in daily_metrics(orders)]
    return {"orders": orders.to_pylist(), "customers": customers, "daily_order_metrics": days}


def killed_after(commits: int, patch: pytest.MonkeyPatch) -> None:
    """Have whoever writes read models die at the commit that follows so many."""
    commit, left = ReadStore._commit, [commits]

    def dying(self: ReadStore, *args: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("killed here")
        commit(self, *args)

    patch.setattr(ReadStore, "_commit", dying)
