"""What a receiver is given: from where, how much at a time, at which pace, and what it is told of damaged events."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from localazure.amqp.decode import decode
from localazure.amqp.performatives import error_condition
from localazure.amqp.records import Detach, Flow
from localazure.eventhubs.messages import BATCH_FORMAT, sections
from localazure.eventhubs.service import FILE_NAME

from . import conftest as client
from .conftest import Namespace, Peer, frame
from .payloads import PARTITION_0, batch_of, bodies_of, data_section, payloads_of, received_by, selecting


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
    _, (_, detached) = peer.attach(PARTITION_0, is_receiver=True, source=selecting(text))
    assert error_condition(detached.error) == "com.microsoft:argument-error"


def test_starts_are_found_within_and_between_batches(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    for number in range(0, 40, 4):
        peer.send(sender, batch_of(*(b"%d" % (number + one) for one in range(4))), BATCH_FORMAT)
        namespace.time += 1
    everything = payloads_of(received_by(peer))
    annotations = [decode(payload, sections(payload)[0].value)[0] for payload in everything]
    by_code = b"\x80\x00\x00\x46\x8c\x00\x00\x00\x04"

    def first_from(text: str, descriptor: bytes = by_code) -> list[bytes]:
        reader = Peer(namespace)
        reader.authorise("orders")
        got = payloads_of(received_by(reader, source=selecting(text, descriptor), credit=1))
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
    peer.send(sender, batch_of(b"1", b"2"), BATCH_FORMAT)
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    *transfers, flow = peer.flow(receiver, 10, drain=True)
    assert len(transfers) == 2
    assert isinstance(flow, Flow)
    assert (flow.delivery_count, flow.link_credit) == (10, 0)


def test_a_receiver_that_waits_is_given_what_comes(peer: Peer, namespace: Namespace) -> None:
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    assert peer.flow(receiver) == []
    other = Peer(namespace)
    other.authorise("orders")
    sender, _ = other.attach("orders/Partitions/0", is_receiver=False)
    for number in range(3):
        other.send(sender, data_section(b"%d" % number))
        assert bodies_of(client.answers(peer.take())) == [b"%d" % number]


def test_output_comes_in_bounded_pieces_whatever_credit_a_client_gives(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    for _ in range(30):
        peer.send(sender, batch_of(*[b"x" * 1_000] * 60), BATCH_FORMAT)
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
    peer.send(sender, batch_of(*[b"x" * 1_000] * 50), BATCH_FORMAT)
    namespace.faults.arm("event_hubs", "throttle", -1, {"hub": "orders"}, {"throughput_units": 0.01})
    first = bodies_of(received_by(peer))
    assert 18 <= len(first) <= 20
    received = len(first)
    for _ in range(4):
        namespace.time += 0.5
        peer.connection.tick(namespace.time)
        more = len(bodies_of(client.answers(peer.take())))
        assert 8 <= more <= 11 or received + more == 50
        received += more
    assert received == 50


def test_events_that_are_damaged_on_disk_end_their_link_with_a_sentence_and_nothing_else(
    peer: Peer, namespace: Namespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, batch_of(*[b"x" * 1_000] * 60), BATCH_FORMAT)
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
    peer.send(sender, batch_of(b"one"), BATCH_FORMAT)
    peer.send(sender, batch_of(b"two"), BATCH_FORMAT)
    namespace.run_all_posted()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute("UPDATE chunks SET events = x'00' WHERE key = (SELECT max(key) FROM chunks)")
        file.commit()
    handle, _ = peer.attach(PARTITION_0, is_receiver=True)
    got = peer.flow(handle, 10)
    assert error_condition(got[-1].error) == "amqp:internal-error"
    assert "damaged" in got[-1].error.value[1]
