"""The relay through both SDKs: nothing lost, order per aggregate kept, and duplicates that say so."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.eventhub import EventData, EventHubProducerClient

from labkit.errors import LabError, NotYet
from labkit.events.envelope import EnvelopeError, from_json, to_document, to_json
from labkit.events.leases import Lease, Leases
from labkit.events.partition_key import partition_of
from labkit.events.reading import HubReader, Received
from labkit.events.relay import Relay
from labkit.lab import Lab
from labkit.write_model import handler as handlers
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item, PayOrder, ShipOrder
from tests.contract.daemon.processes import eventually


@pytest.fixture
def producer(lab: Lab) -> EventHubProducerClient:
    """One for all relays of a test, since each new one takes a second or two to connect."""
    return lab.producer("relay")


@pytest.fixture
def new_relay(lab: Lab, producer: EventHubProducerClient) -> Callable[..., Relay]:
    def make(**options: Any) -> Relay:
        return Relay(lab.container("write-model", "relay"), producer, lab.container("relay-state", "relay"), **options)

    return make


def order(number: int) -> str:
    return f"order-20260105-{number:04}"


def paid_orders(handler: CommandHandler, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        items = (Item("tea", 1, Decimal("12.50")),)
        for step, command in enumerate([CreateOrder(order(number), "customer-1", items), PayOrder(order(number))]):
            assert isinstance(handler.handle(command, Context(f"k-{number}-{step}")), Accepted)


def in_the_hub(lab: Lab) -> list[Received]:
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        return reader.read_to_end()


def event_ids(received: list[Received]) -> Counter[str]:
    return Counter(from_json(one.body).event_id for one in received)


def test_every_committed_event_arrives_once_in_its_own_partition_in_order(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler, write_model: ContainerProxy
) -> None:
    paid_orders(handler, 12)
    relay = new_relay(page_documents=7)
    assert relay.run_once() == 24
    assert relay.run_once() == 0
    received = in_the_hub(lab)
    assert len(received) == 24
    versions: dict[str, list[int]] = {}
    for one in received:
        envelope = from_json(one.body)
        assert one.partition_id == partition_of(envelope.aggregate_id, lab.partition_ids)
        versions.setdefault(envelope.aggregate_id, []).append(envelope.version)
    assert versions == {order(number): [1, 2] for number in range(12)}
    assert len({one.partition_id for one in received}) > 1


def test_the_bytes_on_the_wire_are_the_envelope_at_rest_and_the_properties_name_it(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler, write_model: ContainerProxy
) -> None:
    paid_orders(handler, 1)
    new_relay().run_once()
    first, second = in_the_hub(lab)
    stored = handlers.history(write_model, order(0))
    assert [one.body for one in (first, second)] == [to_json(event) for event in stored]
    assert second.properties == {
        "eventId": stored[1].event_id,
        "eventType": "OrderPaid",
        "aggregateId": order(0),
        "version": 2,
    }
    assert second.event.content_type == "application/json"


def test_a_crash_before_the_continuation_is_saved_repeats_the_page_and_loses_nothing(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 3)
    fault = lab.faults.cosmos.respond(403, operation="upsert", container="relay-state")
    with pytest.raises(AzureError):
        new_relay().run_once()
    assert fault.clear() == 1
    assert new_relay().run_once() == 6
    received = in_the_hub(lab)
    assert set(event_ids(received).values()) == {2}
    assert len(event_ids(received)) == 6
    places = {(one.partition_id, one.sequence_number) for one in received}
    assert len(places) == 12


def test_a_relay_that_starts_again_goes_on_where_the_last_one_saved(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 2)
    assert new_relay().run_once() == 4
    paid_orders(handler, 1, first=2)
    assert new_relay().run_once() == 2
    assert set(event_ids(in_the_hub(lab)).values()) == {1}


def test_a_lost_acknowledgement_stores_the_events_twice_under_new_sequence_numbers(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    fault = lab.faults.event_hubs.lose_acknowledgement(hub=lab.hub)
    assert new_relay().run_once() == 2
    assert fault.clear() == 1
    received = in_the_hub(lab)
    assert set(event_ids(received).values()) == {2}
    assert [one.sequence_number for one in received] == [0, 1, 2, 3]


def test_a_refused_send_keeps_the_continuation_back(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    fault = lab.faults.event_hubs.refuse_send(hub=lab.hub, times=50)
    relay = new_relay()
    with pytest.raises(Exception, match=r"(?i)busy|error|reject"):
        relay.run_once()
    fault.clear()
    assert relay.run_once() == 2
    assert set(event_ids(in_the_hub(lab)).values()) == {1}


def test_a_page_larger_than_what_a_throttled_hub_lets_in_gets_through_and_nothing_of_it_is_repeated(
    lab: Lab, handler: CommandHandler
) -> None:
    paid_orders(handler, 6)
    clients = lab.container("write-model", "relay"), lab.producer("relay", retry_total=0)
    relay = Relay(*clients, lab.container("relay-state", "relay"))
    shut = lab.faults.event_hubs.throttle(0.000001, hub=lab.hub)  # after one batch, until it is seen to be refused
    relay.start()
    try:
        assert eventually(lambda: shut.hits > 0)
        shut.clear()
        lab.faults.event_hubs.throttle(0.005, hub=lab.hub)
        for number in range(6):
            relay.wait_until_published(f"{order(number)}@2", timeout_seconds=60)
    finally:
        relay.stop()
    assert relay.published_events == 12
    received = in_the_hub(lab)
    assert set(event_ids(received).values()) == {1}
    assert len(received) == 12


def test_what_was_acknowledged_before_the_continuation_could_not_be_saved_is_not_sent_again_by_the_same_relay(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 3)
    relay = new_relay()
    lab.faults.cosmos.respond(403, operation="upsert", container="relay-state")
    with pytest.raises(AzureError):
        relay.run_once()
    paid_orders(handler, 1, first=3)
    assert relay.run_once() == 2
    assert set(event_ids(in_the_hub(lab)).values()) == {1}
    assert not any(relay._acknowledged.values())


def test_events_of_one_key_sent_by_others_meet_the_relays_in_one_partition(lab: Lab) -> None:
    producer = lab.producer("relay")
    for number in range(6):
        batch = producer.create_batch(partition_key=order(number))
        batch.add(EventData(order(number)))
        producer.send_batch(batch)
    received = in_the_hub(lab)
    assert len(received) == 6
    for one in received:
        assert one.partition_id == partition_of(one.event.body_as_str(), lab.partition_ids)


def test_the_worker_publishes_and_whoever_waits_is_told(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    relay = new_relay()
    relay.start()
    thread = relay._thread
    relay.start()  # does nothing
    assert relay._thread is thread
    try:
        paid_orders(handler, 2)
        relay.wait_until_published(f"{order(1)}@2", timeout_seconds=60)
    finally:
        relay.stop()
        relay.stop()
    assert relay.error is None
    assert set(event_ids(in_the_hub(lab)).values()) == {1}
    assert lab.container("relay-state", "monitor").read_item("heartbeat", partition_key="heartbeat")["at"]


def test_a_relay_that_was_stopped_makes_whole_rounds_again(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    relay = new_relay(page_documents=2)
    relay.start()
    relay.stop()
    paid_orders(handler, 3)
    assert relay.run_once() == 6
    relay.start()
    paid_orders(handler, 1, first=3)
    relay.wait_until_published(f"{order(3)}@2", timeout_seconds=60)
    relay.stop()


def test_waiting_for_what_was_never_committed_or_never_comes_says_so(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    lab.faults.cosmos.respond(500, operation="upsert", container="relay-state", times=50)
    relay = new_relay()
    relay.start()
    with pytest.raises(NotYet, match="not in the outbox"):
        relay.wait_until_published(f"{order(0)}@3", timeout_seconds=1)
    with pytest.raises(NotYet, match="was not published within"):
        relay.wait_until_published(f"{order(0)}@2", timeout_seconds=0.2)
    relay.stop()
    with pytest.raises(ValueError, match="no token"):
        relay.wait_until_published(order(0), timeout_seconds=1)


def test_waiting_where_there_is_no_outbox_is_an_error_and_no_claim_about_the_event(
    lab: Lab, new_relay: Callable[..., Relay]
) -> None:
    lab.database("command").delete_container("write-model")
    with pytest.raises(CosmosResourceNotFoundError):
        new_relay().wait_until_published(f"{order(0)}@1", timeout_seconds=1)


def test_waiting_for_a_relay_that_nobody_runs_says_so(new_relay: Callable[..., Relay], handler: CommandHandler) -> None:
    relay = new_relay()
    relay.start()
    relay.stop()
    paid_orders(handler, 1)
    with pytest.raises(NotYet, match="the relay is not running: start it, or call run_once"):
        relay.wait_until_published(f"{order(0)}@2", timeout_seconds=0.2)


def test_what_has_been_published_is_known_to_any_relay_running_or_not(
    new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    assert new_relay().run_once() == 2
    new_relay().wait_until_published(f"{order(0)}@2", timeout_seconds=0)


def test_before_an_event_that_no_batch_can_hold_the_relay_stays(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler, write_model: ContainerProxy
) -> None:
    paid_orders(handler, 1)
    (_, paid) = handlers.history(write_model, order(0))
    huge = {**to_document(paid), "id": "huge", "version": 3, "metadata": {"source": "x" * 1_500_000}}
    write_model.create_item(huge)
    with pytest.raises(LabError, match=f"{paid.event_id} of {order(0)} is more than a hub's batch holds"):
        new_relay().run_once()


def test_a_document_that_only_says_that_it_is_an_event_is_named(
    new_relay: Callable[..., Relay], write_model: ContainerProxy
) -> None:
    write_model.create_item({"id": "stray", "aggregateId": order(0), "kind": "event"})
    with pytest.raises(EnvelopeError, match=r"event document 'stray' without \['eventId', "):
        new_relay().run_once()


def test_an_event_that_is_sent_and_not_yet_remembered_does_not_count_as_published(
    lab: Lab, handler: CommandHandler, producer: EventHubProducerClient
) -> None:
    sent, go_on = threading.Event(), threading.Event()

    class Paused(Leases):
        def save(self, lease: Lease, continuation: str) -> bool:
            sent.set()
            assert go_on.wait(60)
            return super().save(lease, continuation)

    clients = lab.container("write-model", "relay"), producer, lab.container("relay-state", "relay")
    relay = Relay(*clients)
    relay._leases = Paused(clients[2], clients[0], relay.name, 10.0)
    paid_orders(handler, 1)
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(relay.run_once)
        assert sent.wait(60)
        with pytest.raises(NotYet, match="was not published within"):
            Relay(*clients).wait_until_published(f"{order(0)}@2", timeout_seconds=0.2)
        waiting = pool.submit(Relay(*clients).wait_until_published, f"{order(0)}@2", timeout_seconds=60)
        go_on.set()
        assert under_way.result(60) == 2
        waiting.result(60)


def test_a_failure_that_passes_is_waited_out(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    fault = lab.faults.cosmos.respond(500, operation="upsert", container="relay-state", times=2)
    relay = new_relay()
    relay.start()
    try:
        relay.wait_until_published(f"{order(0)}@2", timeout_seconds=60)
    finally:
        relay.stop()
    assert (fault.clear(), relay.failures, relay.error) == (2, 2, None)


def test_a_failure_that_lasts_ends_the_worker_and_whoever_waits_gets_it(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 1)
    lab.faults.cosmos.respond(403, operation="upsert", container="relay-state", times=1)
    relay = new_relay()
    relay.start()
    with pytest.raises(AzureError):
        relay.wait_until_published(f"{order(0)}@2", timeout_seconds=60)
    relay.stop()
    assert relay.error is not None


def test_events_written_in_an_old_schema_travel_as_they_were_written(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler, write_model: ContainerProxy
) -> None:
    paid_orders(handler, 1)
    (created, _) = handlers.history(write_model, order(0))
    old = {**to_document(created), "id": "old", "schemaVersion": 1, "aggregateId": "order-20200101-1"}
    old["data"] = {"customerId": "customer-1", "items": [{"productId": "tea", "quantity": 1, "price": 12.5}]}
    write_model.create_item(old)
    new_relay().run_once()
    bodies = [one.event.body_as_str() for one in in_the_hub(lab)]
    (travelled,) = [body for body in bodies if '"schemaVersion":1' in body and "OrderCreated" in body]
    assert '"price":12.5' in travelled
    assert from_json(travelled.encode()).data["items"][0]["unitPrice"] == "12.50"


def test_shipping_follows_paying_in_the_hub_however_small_the_pages(
    lab: Lab, new_relay: Callable[..., Relay], handler: CommandHandler
) -> None:
    paid_orders(handler, 4)
    relay = new_relay(page_documents=1)
    relay.run_once()
    for number in range(4):
        handler.handle(ShipOrder(order(number)), Context(f"k-{number}-2"))
    relay.run_once()
    seen: dict[str, list[str]] = {}
    for one in in_the_hub(lab):
        envelope = from_json(one.body)
        seen.setdefault(envelope.aggregate_id, []).append(envelope.event_type)
    assert all(types == ["OrderCreated", "OrderPaid", "OrderShipped"] for types in seen.values())
    assert len(seen) == 4
