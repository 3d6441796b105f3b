"""From a command to the tables, through both SDKs: each event has its effect once, whatever happens on the way."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError, IncompleteReadError, ServiceRequestError, ServiceResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub.aio import EventHubConsumerClient

from labkit.errors import NotYet
from labkit.events.ids import order_day
from labkit.lab import open_lab
from labkit.projections.folds import Arrival, Parked, read
from labkit.projections.parking import OtherEventParked, ParkingLane
from labkit.projections.projector import AggregateParked, Projector
from labkit.projections.tables import DAILY_ORDER_METRICS
from labkit.settings import embedded
from labkit.workload import Workload
from labkit.write_model.orders import CancelOrder, CreateOrder, Item, PayOrder, ShipOrder
from localazure.handle import LocalAzure
from tests.contract.daemon.processes import eventually
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, folded, killed_after, opened

MONDAY = date(2026, 1, 5)


@pytest.fixture
def wide_shop(azure: LocalAzure, tmp_path: Path) -> Iterator[Shop]:
    target = embedded(azure, tmp_path)
    with open_lab("03", partitions=3, target=target) as lab, opened(Side(lab), tmp_path) as one:
        yield one


def test_an_order_travels_from_the_command_to_the_table(shop: Shop) -> None:
    projector = shop.projector()
    projector.wait_until_visible(shop.does(shop.created(1), PayOrder(shop.order(1))), PATIENCE_SECONDS)
    (row,) = shop.tables()["orders"]
    assert (row["order_id"], row["status"], row["total"], row["version"]) == (
        shop.order(1),
        "Paid",
        Decimal("25.00"),
        2,
    )
    assert row["created_day"] == order_day(shop.order(1)) == MONDAY
    (day,) = shop.tables()["daily_order_metrics"]
    assert (day["orders"], day["revenue"]) == (1, Decimal("25.00"))
    projector.wait_until_visible(shop.does(CancelOrder(shop.order(1), "too late")), PATIENCE_SECONDS)
    (day,) = shop.tables()["daily_order_metrics"]
    assert (day["cancelled"], day["revenue"]) == (1, Decimal("0.00"))


def test_a_days_traffic_ends_as_the_fold_of_the_event_store_also_when_every_event_is_sent_again(
    wide_shop: Shop,
) -> None:
    traffic = Workload(7, MONDAY, orders=25, customers=5, days=3).commands()
    token = wide_shop.does(*(command for command, _ in traffic))
    projector = wide_shop.projector(commit_events=10)
    history = wide_shop.history()
    for body in history:
        wide_shop.send(read(Arrival("", 0, body)).aggregate_id, body)
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    projector.wait_until_applied(wide_shop.ends(), PATIENCE_SECONDS)
    assert wide_shop.tables() == folded(history)
    assert (projector.counters["applied"], projector.counters["dropped"]) == (len(history), len(history))
    assert projector.counters["commits"] > 3


@pytest.mark.parametrize(("told", "times"), [(True, 1), (False, 2)], ids=["told", "not told"])
def test_a_projector_that_is_told_of_the_hub_partitions_leaves_asking_for_them_to_the_sdk(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, told: bool, times: int
) -> None:
    asked: list[str] = []

    def opened(**options: Any) -> EventHubConsumerClient:
        client = shop.lab.async_consumer(**options)
        ask = client.get_partition_ids
        monkeypatch.setattr(client, "get_partition_ids", lambda: asked.append(client.eventhub_name) or ask())
        return client

    token = shop.does(shop.created(1))
    partition_ids = shop.lab.partition_ids if told else ()
    projector = Projector(opened, shop.store, shop.parking, first=shop.first, partition_ids=partition_ids)
    projector.start()
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    projector.stop()
    assert len(asked) == times


def test_a_restarted_projector_reads_on_from_the_tables_and_nothing_twice(shop: Shop) -> None:
    first = shop.projector()
    first.wait_until_visible(shop.does(shop.created(1), shop.created(2)), PATIENCE_SECONDS)
    first.stop()
    token = shop.does(PayOrder(shop.order(1)), PayOrder(shop.order(2)), shop.created(3))
    second = shop.projector()
    second.wait_until_visible(token, PATIENCE_SECONDS)
    second.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert (second.counters["received"], second.counters["dropped"]) == (3, 0)
    assert shop.tables() == folded(shop.history())


@pytest.mark.parametrize("commits", [1, 2], ids=["after orders", "after customers"])
def test_killed_between_two_tables_the_next_projector_finishes_the_batch(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    token = shop.does(shop.created(1), shop.created(2), PayOrder(shop.order(1)))
    with monkeypatch.context() as patch:
        killed_after(commits, patch)
        dead = shop.projector()
        with pytest.raises(RuntimeError, match="killed here"):
            dead.wait_until_visible("order-20260105-none@1", PATIENCE_SECONDS)
    assert not dead.running
    assert shop.tables()["daily_order_metrics"] == []
    following = shop.projector()
    following.wait_until_visible(token, PATIENCE_SECONDS)
    following.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())


def test_a_poison_event_parks_its_aggregate_and_the_others_go_on(shop: Shop) -> None:
    projector = shop.projector()
    projector.wait_until_visible(shop.does(shop.created(1), shop.created(2)), PATIENCE_SECONDS)
    shop.send(shop.order(1), b'{"eventId": "half an ev')
    behind = shop.does(PayOrder(shop.order(1)))
    others = shop.does(PayOrder(shop.order(2)), ShipOrder(shop.order(2)))
    projector.wait_until_visible(others, PATIENCE_SECONDS)
    with pytest.raises(AggregateParked, match=shop.order(1)):
        projector.wait_until_visible(behind, PATIENCE_SECONDS)
    lane = shop.parking.events(shop.order(1))
    assert [parked.reason.partition(":")[0] for parked in lane] == [
        "cannot be read",
        "behind a parked event of the same aggregate",
    ]
    assert lane[0].arrival.body == b'{"eventId": "half an ev'
    assert {row["order_id"]: row["status"] for row in shop.tables()["orders"]} == {
        shop.order(1): "Created",
        shop.order(2): "Shipped",
    }


def test_a_projector_started_later_knows_who_is_parked(shop: Shop) -> None:
    first = shop.projector()
    first.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
    shop.send(shop.order(1), b"poison")
    first.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    first.stop()
    second = shop.projector()
    shop.does(PayOrder(shop.order(1)))
    second.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    second.stop()
    assert second.counters["parked"] == 1
    assert shop.tables()["orders"][0]["version"] == 1


def test_no_position_moves_before_the_poison_is_parked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.does(shop.created(1))
    shop.send(shop.order(1), b"poison")

    def refused(*_: object) -> None:
        raise RuntimeError("Cosmos DB is away")

    with monkeypatch.context() as patch:
        patch.setattr(ParkingLane, "park", refused)
        dead = shop.projector(commit_events=2, commit_interval_seconds=PATIENCE_SECONDS)  # both at once
        with pytest.raises(RuntimeError, match="Cosmos DB is away"):
            dead.wait_until_visible(f"{shop.order(1)}@2", PATIENCE_SECONDS)
    assert shop.store.positions(shop.lab.hub, ["0"])["orders"] == {"0": -1}


def test_what_never_comes_is_not_yet_visible(shop: Shop) -> None:
    projector = shop.projector()
    with pytest.raises(NotYet, match="is running"):
        projector.wait_until_visible(f"{shop.order(1)}@1", 0.3)
    projector.stop()
    with pytest.raises(NotYet, match="the projector is not running: start it"):
        projector.wait_until_visible(f"{shop.order(1)}@1", 0.1)


def test_a_projector_that_reads_through_a_group_that_does_not_exist_names_it_to_whoever_waits(shop: Shop) -> None:
    open_consumer = functools.partial(shop.lab.async_consumer, "projector", "nope")
    lost = Projector(open_consumer, shop.store, shop.parking, first=shop.first)
    shop.started.append(lost)
    lost.start()
    with pytest.raises(NotYet, match=f"received nothing yet from the hub '{shop.lab.hub}' through .* 'nope': check"):
        lost.wait_until_visible(shop.does(shop.created(1)), 2.0)


def test_stopping_commits_what_was_received_and_leaves_no_thread(shop: Shop) -> None:
    before = set(threading.enumerate())
    shop.does(*(shop.created(number) for number in range(10)))
    projector = shop.projector(commit_interval_seconds=10 * PATIENCE_SECONDS, commit_events=10)
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    shop.does(PayOrder(shop.order(1)))
    assert eventually(lambda: projector.counters["received"] == 11)
    assert projector.counters["applied"] == 10
    projector.stop()
    assert len(projector.applied_after_seconds) == projector.counters["received"]  # each event was timed
    assert shop.store.version_of(shop.order(1)) == 2
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith(("projector", "asyncio"))]


def test_the_heart_beats_while_nothing_arrives(shop: Shop) -> None:
    projector = shop.projector()
    projector.wait_until_applied(shop.first, 1.0)  # what lay in the hub before it began is no concern of it
    beats = {projector.heartbeat}
    for _ in range(2):
        assert eventually(lambda: projector.heartbeat not in beats)
        beats.add(projector.heartbeat)
    assert sorted(beats)[0] > 0.0
    assert projector.counters["commits"] == 0


def test_parking_again_changes_nothing_and_another_event_in_its_place_is_refused(shop: Shop) -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    lane = ParkingLane(shop.lab.container("parked-events", "projector"), now=lambda: noon)
    one = Parked(Arrival("0", 12, b"\xff\x00", shop.order(1)), shop.order(1), "cannot be read")
    earlier = Parked(Arrival("0", 9, b"{}", shop.order(1)), shop.order(1), "gap")
    lane.park("hub", [one, earlier])
    lane.park("hub", [Parked(one.arrival, shop.order(1), "another reason")])
    assert [(parked.arrival, parked.reason, parked.parked_at) for parked in lane.events(shop.order(1))] == [
        (earlier.arrival, "gap", noon),
        (one.arrival, "cannot be read", noon),
    ]
    assert lane.firsts("hub") == {shop.order(1): 9}
    assert lane.firsts("other hub") == {}
    with pytest.raises(OtherEventParked):
        lane.park("other hub", [one])


def test_an_event_too_large_for_the_lane_is_kept_in_part_and_says_so(shop: Shop) -> None:
    lane = ParkingLane(shop.lab.container("parked-events", "projector"))
    body = b"{" * 3_000_000
    lane.park("hub", [Parked(Arrival("0", 12, body, shop.order(2)), shop.order(2), "cannot be read: " + "9" * 900_000)])
    lane.park("hub", [Parked(Arrival("0", 12, body, shop.order(2)), shop.order(2), "again")])
    (kept,) = lane.events(shop.order(2))
    assert kept.reason.startswith("cannot be read: 999")
    assert kept.reason.endswith(
        "(the first 500 of 900016 characters) (of the body, the first 1300000 of 3000000 bytes are kept)"
    )
    assert kept.arrival.body == body[:1_300_000]


def test_the_days_of_the_batch_alone_are_recomputed(shop: Shop) -> None:
    projector = shop.projector()
    backfill = CreateOrder("order-20260102-a", "customer-2", (Item("tea", 1, Decimal("1.00")),), backfill=True)
    projector.wait_until_visible(shop.does(shop.created(1), backfill), PATIENCE_SECONDS)
    before = shop.store.table(DAILY_ORDER_METRICS).version()
    projector.wait_until_visible(shop.does(CancelOrder("order-20260102-a", "mistake")), PATIENCE_SECONDS)
    assert shop.store.table(DAILY_ORDER_METRICS).version() == before + 1
    assert shop.tables() == folded(shop.history())


def test_a_projector_whose_receiver_is_cut_off_goes_on_and_what_comes_twice_counts_once(
    shop: Shop, azure: LocalAzure
) -> None:
    projector = shop.projector(commit_events=5)
    projector.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
    twice = azure.faults.event_hubs.deliver_twice(times=3, hub=shop.lab.hub)
    cut = azure.faults.event_hubs.detach_receiver(times=1, hub=shop.lab.hub)
    shop.does(*(shop.created(number) for number in range(2, 12)), PayOrder(shop.order(1)))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert (twice.hits, cut.hits) == (3, 1)
    assert (projector.counters["applied"], projector.counters["dropped"]) == (12, 0)
    assert shop.tables() == folded(shop.history())


def away(monkeypatch: pytest.MonkeyPatch, *errors: AzureError) -> list[AzureError]:
    """What parking raises, one after the other, before it works; those that are left."""
    park, left = ParkingLane.park, list(errors)

    def parked(self: ParkingLane, *args: object) -> None:
        if left:
            raise left.pop()
        park(self, *args)

    monkeypatch.setattr(ParkingLane, "park", parked)
    return left


def test_a_projector_begins_again_when_a_service_was_out_of_reach(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    refused, cut = ServiceRequestError("connection refused"), IncompleteReadError("0 bytes read, 529 more expected")
    left = away(monkeypatch, refused, ServiceResponseError("connection reset"), cut)
    projector = shop.projector()
    projector.wait_until_visible(shop.does(shop.created(1), PayOrder(shop.order(1))), PATIENCE_SECONDS)
    assert left == []
    assert projector.error is None
    assert shop.tables() == folded(shop.history())


def test_who_waits_is_told_that_a_service_is_out_of_reach(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch, *[ServiceRequestError("connection refused")] * 50)
    token = shop.does(shop.created(1))
    projector = shop.projector()
    assert eventually(lambda: projector._out_of_reach != ("", 0))
    with pytest.raises(NotYet, match="a service is out of reach: connection refused"):
        projector.wait_until_visible(token, 0.1)
    projector.stop()
    assert not projector.running


def test_a_refusal_ends_the_projector(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch, CosmosHttpResponseError(status_code=403, message="not allowed"))
    projector = shop.projector()
    with pytest.raises(CosmosHttpResponseError, match="not allowed"):
        projector.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
    assert not projector.running
