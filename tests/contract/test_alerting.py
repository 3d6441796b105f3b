"""Alerts leave the process: published by the official client, delivered by Event Grid, handled once by the webhook."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.eventgrid import EventGridPublisherClient
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labkit.errors import LocalOnly, SettingsError
from labkit.lab import Lab, open_lab
from labkit.lag_monitoring.alerting import Alerter
from labkit.lag_monitoring.alerts import Alerts, Rule
from labkit.lag_monitoring.measures import LagSample, OutboxLag, PartitionLag
from labkit.lag_monitoring.webhook import SENDER, handled, webhook_app
from labkit.settings import NO_WEBHOOKS, azure_of, embedded
from localazure.handle import LocalAzure

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
PATIENCE_SECONDS = 60.0
RULE = Rule("staleness", lambda sample: sample.staleness_seconds, 60, for_seconds=0, recovery_seconds=0)


def sample(second: int, waiting_seconds: float) -> LagSample:
    at = START + timedelta(seconds=second)
    late = PartitionLag("0", 0, 1, 0, at - timedelta(seconds=waiting_seconds))
    return LagSample(at=at, partitions=(late,), outbox=OutboxLag(0))


def swinging(alerts: int) -> list[LagSample]:
    """Each pair of samples is one alert that fires, and is resolved."""
    return [sample(second, 61 if second % 2 == 0 else 0) for second in range(2 * alerts)]


class Door:
    """In front of the webhook: shut, it answers 503. Whoever waits is told of each delivery that was let in."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.shut = False
        self.turned_away = self.let_in = 0
        self.changed = threading.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.shut:
            self.turned_away += 1
            await Response(status_code=503)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
            with self.changed:
                self.let_in += scope["type"] == "http" and scope["method"] == "POST"
                self.changed.notify_all()


class Heard(Alerter):
    """Whoever waits on this condition hears when it ends."""

    def __init__(self, changed: threading.Condition, publisher: EventGridPublisherClient, **options: Any) -> None:
        super().__init__(publisher, **options)
        self._changed = changed

    def _ended(self) -> None:
        with self._changed:
            self._changed.notify_all()


@dataclass
class Desk:
    lab: Lab
    door: Door
    url: str
    started: list[Alerter] = field(default_factory=list)

    def alerter(self, publisher: EventGridPublisherClient | None = None, **options: Any) -> Alerter:
        options |= {"alerts": Alerts([RULE], sample_seconds=1e12), "source": f"/{self.lab.name}"}
        alerter = Heard(self.door.changed, publisher or self.lab.publisher(), **options)
        self.started.append(alerter)
        return alerter

    def handled(self) -> Counter[tuple[str, str]]:
        return Counter((one["alertId"], one["what"]) for one in self.told())

    def told(self) -> list[dict[str, Any]]:
        return [document["data"] for document in handled(self.lab.container("alerts", "command"))]

    def wait_for(self, alerts: int) -> Counter[tuple[str, str]]:
        """Until the webhook has handled so many (fired and resolved apart), and nothing is on its way any more.

        No longer than until an alerter fails.
        """
        until = datetime.now(UTC) + timedelta(seconds=PATIENCE_SECONDS)
        with self.door.changed:
            over = self.door.changed.wait_for(lambda: self.door.let_in >= alerts or self.errors(), PATIENCE_SECONDS)
        assert over, (self.door.let_in, self.pending())
        while len(found := self.handled()) < alerts or self.pending():
            assert self.errors() == []
            assert datetime.now(UTC) < until, (len(found), self.pending())
        return found

    def errors(self) -> list[BaseException]:
        return [alerter.error for alerter in self.started if alerter.error is not None]

    def pending(self) -> int:
        return self.azure.counters()["event_grid"]["pending"]

    azure: LocalAzure = field(init=False)


