"""The nodes that answer: `$management` and `$cbs`, and what a token lets its connection do, for how long."""

from __future__ import annotations

import pytest

from localazure.amqp import encode
from localazure.amqp.decode import decode
from localazure.amqp.performatives import error_condition
from localazure.amqp.records import Disposition, Transfer

from . import conftest as client
from .conftest import Namespace, Peer, put_token, request
from .payloads import PARTITION_0


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
        assert answer["correlation_id"] == decode(message_id)[0]
        assert answer["body"]["name"] == "orders"
        assert answer["body"]["partition_ids"] == ["0", "1"]
        assert (answer["status-code"], answer["statusCode"]) == (200, 200)
        assert answer["status-description"] == answer["statusDescription"] == "OK"


def test_the_answer_comes_before_the_word_that_its_request_is_done_with(peer: Peer) -> None:
    requests, _ = peer.attach("$management", is_receiver=False)
    replies, _ = peer.attach("$management", is_receiver=True)
    peer.flow(replies, 5)
    got = peer.send(requests, request({"operation": "READ", "type": "com.microsoft:eventhub", "name": "orders"}))
    assert [type(one) for one in got] == [Transfer, Disposition]


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
