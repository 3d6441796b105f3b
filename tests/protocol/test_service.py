"""Event Hubs without sockets, its clock standing still: what the SDK cannot ask for, and what takes days elsewhere."""

from __future__ import annotations

import pytest

from localazure.amqp import encode, frames, performatives, records
from localazure.amqp.decode import Symbol
from localazure.amqp.performatives import error_condition
from localazure.amqp.records import Attach, Begin, Close, End
from localazure.eventhubs.messages import BATCH_FORMAT

from . import conftest as client
from .conftest import Namespace, Peer, frame, request
from .payloads import PARTITION_0, batch_of, bodies_of, data_section, payloads_of, received_by


@pytest.mark.parametrize(
    ("address", "is_receiver", "condition"),
    [
        ("nowhere", False, "amqp:not-found"),
        ("orders/Partitions/2", False, "amqp:not-found"),
        ("orders/Partitions/x", False, "amqp:not-found"),
        ("orders/Publishers/me", False, "amqp:not-found"),
        ("orders/ConsumerGroups/$Default", False, "amqp:not-allowed"),
        ("orders", True, "amqp:not-allowed"),
        ("orders/Partitions/0", True, "amqp:not-allowed"),
        ("orders/ConsumerGroups/nobody/Partitions/0", True, "amqp:not-found"),
        ("", True, "amqp:not-found"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused(peer: Peer, address: str, is_receiver: bool, condition: str) -> None:
    _, (_, detached) = peer.attach(address, is_receiver=is_receiver)
    assert error_condition(detached.error) == condition


def test_transactions_are_refused_as_not_implemented(peer: Peer) -> None:
    _, (_, detached) = peer.attach("x", is_receiver=False, target=encode.described(0x30, encode.list_of([encode.NULL])))
    assert error_condition(detached.error) == "amqp:not-implemented"


def test_only_the_capabilities_that_are_served_are_offered(peer: Peer) -> None:
    wanted = ["com.microsoft:georeplication", "com.microsoft:enable-receiver-runtime-metric"]
    for desired, offered in ((wanted[:1], None), (wanted, wanted[1:])):
        asked = Attach(
            f"link-{len(desired)}",
            40 + len(desired),
            True,
            source=client.terminus(PARTITION_0, 0x28),
            target=client.terminus("here", 0x29),
            desired_capabilities=desired,
        )
        (attached,) = peer.feed(frame(asked))
        assert attached.offered_capabilities == offered


def test_events_expire_by_age_and_sequence_numbers_go_on(peer: Peer, namespace: Namespace) -> None:
    namespace.service.create_hub("short", 1, retention_hours=1)
    peer.authorise("short")
    sender, _ = peer.attach("short", is_receiver=False)
    peer.send(sender, batch_of(b"old", b"old"), BATCH_FORMAT)
    namespace.time += 3_000
    peer.send(sender, data_section(b"young"))
    namespace.time += 700
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    asked = {"operation": "READ", "type": "com.microsoft:partition", "name": "short", "partition": "0"}
    told = peer.ask("$management", request(asked))["body"]
    assert (told["begin_sequence_number"], told["last_enqueued_sequence_number"]) == (2, 2)
    assert bodies_of(received_by(peer, "short/ConsumerGroups/$Default/Partitions/0")) == [b"young"]
    namespace.time += 3_000
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    told = peer.ask("$management", request(asked))["body"]
    assert (told["begin_sequence_number"], told["is_partition_empty"]) == (3, True)
    peer.send(sender, data_section(b"next"))
    assert peer.ask("$management", request(asked))["body"]["last_enqueued_sequence_number"] == 3


def test_events_expire_by_size(peer: Peer, namespace: Namespace) -> None:
    namespace.service.create_hub("small", 1, retention_bytes=10_000)
    peer.authorise("small")
    sender, _ = peer.attach("small", is_receiver=False)
    for _ in range(30):
        peer.send(sender, data_section(b"x" * 1_000))
    namespace.time += 10
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    kept = payloads_of(received_by(peer, "small/ConsumerGroups/$Default/Partitions/0"))
    assert 8_000 < sum(map(len, kept)) <= 10_000


def test_a_deleted_hub_detaches_its_links_and_rejects_what_is_under_way(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders", is_receiver=False)
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    peer.flow(receiver)
    namespace.service.delete_hub("orders")
    namespace.run_all_posted()
    got = client.answers(peer.take())
    assert [error_condition(one.error) for one in got] == ["amqp:resource-deleted"] * 2
    assert {one.handle for one in got} == {sender, receiver}


def test_after_a_delete_the_chunks_go_and_the_file_is_used_again(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    for _ in range(150):
        peer.send(sender, data_section(b"x" * 1_000))
    namespace.service.delete_hub("orders")
    for _ in range(5):
        namespace.run_all_posted()
    reader = namespace.service._log._journal.reader()
    assert reader.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
    assert reader.execute("SELECT count(*) FROM partitions").fetchone() == (0,)
    reader.close()


def test_a_stopping_service_closes_its_connections(peer: Peer, namespace: Namespace) -> None:
    namespace.service.end_connections()
    (close,) = client.answers(peer.take())
    assert isinstance(close, Close)
    assert error_condition(close.error) == "amqp:connection:forced"
    assert peer.connection.closed


def test_what_is_not_amqp_is_answered_by_a_close_with_its_condition(namespace: Namespace) -> None:
    cases = {
        frames.frame(0, b"\x00\x53\x11"): "amqp:decode-error",
        frames.frame(0, b"\x00\x53\x11\xc0\x02\x01\x40"): "amqp:invalid-field",
        frames.frame(0, b"\x00\x53\x99\x45"): "amqp:not-implemented",
        frames.frame(0, b"\x00\x53\x18\x45extra"): "amqp:decode-error",
        b"\x00\x00\x00\x07\x02\x00\x00\x00": "amqp:connection:framing-error",
        b"\x00\x00\x00\x08\x01\x00\x00\x00": "amqp:connection:framing-error",
        b"\x00\x00\x00\x08\x02\x07\x00\x00": "amqp:connection:framing-error",
        frame(records.Open("again")): "amqp:illegal-state",
        frame(Begin(None, 0, 1, 1)): "amqp:not-allowed",
        frames.frame(9, performatives.write(End())): "amqp:not-allowed",
        frames.frame(5_000, performatives.write(Begin(None, 0, 1, 1))): "amqp:connection:framing-error",
    }
    for data, condition in cases.items():
        (close,) = Peer(namespace).feed(data)
        assert isinstance(close, Close)
        assert error_condition(close.error) == condition
        assert isinstance(close.error.value[0], Symbol)