@pytest.fixture
def desk(own_azure: LocalAzure, tmp_path: Path) -> Iterator[Desk]:
    with open_lab("05", target=embedded(own_azure, tmp_path / "tables")) as lab:
        door = Door(webhook_app(lab.container("alerts", "command"), secret="s3cret"))
        serving = lab.serve(door)
        lab.subscribe(f"{serving.url}/api/alerts?code=s3cret", time_scale=0.01)
        made = Desk(lab, door, serving.url)
        made.azure = own_azure
        yield made
        for alerter in made.started:
            alerter.stop()


def test_an_alert_arrives_with_what_it_is_about_and_so_does_its_end(desk: Desk) -> None:
    alerter = desk.alerter()
    alerter.start()
    for one in (sample(0, 61), sample(1, 62), sample(2, 0)):
        alerter.observe(one)
    assert set(desk.wait_for(2).values()) == {1}
    fired, resolved = desk.told()
    assert (fired["what"], fired["rule"], fired["value"], fired["above"]) == ("fired", "staleness", 61.0, 60)
    assert (fired["at"], resolved["at"]) == ("2026-01-05T09:00:00Z", "2026-01-05T09:00:02Z")
    assert (resolved["what"], resolved["alertId"]) == ("resolved", fired["alertId"])
    assert [alert.what for alert in alerter.published] == ["fired", "resolved"]


def test_a_thousand_alerts_are_handled_once_each_although_some_arrive_twice(desk: Desk) -> None:
    faults = desk.lab.faults.event_grid
    twice, lost = faults.deliver_twice(times=50), faults.lose_acknowledgement(times=2)
    alerter = desk.alerter()
    alerter.start()
    for one in swinging(500):
        alerter.observe(one)
    found = desk.wait_for(1_000)
    assert (len(found), set(found.values())) == (1_000, {1})
    assert (twice.hits, lost.hits) == (50, 2)
    assert desk.azure.counters()["event_grid"]["delivered"] > 1_050


def test_a_webhook_that_is_down_for_a_scaled_minute_gets_every_alert_afterwards(desk: Desk) -> None:
    desk.door.shut = True
    alerter = desk.alerter()
    alerter.start()
    for one in swinging(20):
        alerter.observe(one)
    until = datetime.now(UTC) + timedelta(seconds=0.6)  # a minute, at the subscription's scale of 1 to 100
    while datetime.now(UTC) < until or desk.door.turned_away < 40:
        assert desk.azure.counters()["event_grid"].get("delivered", 0) == 0
    desk.door.shut = False
    found = desk.wait_for(40)
    assert (len(found), set(found.values())) == (40, {1})


def test_what_cannot_be_published_now_is_published_later_in_its_order(desk: Desk) -> None:
    refusal = desk.lab.faults.event_grid.refuse_publish(503, times=4)
    alerter = desk.alerter()
    alerter.start()
    for one in swinging(3):
        alerter.observe(one)
    desk.wait_for(6)
    assert refusal.hits == 4  # the SDK tries three more times by itself, and then the alerter
    assert [alert.what for alert in alerter.published] == ["fired", "resolved"] * 3


def test_who_was_killed_between_alert_and_publication_is_replaced_by_who_folds_the_history(desk: Desk) -> None:
    history = [sample(0, 61), sample(1, 0), sample(2, 61)]
    killed = desk.alerter()
    for one in history:
        killed.observe(one)  # never started: as if killed before its first look
    for _ in range(2):  # and the next one is killed, too, after it has published
        following = desk.alerter(history=history)
        following.start()
        following.stop()  # which publishes what waits
        found = desk.wait_for(1)
    assert list(found.items()) == [((f"staleness@{(START + timedelta(seconds=2)).isoformat()}", "fired"), 1)]


def test_a_key_that_is_not_the_topics_ends_the_alerter_and_says_so(desk: Desk) -> None:
    endpoint = desk.azure.topic_endpoint(desk.lab.name)
    with EventGridPublisherClient(endpoint, AzureKeyCredential("wrong")) as publisher:
        alerter = Alerter(publisher, Alerts([RULE]))
        alerter.start()
        alerter.observe(sample(0, 61))
        alerter.stop()
    assert isinstance(alerter.error, ClientAuthenticationError)
    assert alerter.published == []


