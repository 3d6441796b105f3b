"""Event Grid through the official publisher client, with a webhook of the test's own at the other end."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.eventgrid.aio import EventGridPublisherClient as AsyncPublisher

import localazure
from localazure.errors import ControlRefused
from localazure.handle import LocalAzure
from tests.contract.daemon.processes import eventually
from tests.webhook import Webhook


def publisher(azure: LocalAzure, topic: str, key: str | None = None) -> EventGridPublisherClient:
    return EventGridPublisherClient(azure.topic_endpoint(topic), AzureKeyCredential(key or azure.topic_key(topic)))


def event(number: int, **extra: Any) -> CloudEvent:
    return CloudEvent(source="/tests", type="tests.counted", id=f"e-{number}", data={"number": number}, **extra)


def counted(azure: LocalAzure, name: str) -> int:
    return azure.counters()["event_grid"].get(name, 0)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.stop()


@pytest.fixture
def topic(azure: LocalAzure, fresh_name: str) -> Iterator[str]:
    azure.create_topic(fresh_name)
    yield fresh_name
    azure.delete_topic(fresh_name)


def test_published_events_reach_the_webhook_one_by_one_as_they_were(
    azure: LocalAzure, topic: str, webhook: Webhook
) -> None:
    azure.subscribe_webhook(topic, "alerts", webhook.url)
    with publisher(azure, topic) as client:
        client.send([event(1, subject="s", extensions={"traceparent": "00-ab-cd-01"}), event(2)])
        client.send(event(3))
    webhook.wait_until(lambda hook: len(hook.taken) == 3)
    assert sorted(webhook.ids()) == ["e-1", "e-2", "e-3"]
    one = next(found for found in webhook.taken if found["id"] == "e-1")
    expected = {"specversion": "1.0", "source": "/tests", "type": "tests.counted", "subject": "s"}
    assert {name: one[name] for name in expected} == expected
    assert (one["data"], one["traceparent"]) == ({"number": 1}, "00-ab-cd-01")
    headers, _ = webhook.requests[0]
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert (headers["aeg-event-type"], headers["aeg-subscription-name"]) == ("Notification", "ALERTS")
    assert headers["aeg-delivery-count"] == "0"


async def test_the_asynchronous_client_publishes_alike(azure: LocalAzure, topic: str, webhook: Webhook) -> None:
    azure.subscribe_webhook(topic, "alerts", webhook.url)
    async with AsyncPublisher(azure.topic_endpoint(topic), AzureKeyCredential(azure.topic_key(topic))) as client:
        await client.send([event(1), event(2)])
    webhook.wait_until(lambda hook: sorted(hook.ids()) == ["e-1", "e-2"])


def test_a_subscription_may_ask_for_batches(azure: LocalAzure, topic: str, webhook: Webhook) -> None:
    azure.subscribe_webhook(topic, "batches", webhook.url, max_events_per_batch=4)
    with publisher(azure, topic) as client:
        client.send([event(number) for number in range(10)])
    webhook.wait_until(lambda hook: len(hook.taken) == 10)
    assert sorted(len(body) for _, body in webhook.requests) == [2, 4, 4]
    assert webhook.requests[0][0]["content-type"] == "application/cloudevents-batch+json; charset=utf-8"


def test_a_wrong_key_is_refused_with_401_and_nothing_is_stored(azure: LocalAzure, topic: str, webhook: Webhook) -> None:
    azure.subscribe_webhook(topic, "alerts", webhook.url)
    for key in ("wrong", azure.topic_key("another")):
        with publisher(azure, topic, key) as client, pytest.raises(ClientAuthenticationError) as refused:
            client.send(event(1))
        assert refused.value.status_code == 401
    assert "is not authorized for this topic" in str(refused.value)
    with publisher(azure, topic) as client:
        client.send(event(2))
    webhook.wait_until(lambda hook: hook.ids() == ["e-2"])


def raw(azure: LocalAzure, topic: str, method: str = "POST", path: str = "", **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(azure.topic_endpoint(topic))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.request(method, path or f"{parts.path}?api-version=2018-01-01", b"[]", headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_no_key_a_token_another_version_method_or_address_are_refused(azure: LocalAzure, topic: str) -> None:
    key = azure.topic_key(topic)
    assert raw(azure, topic)[0] == 401
    assert b"aeg-sas-key" in raw(azure, topic)[1]
    status, body = raw(azure, topic, **{"aeg-sas-token": "r=x"})
    assert (status, b"no tokens" in body) == (401, True)
    assert raw(azure, topic, path=f"/{topic}/api/events", **{"aeg-sas-key": key})[0] == 400
    assert raw(azure, topic, method="GET", **{"aeg-sas-key": key})[0] == 405
    assert raw(azure, topic, path=f"/{topic}/other", **{"aeg-sas-key": key})[0] == 404


def test_a_topic_that_is_not_there_is_404(azure: LocalAzure) -> None:
    with publisher(azure, "nobody-made-it") as client, pytest.raises(ResourceNotFoundError):
        client.send(event(1))


def test_events_of_event_grids_own_schema_are_refused(azure: LocalAzure, topic: str) -> None:
    own = EventGridEvent(subject="s", event_type="t", data={}, data_version="1")
    with publisher(azure, topic) as client, pytest.raises(HttpResponseError, match="CloudEventV10") as refused:
        client.send(own)
    assert refused.value.status_code == 400


def test_a_request_beyond_a_megabyte_is_refused_with_413(azure: LocalAzure, topic: str) -> None:
    with publisher(azure, topic) as client:
        client.send(CloudEvent(source="/tests", type="t", data="x" * 1_000_000))
        with pytest.raises(HttpResponseError) as refused:
            client.send(CloudEvent(source="/tests", type="t", data="x" * 1_048_577))
    assert refused.value.status_code == 413


def test_a_webhook_is_asked_before_it_gets_anything(azure: LocalAzure, topic: str, webhook: Webhook) -> None:
    azure.subscribe_webhook(topic, "alerts", webhook.url)
    (asked,) = webhook.validations
    assert asked["webhook-request-origin"] == "eventgrid.azure.net"
    assert webhook.requests == []


@pytest.mark.parametrize("allows", ["", "example.com"])
def test_a_webhook_that_does_not_agree_is_not_subscribed(azure: LocalAzure, topic: str, allows: str) -> None:
    hook = Webhook(allows=allows)
    with pytest.raises(ControlRefused, match="validation handshake failed"):
        azure.subscribe_webhook(topic, "alerts", hook.url)
    assert azure.control("GET", f"/topics/{topic}/subscriptions") == []
    hook.stop()
    with pytest.raises(ControlRefused, match="validation handshake failed"):
        azure.subscribe_webhook(topic, "alerts", hook.url)


@pytest.mark.parametrize(
    "elsewhere", ["https://example.com:443/hook", "http://10.0.0.1:80/hook", "ftp://localhost:1/", ""]
)
def test_a_webhook_elsewhere_is_refused(azure: LocalAzure, topic: str, elsewhere: str) -> None:
    with pytest.raises(ControlRefused, match="a webhook is on this machine"):
        azure.subscribe_webhook(topic, "alerts", elsewhere)


def test_names_and_policies_that_azure_does_not_take_are_refused(
    azure: LocalAzure, topic: str, webhook: Webhook
) -> None:
    with pytest.raises(ControlRefused, match="3 to 50 letters"):
        azure.create_topic("a_b")
    with pytest.raises(ControlRefused, match="3 to 64 letters"):
        azure.subscribe_webhook(topic, "a", webhook.url)
    with pytest.raises(ControlRefused, match="max_attempts is 1 to 30"):
        azure.subscribe_webhook(topic, "alerts", webhook.url, max_attempts=31)
    with pytest.raises(ControlRefused, match="unexpected keyword"):
        azure.subscribe_webhook(topic, "alerts", webhook.url, retries=3)
    with pytest.raises(ControlRefused, match="no topic 'unknown'"):
        azure.subscribe_webhook("unknown", "alerts", webhook.url)
    with pytest.raises(ControlRefused, match="no subscription 'unknown'"):
        azure.dead_letters(topic, "unknown")


def test_what_fails_is_tried_again_until_it_is_taken(azure: LocalAzure, topic: str) -> None:
    hook = Webhook(500, 503, 429)
    azure.subscribe_webhook(topic, "alerts", hook.url, time_scale=0.001)
    with publisher(azure, topic) as client:
        client.send(event(1))
    hook.wait_until(lambda hook: hook.ids() == ["e-1"])
    assert [headers["aeg-delivery-count"] for headers, _ in hook.requests] == ["0", "1", "2", "3"]
    hook.stop()


def test_a_webhook_that_points_elsewhere_is_not_followed_and_tried_again(
    azure: LocalAzure, topic: str, webhook: Webhook
) -> None:
    other = Webhook()
    webhook.answers, webhook.location = [301, 302, 307, 308], other.url
    azure.subscribe_webhook(topic, "alerts", webhook.url, time_scale=0.001)
    with publisher(azure, topic) as client:
        client.send(event(1))
    webhook.wait_until(lambda hook: hook.ids() == ["e-1"])
    assert (len(webhook.requests), other.requests) == (5, [])
    other.stop()


def test_a_webhook_that_never_answers_holds_up_no_other_and_gets_its_events_again(
    own_azure: LocalAzure, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localazure.eventgrid.delivery.ANSWER_SECONDS", 0.5)
    silent = Webhook()
    silent.answering.clear()
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "silent", silent.url, time_scale=0.001)
    own_azure.subscribe_webhook("alerts", "well", webhook.url)
    with publisher(own_azure, "alerts") as client:
        client.send([event(number) for number in range(20)])
        webhook.wait_until(lambda hook: len(hook.taken) == 20)
        assert silent.taken == []
        while not counted(own_azure, "failed_attempts"):
            webhook.wait_until(lambda _: True)
    silent.answering.set()
    silent.wait_until(lambda hook: set(hook.ids()) == {f"e-{number}" for number in range(20)})
    while counted(own_azure, "pending"):
        silent.wait_until(lambda _: True)
    silent.stop()


def test_an_event_that_no_try_can_deliver_becomes_a_dead_letter_at_once(azure: LocalAzure, topic: str) -> None:
    hook = Webhook(400)
    azure.subscribe_webhook(topic, "alerts", hook.url, dead_letter=True)
    with publisher(azure, topic) as client:
        client.send([event(1)])
        hook.wait_until(lambda hook: len(hook.requests) == 1)
        client.send([event(2)])
    hook.wait_until(lambda hook: hook.ids() == ["e-2"])
    assert eventually(lambda: azure.dead_letters(topic, "alerts") != [])  # written when the webhook's answer has come
    (letter,) = azure.dead_letters(topic, "alerts")
    told = ("id", "deadletterreason", "deliveryattempts", "lastdeliveryoutcome", "lasthttpstatuscode")
    assert [letter[name] for name in told] == ["e-1", "UndeliverableDueToHttpBadRequest", 1, "BadRequest", 400]
    assert letter["data"] == {"number": 1}
    hook.stop()


def test_after_the_last_attempt_an_event_is_a_dead_letter_or_without_those_dropped(own_azure: LocalAzure) -> None:
    own_azure.create_topic("alerts")
    hook = Webhook(*[500] * 6)
    for name, keeps in (("keeps", True), ("drops", False)):
        policy = {"max_attempts": 3, "time_scale": 0.001}
        own_azure.subscribe_webhook("alerts", name, hook.url, dead_letter=keeps, **policy)
    with publisher(own_azure, "alerts") as client:
        client.send(event(1))
    hook.wait_until(lambda hook: len(hook.requests) == 6)
    while counted(own_azure, "pending"):
        hook.wait_until(lambda _: True)
    (letter,) = own_azure.dead_letters("alerts", "keeps")
    assert (letter["deadletterreason"], letter["deliveryattempts"]) == ("MaxDeliveryAttemptsExceeded", 3)
    assert own_azure.dead_letters("alerts", "drops") == []
    assert [counted(own_azure, name) for name in ("dead_lettered", "dropped", "delivered")] == [1, 1, 0]
    hook.stop()


def test_each_subscription_gets_each_event_and_a_later_one_only_what_comes_later(
    azure: LocalAzure, topic: str, webhook: Webhook
) -> None:
    late = Webhook()
    with publisher(azure, topic) as client:
        client.send(event(0))
        azure.subscribe_webhook(topic, "first", webhook.url)
        client.send(event(1))
        azure.subscribe_webhook(topic, "second", late.url)
        client.send(event(2))
    webhook.wait_until(lambda hook: sorted(hook.ids()) == ["e-1", "e-2"])
    late.wait_until(lambda hook: hook.ids() == ["e-2"])
    late.stop()


def test_a_webhook_that_is_down_for_a_scaled_minute_loses_nothing(azure: LocalAzure, topic: str) -> None:
    # 503 is tried again after 30 s, scaled to 0.3 s; a minute is 0.6 s, so that two tries fail first
    hook = Webhook()
    azure.subscribe_webhook(topic, "alerts", hook.url, time_scale=0.01)
    hook.answers = [503] * 40
    with publisher(azure, topic) as client:
        client.send([event(number) for number in range(20)])
    hook.wait_until(lambda hook: len(hook.taken) == 20)
    assert Counter(hook.ids()) == Counter(f"e-{number}" for number in range(20))
    assert len(hook.requests) == 60
    hook.stop()


def test_what_was_accepted_outlives_the_server_and_is_delivered_after_it(tmp_path: Path) -> None:
    hook = Webhook()
    with localazure.start(tmp_path / "azure") as azure:
        azure.create_topic("alerts")
        azure.subscribe_webhook("alerts", "alerts", hook.url, time_scale=0.02)
        hook.answers = [500] * 1_000
        with publisher(azure, "alerts") as client:
            client.send([event(number) for number in range(3)])
        hook.wait_until(lambda hook: len(hook.requests) >= 3)
        key, port = azure.topic_key("alerts"), azure.eventgrid_port
    with localazure.start(tmp_path / "azure") as azure:
        assert (azure.topic_key("alerts"), azure.eventgrid_port) == (key, port)
        assert azure.topic_names() == ["alerts"]
        assert azure.counters()["event_grid"]["pending"] == 3
        hook.answers.clear()
        hook.wait_until(lambda hook: sorted(hook.ids()) == ["e-0", "e-1", "e-2"])
    hook.stop()


def test_more_than_may_wait_is_refused_with_429(own_azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localazure.eventgrid.service.MOST_PENDING", 3)
    hook = Webhook()
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "alerts", hook.url)
    hook.answering.clear()
    with publisher(own_azure, "alerts") as client:
        client.send([event(1), event(2)])
        with pytest.raises(HttpResponseError) as refused:
            client.send([event(3), event(4)])
        assert refused.value.status_code == 429
        client.send([event(5)])
    hook.answering.set()
    hook.wait_until(lambda hook: set(hook.ids()) == {"e-1", "e-2", "e-5"})
    hook.stop()


def test_deleting_a_topic_takes_what_waits_with_it(own_azure: LocalAzure, webhook: Webhook) -> None:
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "alerts", webhook.url)
    webhook.answers = [500]
    with publisher(own_azure, "alerts") as client:
        client.send(event(1))
        webhook.wait_until(lambda hook: len(hook.requests) == 1)
        own_azure.delete_topic("alerts")
        with pytest.raises(ResourceNotFoundError):
            client.send(event(2))
    assert counted(own_azure, "pending") == 0
    own_azure.create_topic("alerts")
    assert own_azure.control("GET", "/topics/alerts/subscriptions") == []


def test_a_refused_request_is_sent_again_by_the_sdk(own_azure: LocalAzure, webhook: Webhook) -> None:
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "alerts", webhook.url)
    fault = own_azure.faults.event_grid.refuse_publish(503, topic="alerts")
    with publisher(own_azure, "alerts") as client:
        client.send(event(1))
    webhook.wait_until(lambda hook: hook.ids() == ["e-1"])
    assert (fault.hits, counted(own_azure, "published")) == (1, 1)


def test_a_lost_acknowledgement_delivers_twice_and_the_id_tells(own_azure: LocalAzure, webhook: Webhook) -> None:
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "alerts", webhook.url)
    fault = own_azure.faults.event_grid.lose_acknowledgement(topic="alerts")
    with publisher(own_azure, "alerts") as client:
        with pytest.raises(ServiceResponseError):  # the SDK does not repeat a POST that it has sent
            client.send(event(1))
        client.send(event(1))
    webhook.wait_until(lambda hook: len(hook.taken) == 2)
    assert (webhook.ids(), fault.hits) == (["e-1", "e-1"], 1)


def test_a_delivery_may_be_made_twice(own_azure: LocalAzure, webhook: Webhook) -> None:
    own_azure.create_topic("alerts")
    own_azure.subscribe_webhook("alerts", "alerts", webhook.url)
    fault = own_azure.faults.event_grid.deliver_twice(topic="alerts")
    with publisher(own_azure, "alerts") as client:
        client.send(event(1))
    webhook.wait_until(lambda hook: len(hook.taken) == 2)
    assert (webhook.ids(), fault.hits) == (["e-1", "e-1"], 1)


def test_the_topic_default_has_the_bare_address(own_azure: LocalAzure, webhook: Webhook) -> None:
    own_azure.create_topic("default")
    own_azure.subscribe_webhook("default", "alerts", webhook.url)
    endpoint = f"http://127.0.0.1:{own_azure.eventgrid_port}/api/events"
    with EventGridPublisherClient(endpoint, AzureKeyCredential(own_azure.topic_key("default"))) as client:
        client.send(event(1))
    webhook.wait_until(lambda hook: hook.ids() == ["e-1"])
