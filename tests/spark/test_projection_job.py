"""The projection on Spark, run for real: killed in the middle of a batch, it ends with the rows of our projector.

20,000 events lie in an embedded hub of four partitions: lives of orders and customers, some events sent again (at once,
or long after), and some that cannot be applied. The projector makes its tables from them; the job makes its own.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from azure.eventhub import EventData
from deltalake import DeltaTable

from labkit.events.envelope import EventEnvelope, to_json
from labkit.events.partition_key import partition_of
from labkit.lab import Lab, open_lab
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.projections.tables import READ_MODELS, contents
from labkit.read_queries.synapse import Synapse
from labkit.settings import Target, embedded
from localazure.handle import LocalAzure
from tests.spark.job import PATIENCE_SECONDS, ROOT, WITHOUT_SPARK, Job
from tests.unit.projections.streams import event

pytest.importorskip("pyspark", reason=WITHOUT_SPARK)

EVENTS, CUSTOMERS, DAYS, PARTITIONS = 20_000, 300, 5, 4
TRIGGER_EVENTS = "8000"
DYING = (str(Path(__file__).with_name("dying.py")),)
ENDS: tuple[tuple[str, ...], ...] = ((), ("OrderPaid",), ("OrderPaid", "OrderShipped"), ("OrderCancelled",))
VIEWS = {
    "dbo.vw_customer_orders": "customer_id, customer_name, orders, cancelled, revenue, first_day, last_day",
    "dbo.vw_daily_order_metrics": "day, orders, cancelled, revenue, average_order_value, distinct_customers",
    "dbo.vw_order_summary": "order_id, customer_id, customer_name, status, item_count, total, created_at, updated_at, "
    "version, created_day",
}


@dataclass(frozen=True)
class Sent:
    """The hub's content: aggregate and body, in order."""

    events: list[tuple[str, bytes]]

    @property
    def distinct(self) -> int:
        return len(set(self.events))


def life(chance: random.Random, number: int) -> list[EventEnvelope]:
    if number < CUSTOMERS:
        return [event(f"customer-{number:04}", 1, "CustomerRegistered", {"name": f"Customer {number}"})]
    who = f"order-2026010{1 + chance.randrange(DAYS)}-{number:06}"
    items = [{"productId": "tea", "quantity": 1, "unitPrice": "0.01"}] * chance.randint(1, 3)
    made = {"customerId": f"customer-{chance.randrange(CUSTOMERS):04}", "items": items}
    total = f"{chance.randint(1, 99_999) / 100:.2f}"
    steps: list[tuple[str, dict[str, object] | None]] = [("OrderCreated", {**made, "total": total})]
    steps += [("OrderUpdated", {"items": items[:1], "total": "7.05"})] * chance.randrange(3)
    steps += [(kind, None) for kind in chance.choice(ENDS)]
    return [event(who, version, kind, data) for version, (kind, data) in enumerate(steps, 1)]


def poison() -> list[tuple[str, bytes]]:
    """What cannot be applied, each with one more event of its order behind it."""
    made: list[tuple[str, bytes]] = []
    bodies = {
        "order-20260102-garbled": b"\xff{",
        "order-20260103-unknown": to_json(event("order-20260103-unknown", 1, "OrderBlessed")),
        "order-20260104-gap": to_json(event("order-20260104-gap", 3, "OrderPaid")),
    }
    for who, body in bodies.items():
        made += [(who, body), (who, to_json(event(who, 4, "OrderShipped")))]
    return [*made, ("", b"no event, of nobody")]


