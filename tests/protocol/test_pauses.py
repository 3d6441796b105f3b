"""A receiver that may not deliver now: it is looked at again after a while, and not in each turn of the loop."""

from __future__ import annotations

import pytest

from localazure.amqp import encode
from localazure.amqp.records import Transfer
from localazure.eventhubs.connection import PAUSE_SECONDS

from .conftest import Namespace, Peer, answers

PARTITION_0 = "orders/ConsumerGroups/$Default/Partitions/0"


@pytest.fixture
def paused(peer: Peer, namespace: Namespace) -> Peer:
    """With a receiver in front of one event of a partition that is paused."""
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    peer.send(sender, encode.described(0x75, encode.binary(b"one")))
    namespace.faults.arm("event_hubs", "pause_partition", -1, {"hub": "orders", "partition": "0"}, {})
    receiver, _ = peer.attach(PARTITION_0, is_receiver=True)
    assert peer.flow(receiver) == []
    return peer


def _delivered(peer: Peer) -> int:
    return sum(isinstance(one, Transfer) for one in answers(peer.take()))


def test_a_paused_receiver_has_no_turn_before_the_moment_that_a_tick_named(paused: Peer, namespace: Namespace) -> None:
    named = paused.connection.tick(namespace.time)
    assert named == namespace.time + PAUSE_SECONDS
    namespace.faults.clear()
    for _ in range(3):
        assert paused.connection.tick(namespace.time) == named
        assert _delivered(paused) == 0
    namespace.time = named
    paused.connection.tick(named)
    assert _delivered(paused) == 1


def test_who_is_still_paused_then_waits_as_long_again(paused: Peer, namespace: Namespace) -> None:
    for _ in range(3):
        named = paused.connection.tick(namespace.time)
        assert named == namespace.time + PAUSE_SECONDS
        namespace.time = named
        paused.connection.tick(named)
        assert _delivered(paused) == 0


def test_a_clock_that_is_set_back_prolongs_no_pause(paused: Peer, namespace: Namespace) -> None:
    namespace.faults.clear()
    namespace.time -= 3_600
    paused.connection.tick(namespace.time)
    assert _delivered(paused) == 1
