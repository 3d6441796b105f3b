"""Event Hubs without sockets, its clock standing still: what the SDK cannot ask for, and what takes days elsewhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localazure.amqp import encode, frames, performatives, records
from localazure.amqp.decode import Described, Symbol, decode, decode_all
from localazure.amqp.performatives import error_condition
from localazure.amqp.records import Attach, Begin, Close, Detach, Disposition, End, Flow, Transfer
from localazure.eventhubs.messages import BATCH_FORMAT, sections
from localazure.eventhubs.service import FILE_NAME

from . import conftest as client
from .conftest import Namespace, Peer, frame, put_token, request
from .test_types import VALUES

PARTITION_0 = "orders/ConsumerGroups/$Default/Partitions/0"


def _data(body: bytes) -> bytes:
    return encode.described(0x75, encode.binary(body))


def _batch(*bodies: bytes, key: str | None = None) -> bytes:
    envelope = b""
    if key is not None:
        envelope = encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.string(key))]))
    return envelope + b"".join(encode.described(0x75, encode.binary(_data(body))) for body in bodies)


def _payloads(got: list[Any]) -> list[bytes]:
    return [one.payload for one in got if isinstance(one, Transfer)]


def _bodies(got: list[Any]) -> list[bytes]:
    return [decode(payload, sections(payload)[-1].value)[0] for payload in _payloads(got)]


def _receive(peer: Peer, address: str = PARTITION_0, credit: int = 100, source: bytes | None = None) -> list[Any]:
    handle, _ = peer.attach(address, is_receiver=True, source=source)
    return peer.flow(handle, credit)


def _selector(text: str, descriptor: bytes = encode.symbol("apache.org:selector-filter:string")) -> bytes:
    filters = encode.map_of(
        [(encode.symbol("apache.org:selector-filter:string"), b"\x00" + descriptor + encode.string(text))]
    )
    return encode.described(0x28, encode.list_of([encode.string(PARTITION_0)] + [encode.NULL] * 6 + [filters]))


def test_a_batch_becomes_events_with_the_services_annotations(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    (outcome,) = peer.send(sender, _batch(b"one", b"two", key="order-1"), BATCH_FORMAT)
    assert outcome == Disposition(True, 1, 1, True, Described(0x24, []))
    got = _receive(peer)
    assert _bodies(got) == [b"one", b"two"]
    annotations = [decode(payload, sections(payload)[0].value)[0] for payload in _payloads(got)]
    assert [list(one) for one in annotations] == [
        ["x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time", "x-opt-partition-key"]
    ] * 2
    first, second = annotations
    assert (first["x-opt-sequence-number"], second["x-opt-sequence-number"]) == (0, 1)
    assert (first["x-opt-offset"], second["x-opt-offset"]) == ("0", str(len(_payloads(got)[0])))
    assert first["x-opt-enqueued-time"] == 1_000_000_000
    assert first["x-opt-partition-key"] == "order-1"


def test_every_amqp_type_comes_back_byte_for_byte(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    encoded = [data for name, data, _ in VALUES]
    tails = [encode.described(0x77, data) for data in encoded]
    tails.append(encode.described(0x76, encode.list_of(encoded)) + encode.described(0x76, encode.EMPTY_LIST))
    pairs = [(encode.string(f"{number}"), data) for number, data in enumerate(encoded)]
    tails.append(encode.described(0x74, encode.map_of(pairs)) + _data(b"a") + _data(b"b"))
    tails.append(_data(b"x") + encode.described(0x78, encode.map_of(pairs)))
    for tail in tails:
        (outcome,) = peer.send(sender, tail)
        assert outcome.state.descriptor == 0x24
    for payload, tail in zip(_payloads(_receive(peer)), tails, strict=True):
        assert payload.endswith(tail)
        assert len(payload) - len(tail) == sections(payload)[0].end


def test_a_header_stays_in_front_and_foreign_annotations_survive_but_not_forged_ones(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    header = encode.described(0x70, encode.list_of([encode.TRUE]))
    forged = [
        (encode.symbol("x-mine"), encode.long(1)),
        (encode.symbol("x-opt-sequence-number"), encode.long(99)),
        (encode.symbol("x-opt-offset"), encode.string("99")),
    ]
    named = b"\x00" + encode.symbol("amqp:message-annotations:map") + encode.map_of(forged)
    peer.send(sender, header + named + _data(b"body"))
    (payload,) = _payloads(_receive(peer))
    assert [section.code for section in sections(payload)] == [0x70, 0x72, 0x75]
    annotations = decode(payload, sections(payload)[1].value)[0]
    assert (annotations["x-mine"], annotations["x-opt-sequence-number"], annotations["x-opt-offset"]) == (1, 0, "0")


@pytest.mark.parametrize(
    ("payload", "message_format"),
    [
        (b"", 0),
        (b"\xff", 0),
        (b"\x00\x53\x75", 0),
        (b"\x00\x53\x75\xa0\x05abc", 0),
        (b"\x00\x53\x75\x40", 0),
        (b"\x00\x53\x79\x40", 0),
        (b"\x00\x53\x74\xc1\x02\x01\x40", 0),
        (b"\x00\x53\x72\xc1\x08\x02\xa3\x01x\xc0\x02\x01\xff", 0),
        (encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.NULL)])), 0),
        (b"", BATCH_FORMAT),
        (_data(b"not a message"), BATCH_FORMAT),
        (encode.described(0x77, encode.NULL), BATCH_FORMAT),
    ],
)
def test_what_is_no_message_is_rejected_with_decode_error_and_stored_nowhere(
    peer: Peer, namespace: Namespace, payload: bytes, message_format: int
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    (outcome,) = peer.send(sender, payload, message_format)
    assert outcome.state.descriptor == 0x25
    assert error_condition(outcome.state.value[0]) == "amqp:decode-error"
    assert namespace.service.counters()["events_in"] == 0
    (fine,) = peer.send(sender, _data(b"fine"))
    assert fine.state.descriptor == 0x24


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


@pytest.mark.parametrize(
    "text",
    [
        "amqp.annotation.x-opt-publisher > '1'",
        "amqp.annotation.x-opt-sequence-number > 'one'",
        "amqp.annotation.x-opt-sequence-number < '1'",
        "color = 'red'",
        "",
    ],
)
def test_filters_that_are_not_understood_are_refused_not_ignored(peer: Peer, text: str) -> None:
    _, (_, detached) = peer.attach(PARTITION_0, is_receiver=True, source=_selector(text))
    assert error_condition(detached.error) == "com.microsoft:argument-error"


def test_other_operations_of_management_are_refused_with_501(peer: Peer) -> None:
    for operation, kind in (("UPDATE", "com.microsoft:eventhub"), ("READ", "com.microsoft:consumergroup")):
        answer = peer.ask("$management", request({"operation": operation, "type": kind, "name": "orders"}))
        assert (answer["status-code"], answer["errorCondition"]) == (501, "amqp:not-implemented")
    answer = peer.ask("$cbs", request({"operation": "delete-token", "name": "x"}))
    assert answer["status-code"] == 501


def test_an_answer_carries_the_requests_id_whatever_its_type(peer: Peer) -> None:
    for message_id in (encode.ulong(7), encode.binary(b"id"), encode.string("id")):
        asked = request(
            {"operation": "READ", "type": "com.microsoft:eventhub", "name": "ORDERS"}, message_id=message_id
        )
        answer = peer.ask("$management", asked)
        assert answer["correlation_id"] == decode_all(message_id)
        assert answer["body"]["name"] == "orders"
        assert answer["body"]["partition_ids"] == ["0", "1"]
        assert (answer["status-code"], answer["statusCode"]) == (200, 200)
        assert answer["status-description"] == answer["statusDescription"] == "OK"


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


def test_without_a_token_nothing_is_told_and_no_link_attaches(namespace: Namespace) -> None:
    namespace.service.create_hub("orders", 1)
    stranger = Peer(namespace)
    asked = request({"operation": "READ", "type": "com.microsoft:eventhub", "name": "orders"})
    assert stranger.ask("$management", asked)["status-code"] == 401
    for is_receiver, address in ((False, "orders"), (True, PARTITION_0)):
        _, (_, detached) = stranger.attach(address, is_receiver=is_receiver)
        assert error_condition(detached.error) == "amqp:unauthorized-access"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (put_token("orders"), 202),
        (put_token("orders/consumergroups/$default"), 202),
        (put_token(""), 202),
        (put_token("nowhere"), 404),
        (put_token("orders", key="another"), 401),
        (put_token("orders", "nobody"), 401),
        (put_token("orders", expires=999_999), 401),
        (put_token("customers", audience="sb://localhost/orders"), 401),
        (put_token("order", audience="sb://localhost/orders"), 401),
        (put_token("orders", audience="sb://elsewhere/orders"), 401),
        (put_token("", audience="sb://localhost/orders/consumergroups/x"), 202),
        (request({"operation": "put-token", "name": "sb://localhost/orders"}, encode.string("a bearer")), 202),
        (request({"operation": "put-token", "name": "sb://localhost/orders"}, encode.string("another")), 401),
        (request({"operation": "put-token", "name": "sb://localhost/orders"}, encode.NULL), 400),
        (request({"operation": "put-token"}, encode.string("a bearer")), 400),
        (
            request(
                {"operation": "put-token", "name": "sb://localhost/orders"}, encode.string("SharedAccessSignature x")
            ),
            401,
        ),
    ],
)
def test_put_token_answers(namespace: Namespace, token: bytes, status: int) -> None:
    namespace.service.create_hub("orders", 1)
    assert Peer(namespace).ask("$cbs", token)["status-code"] == status


def test_links_end_with_their_token_and_a_newer_token_keeps_them(namespace: Namespace) -> None:
    namespace.service.create_hub("orders", 1)
    first, second = Peer(namespace), Peer(namespace)
    for peer in (first, second):
        assert peer.authorise("orders", expires=1_000_100) == 202
        assert len(peer.attach("orders", is_receiver=False)[1]) == 2
        assert len(peer.attach(PARTITION_0, is_receiver=True)[1]) == 1
    assert second.authorise("orders", expires=1_000_200) == 202
    for peer in (first, second):
        wanted = peer.connection.tick(1_000_000.0)
        assert wanted is not None
        assert wanted <= 1_000_100
    namespace.time = 1_000_100.0
    for peer in (first, second):
        peer.connection.tick(namespace.time)
    assert [error_condition(one.error) for one in client.answers(first.take())] == ["amqp:unauthorized-access"] * 2
    assert second.take() == b""


def test_events_expire_by_age_and_sequence_numbers_go_on(peer: Peer, namespace: Namespace) -> None:
    namespace.service.create_hub("short", 1, retention_hours=1)
    peer.authorise("short")
    sender, _ = peer.attach("short", is_receiver=False)
    peer.send(sender, _batch(b"old", b"old"), BATCH_FORMAT)
    namespace.time += 3_000
    peer.send(sender, _data(b"young"))
    namespace.time += 700
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    asked = {"operation": "READ", "type": "com.microsoft:partition", "name": "short", "partition": "0"}
    told = peer.ask("$management", request(asked))["body"]
    assert (told["begin_sequence_number"], told["last_enqueued_sequence_number"]) == (2, 2)
    assert _bodies(_receive(peer, "short/ConsumerGroups/$Default/Partitions/0")) == [b"young"]
    namespace.time += 3_000
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    told = peer.ask("$management", request(asked))["body"]
    assert (told["begin_sequence_number"], told["is_partition_empty"]) == (3, True)
    peer.send(sender, _data(b"next"))
    assert peer.ask("$management", request(asked))["body"]["last_enqueued_sequence_number"] == 3


def test_events_expire_by_size(peer: Peer, namespace: Namespace) -> None:
    namespace.service.create_hub("small", 1, retention_bytes=10_000)
    peer.authorise("small")
    sender, _ = peer.attach("small", is_receiver=False)
    for _ in range(30):
        peer.send(sender, _data(b"x" * 1_000))
    namespace.time += 10
    peer.connection.tick(namespace.time)
    namespace.run_all_posted()
    kept = _payloads(_receive(peer, "small/ConsumerGroups/$Default/Partitions/0"))
    assert 8_000 < sum(map(len, kept)) <= 10_000


def test_starts_are_found_within_and_between_batches(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    for number in range(0, 40, 4):
        peer.send(sender, _batch(*(b"%d" % (number + one) for one in range(4))), BATCH_FORMAT)
        namespace.time += 1
    everything = _payloads(_receive(peer))
    annotations = [decode(payload, sections(payload)[0].value)[0] for payload in everything]
    by_code = b"\x80\x00\x00\x46\x8c\x00\x00\x00\x04"

    def first_from(text: str, descriptor: bytes = by_code) -> list[bytes]:
        reader = Peer(namespace)
        reader.authorise("orders")
        got = _payloads(_receive(reader, source=_selector(text, descriptor), credit=1))
        reader.connection.connection_lost()
        return got

    for index, mine in enumerate(annotations):
        for name in ("x-opt-sequence-number", "x-opt-offset"):
            at = f"amqp.annotation.{name} {{}} '{mine[name]}'"
            assert first_from(at.format(">")) == everything[index + 1 : index + 2]
            assert first_from(at.format(">=")) == [everything[index]]
        at = f"amqp.annotation.x-opt-enqueued-time {{}} '{mine['x-opt-enqueued-time']}'"
        assert first_from(at.format(">=")) == [everything[index // 4 * 4]]
        assert first_from(at.format(">")) == everything[index // 4 * 4 + 4 : index // 4 * 4 + 5]


def test_draining_gives_back_the_credit_at_the_end_of_the_log(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, _batch(b"1", b"2"), BATCH_FORMAT)
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    *transfers, flow = peer.flow(receiver, 10, drain=True)
    assert len(transfers) == 2
    assert isinstance(flow, Flow)
    assert (flow.delivery_count, flow.link_credit) == (10, 0)


def test_a_settled_transfer_is_stored_without_an_answer(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    assert peer.send(sender, _data(b"fire and forget"), settled=True) == []
    assert _bodies(_receive(peer)) == [b"fire and forget"]
    (detached,) = peer.send(sender, b"\xff", settled=True)
    assert error_condition(detached.error) == "amqp:decode-error"


def test_a_receiver_that_waits_is_given_what_comes(peer: Peer, namespace: Namespace) -> None:
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    assert peer.flow(receiver) == []
    other = Peer(namespace)
    other.authorise("orders")
    sender, _ = other.attach("orders/Partitions/0", is_receiver=False)
    for number in range(3):
        other.send(sender, _data(b"%d" % number))
        assert _bodies(client.answers(peer.take())) == [b"%d" % number]


def test_output_comes_in_bounded_pieces_whatever_credit_a_client_gives(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    for _ in range(30):
        peer.send(sender, _batch(*[b"x" * 1_000] * 60), BATCH_FORMAT)
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    peer.connection.receive_bytes(frame(Flow(0, 100_000, 0, 100_000, receiver, 0, 50_000)))
    pieces = []
    while piece := peer.connection.data_to_send():
        pieces.append(len(piece))
    assert sum(pieces) > 1_800_000
    assert max(pieces) < 300_000


def test_throttled_receivers_are_given_what_the_units_allow_and_the_rest_as_time_goes_on(
    peer: Peer, namespace: Namespace
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, _batch(*[b"x" * 1_000] * 50), BATCH_FORMAT)
    namespace.faults.arm("event_hubs", "throttle", -1, {"hub": "orders"}, {"throughput_units": 0.01})
    first = _bodies(_receive(peer))
    assert 18 <= len(first) <= 20
    received = len(first)
    for _ in range(4):
        namespace.time += 0.5
        peer.connection.tick(namespace.time)
        more = len(_bodies(client.answers(peer.take())))
        assert 8 <= more <= 11 or received + more == 50
        received += more
    assert received == 50


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
        peer.send(sender, _data(b"x" * 1_000))
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


def test_events_that_are_damaged_on_disk_end_their_link_with_a_sentence_and_nothing_else(
    peer: Peer, namespace: Namespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, _batch(*[b"x" * 1_000] * 60), BATCH_FORMAT)
    namespace.run_all_posted()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()
        (page_bytes,) = file.execute("PRAGMA page_size").fetchone()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / FILE_NAME).open("r+b") as raw:
        raw.seek((page - 1) * page_bytes)
        raw.write(b"\xff" * page_bytes)
    _, got = peer.attach(PARTITION_0, is_receiver=True)
    (refused,) = [one for one in got if isinstance(one, Detach)]
    assert error_condition(refused.error) == "amqp:internal-error"
    assert "cannot be read" in caplog.text
    _, answer = peer.attach("orders/Partitions/1", is_receiver=False)
    assert not any(isinstance(one, Detach) for one in answer), "the connection goes on"


def test_a_row_that_does_not_hold_what_its_sizes_say_detaches_its_reader(
    peer: Peer, namespace: Namespace, tmp_path: Path
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, _batch(b"one"), BATCH_FORMAT)
    peer.send(sender, _batch(b"two"), BATCH_FORMAT)
    namespace.run_all_posted()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute("UPDATE chunks SET events = x'00' WHERE key = (SELECT max(key) FROM chunks)")
        file.commit()
    handle, _ = peer.attach(PARTITION_0, is_receiver=True)
    got = peer.flow(handle, 10)
    assert error_condition(got[-1].error) == "amqp:internal-error"
    assert "damaged" in got[-1].error.value[1]