def history() -> Sent:
    """Lives interleaved, and among them events sent again: one in ten at once, as many again at the end."""
    chance = random.Random(20260105)
    poisoned, lives = poison(), iter(range(EVENTS))
    events: list[tuple[str, bytes]] = []
    while len(events) < EVENTS * 10 // 12:
        for one in life(chance, next(lives)):
            place = (one.aggregate_id, to_json(one))
            events += [place, place] if chance.random() < 0.1 else [place]
    events[len(events) // 2 : len(events) // 2] = poisoned
    return Sent(events + chance.sample(events, EVENTS - len(events)))


def send(lab: Lab, sent: Sent) -> None:
    groups: dict[str, list[EventData]] = {part: [] for part in lab.partition_ids}
    for who, body in sent.events:
        one = EventData(body)
        one.properties = {"aggregateId": who}
        groups[partition_of(who, lab.partition_ids)].append(one)
    with closing(lab.producer()) as producer:
        for part, group in groups.items():
            for first in range(0, len(group), 500):
                producer.send_batch(group[first : first + 500], partition_id=part)


def parked(lab: Lab) -> list[tuple[str, str, str, str]]:
    """The lane, but for the moments."""
    container = lab.container("parked-events", "projector")
    return sorted((one["aggregateId"], one["id"], one["reason"], one["body"]) for one in container.read_all_items())


def empty(lab: Lab) -> None:
    container = lab.container("parked-events", "projector")
    for one in list(container.read_all_items()):
        container.delete_item(one["id"], one["aggregateId"])


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """All rows, as delta-rs reads them."""
    store = ReadStore(url)
    return {model.name: contents(store.table(model), model).sort_by(model.key).to_pylist() for model in READ_MODELS}


def project(lab: Lab, folder: Path) -> str:
    """Our own projector, to the end of the hub; where its tables are."""
    store, lane = ReadStore(str(folder)), ParkingLane(lab.container("parked-events", "projector"))
    projector = Projector(lab.async_consumer, store, lane, commit_events=5000)
    projector.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(projector.counters[name] for name in ("applied", "dropped", "parked")) < EVENTS:
        assert projector.running, projector.error
        assert time.monotonic() < deadline, projector.counters
        time.sleep(0.05)
    projector.stop()
    return store.tables_url


@dataclass(frozen=True)
class Made:
    """What the projector made, and what the job made that was killed and started again."""

    ours: str
    sparks: str
    parked_by_us: list[tuple[str, str, str, str]]
    parked_by_spark: list[tuple[str, str, str, str]]
    begun: int
    """Batches that the checkpoint had noted when the job was killed."""
    finished: int
    """Of these, those that it had noted as done."""
    triggers: list[dict[str, Any]]
    """Of the second run."""


def noted(folder: Path) -> int:
    """Batches of which the checkpoint has a file there."""
    return sum(path.name.isdecimal() for path in folder.iterdir())


def made(lab: Lab, target: Target, folder: Path) -> Made:
    send(lab, history())
    ours = project(lab, folder / "ours")
    by_us = parked(lab)
    empty(lab)
    options = ("--master", "local[2]", "--max-events", TRIGGER_EVENTS, "--until-caught-up")
    job = Job(folder, lab, target, *options, by=DYING)
    try:
        while job.next_trigger() is not None:
            pass
        assert job.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL, job.last_words()
        begun, finished = (noted(job.checkpoint / kind) for kind in ("offsets", "commits"))
        job = Job(folder, lab, target, *options)
        triggers = job.wait()
    finally:
        if job.process.poll() is None:
            job.kill()
    return Made(ours, str(job.tables), by_us, parked(lab), begun, finished, triggers)


@pytest.fixture(scope="module")
def both(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("spark")
    target = embedded(azure, folder)
    with open_lab("03", partitions=PARTITIONS, target=target) as lab:
        yield made(lab, target, folder)


def test_it_was_killed_between_a_commit_and_the_end_of_its_batch(both: Made) -> None:
    assert both.begun == both.finished + 1
    assert sum(trigger["events"] for trigger in both.triggers) < EVENTS, "the second run began where the first ended"


def test_the_rows_are_those_of_our_projector(both: Made) -> None:
    ours, sparks = rows(both.ours), rows(both.sparks)

    assert {name: len(found) for name, found in sparks.items()} == {name: len(found) for name, found in ours.items()}
    assert sparks == ours


def test_each_event_that_cannot_be_applied_is_parked_for_the_same_reason(both: Made) -> None:
    assert len(both.parked_by_us) == len(poison())
    assert both.parked_by_spark == both.parked_by_us


def test_the_t_sql_views_answer_the_same(both: Made) -> None:
    assert {path.stem for path in (ROOT / "sql").glob("*.sql")} == set(VIEWS)
    with closing(Synapse(both.ours)) as ours, closing(Synapse(both.sparks)) as sparks:
        for view, columns in VIEWS.items():
            asked = f"SELECT {columns} FROM {view} ORDER BY {columns.split(',')[0]}"
            first, second = ours.query(asked), sparks.query(asked)
            assert len(first) > 0, view
            assert first.equals(second), view


def test_duckdb_reads_the_files_with_the_columns_of_the_read_model(both: Made) -> None:
    for model in READ_MODELS:
        table = DeltaTable(f"{both.sparks}/{model.name}")
        files = table.file_uris()
        with duckdb.connect() as engine:  # the one that all share would be left with a result to fetch
            count = engine.execute("SELECT count(*) FROM read_parquet(?, hive_partitioning = true)", [files]).fetchone()
        assert count == (len(rows(both.sparks)[model.name]),)
        kept = pq.read_schema(files[0])
        for column in model.schema:
            if column.name not in model.partition_by:
                assert kept.field(column.name).type == column.type
        assert table.protocol().reader_features in (None, [])
        assert table.metadata().configuration["delta.enableDeletionVectors"] == "false"
