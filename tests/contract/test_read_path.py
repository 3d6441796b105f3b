"""Orders travel the whole path: command, Cosmos DB, change feed, Event Hubs, projector, Delta, T-SQL view, frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.read_queries import questions
from labkit.read_queries.synapse import Synapse
from labkit.settings import embedded
from labkit.workload import Workload
from labkit.write_model.handler import Accepted, CommandHandler
from labkit.write_model.orders import Customer, Order, Status, state_from
from localazure.handle import LocalAzure

DAY = date(2026, 1, 5)
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def lab(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which seeded traffic has been carried out, published and projected."""
    with ExitStack() as stack:
        lab = stack.enter_context(open_lab("04", target=embedded(azure, tmp_path_factory.mktemp("tables"))))
        relay = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
        lane = ParkingLane(lab.container("parked-events", "projector"))
        projector = Projector(
            lambda **options: lab.async_consumer("projector", **options), ReadStore(lab.tables_url), lane
        )
        handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
        for worker in (relay, projector):
            worker.start()
            stack.callback(worker.stop)
        newest: dict[str, str] = {}
        for command, context in Workload(7, DAY, orders=40, days=3).commands():
            outcome = handler.handle(command, context)
            assert isinstance(outcome, Accepted), outcome
            newest[outcome.aggregate_id] = outcome.token
        for token in newest.values():
            projector.wait_until_visible(token, WAIT_SECONDS)
        yield lab


@pytest.fixture(scope="module")
def written(lab: Lab) -> dict[str, Order | Customer]:
    """The write model's own truth: every state document."""
    found = lab.container("write-model", "query").query_items(
        "SELECT * FROM c WHERE c.kind = 'state'", enable_cross_partition_query=True
    )
    return {item["aggregateId"]: state_from(item["aggregateType"], item["state"]) for item in found}


@pytest.fixture
def synapse(lab: Lab) -> Iterator[Synapse]:
    with Synapse(lab.tables_url) as opened:
        yield opened


def test_the_view_shows_every_order_as_the_write_model_holds_it(
    synapse: Synapse, written: dict[str, Order | Customer]
) -> None:
    frame = synapse.query("SELECT order_id, customer_id, customer_name, status, total FROM dbo.vw_order_summary")
    shown = {row.order_id: row for row in frame.itertuples()}
    orders = {name: state for name, state in written.items() if isinstance(state, Order)}
    assert shown.keys() == orders.keys()
    for name, order in orders.items():
        customer = written.get(order.customer_id)
        assert (shown[name].customer_id, shown[name].status, shown[name].total) == (
            order.customer_id,
            str(order.status),
            order.total,
        )
        wanted = customer.name if isinstance(customer, Customer) else None
        assert (None if pd.isna(shown[name].customer_name) else shown[name].customer_name) == wanted


def test_a_customer_who_never_registered_has_orders_and_no_name(synapse: Synapse) -> None:
    orders = synapse.query("SELECT order_id FROM dbo.vw_order_summary WHERE customer_name IS NULL")
    assert len(orders) > 0


def test_the_days_figures_agree_with_the_write_model_and_with_the_derived_table(
    synapse: Synapse, written: dict[str, Order | Customer]
) -> None:
    asked = questions.daily_metrics(DAY.replace(day=1), DAY).ask(synapse)
    pd.testing.assert_frame_equal(asked, questions.derived_daily_metrics(DAY.replace(day=1), DAY).ask(synapse))
    worth = [order.total for order in written.values() if isinstance(order, Order) and order.status != Status.CANCELLED]
    assert sum(asked["revenue"], Decimal(0)) == sum(worth)
    assert asked["orders"].sum() == sum(isinstance(state, Order) for state in written.values())