def test_who_waits_for_alerts_is_told_what_the_alerter_failed_with(desk: Desk) -> None:
    with EventGridPublisherClient(desk.azure.topic_endpoint(desk.lab.name), AzureKeyCredential("wrong")) as publisher:
        alerter = desk.alerter(publisher)
        alerter.start()
        alerter.observe(sample(0, 61))
        with pytest.raises(AssertionError, match="ClientAuthenticationError"):
            desk.wait_for(1)


def test_the_webhook_lets_in_its_sender_and_alerts_and_nothing_else(desk: Desk) -> None:
    address = f"{desk.url}/api/alerts"
    with httpx.Client(trust_env=False, timeout=60) as http:
        assert (
            http.options(f"{address}?code=s3cret", headers={"WebHook-Request-Origin": "example.com"}).status_code == 400
        )
        allowed = http.options(f"{address}?code=s3cret", headers={"WebHook-Request-Origin": SENDER})
        assert (allowed.status_code, allowed.headers["WebHook-Allowed-Origin"]) == (200, SENDER)
        for code in ("", "?code=wrong"):
            assert http.options(address + code, headers={"WebHook-Request-Origin": SENDER}).status_code == 401
            assert http.post(address + code, json=[]).status_code == 401
        named = b'{"id": "1", "source": "s", "type": "t", "data": %s}'
        no_zone = b'{"alertId": "1", "rule": "r", "what": "fired", "at": %b, "beganAt": %b, "above": 1}'
        no_alerts = (b'{"rule": 1}', no_zone % (b'"2026-01-05T09:00:00"', b'"2026-01-05T09:00:00Z"'))
        for wrong in (b"{", b"7", b"[{}]", b"[" * 100_000, *(named % data for data in no_alerts)):
            answer = http.post(f"{address}?code=s3cret", content=wrong)
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert desk.handled() == Counter()


def test_what_the_database_cannot_take_now_comes_again(desk: Desk) -> None:
    fault = desk.lab.faults.cosmos.respond(429, operation="create", container="alerts", retry_after_ms=1, times=15)
    alerter = desk.alerter()
    alerter.start()
    alerter.observe(sample(0, 61))
    assert set(desk.wait_for(1).values()) == {1}
    assert fault.hits == 15  # ten tries of the SDK, then 429 to Event Grid, which delivers it again


def test_closing_the_lab_takes_its_topic_away(own_azure: LocalAzure, tmp_path: Path) -> None:
    with open_lab("05", target=embedded(own_azure, tmp_path)) as lab:
        lab.publisher()
        assert own_azure.topic_names() == [lab.name]
    assert own_azure.topic_names() == []


def test_on_azure_the_topic_is_the_one_of_the_environment() -> None:
    hub = "Endpoint=sb://h.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k"
    cosmos = "AccountEndpoint=https://a.documents.azure.com/;AccountKey=YQ=="
    named = {"COSMOS_CONNECTION": cosmos, "COSMOS_READONLY_CONNECTION": cosmos, "EVENTHUB_CONNECTION": hub}
    named |= {"EVENTHUB_NAME": "h", "READ_STORE_URL": "abfss://t"}
    endpoint = "https://t.westeurope-1.eventgrid.azure.net/api/events"
    told = azure_of({**named, "EVENTGRID_TOPIC_ENDPOINT": endpoint, "EVENTGRID_TOPIC_KEY": "k"})
    assert told is not None
    topic = told.topic("lab05")
    assert (topic.endpoint, topic.key) == (endpoint, "k")
    assert "k'" not in repr(topic)
    with pytest.raises(LocalOnly, match="az eventgrid event-subscription create"):
        told.here(NO_WEBHOOKS)
    without = azure_of(named)
    assert without is not None
    with pytest.raises(SettingsError, match="EVENTGRID_TOPIC_ENDPOINT"):
        without.topic("lab05")
    with pytest.raises(SettingsError, match="belong together"):
        azure_of({**named, "EVENTGRID_TOPIC_KEY": "k"})
