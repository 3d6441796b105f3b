"""Who may do what: policies, SAS and bearer tokens, checked at `$cbs` and at every link, in the SDK's own errors."""

from __future__ import annotations

import threading
import time

import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub._client_base import _generate_sas_token
from azure.eventhub.exceptions import AuthenticationError, ConnectionLostError

import localazure
from localazure.handle import LocalAzure

ONCE = {"retry_total": 0, "socket_timeout": 0.02}


def _producer(connection_string: str, hub: str) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(connection_string, eventhub_name=hub, **ONCE)


def _send_error(connection_string: str, hub: str) -> Exception:
    with _producer(connection_string, hub) as producer, pytest.raises(Exception, match=r".") as refused:
        producer.send_batch([EventData("refused")])
    return refused.value


def test_a_wrong_key_is_refused_at_cbs_with_401(azure: LocalAzure, shelf: str) -> None:
    right = azure.keys.event_hubs["send"]
    error = _send_error(azure.event_hubs_connection_string_for("send").replace(right, "d3Jvbmc="), shelf)
    assert isinstance(error, AuthenticationError)
    assert "Status code: 401" in str(error)
    assert "InvalidSignature" in str(error)


def test_an_unknown_policy_is_refused_at_cbs_with_401(azure: LocalAzure, shelf: str) -> None:
    text = azure.event_hubs_connection_string_for("send").replace("KeyName=send", "KeyName=nobody")
    assert "Status code: 401" in str(_send_error(text, shelf))


def test_an_unknown_hub_is_refused_at_cbs_with_404(azure: LocalAzure) -> None:
    error = _send_error(azure.event_hubs_connection_string_for("send"), "no-such-hub")
    assert isinstance(error, AuthenticationError)
    assert "Status code: 404" in str(error)


def test_listen_does_not_send(azure: LocalAzure, shelf: str) -> None:
    error = _send_error(azure.event_hubs_connection_string_for("listen"), shelf)
    assert isinstance(error, ConnectionLostError)
    assert "amqp:unauthorized-access" in str(error)
    assert "'Send' claim(s) are required" in str(error)


def test_send_does_not_listen(shelf: str, read) -> None:
    with pytest.raises(ConnectionLostError, match=r"'Listen' claim\(s\) are required"):
        read(shelf, 1, partition_id="0", policy="send", retry_total=0)


def test_manage_and_the_root_policy_do_both(azure: LocalAzure, hub: str, read) -> None:
    for policy in ("manage", "RootManageSharedAccessKey"):
        with _producer(azure.event_hubs_connection_string_for(policy), hub) as producer:
            producer.send_batch([EventData(policy)], partition_id="0")
    assert [event.body_as_str() for event in read(hub, 2, partition_id="0", policy="manage")] == [
        "manage",
        "RootManageSharedAccessKey",
    ]


def _sas(azure: LocalAzure, hub: str, audience_hub: str, expires: int) -> EventHubProducerClient:
    host = f"127.0.0.1:{azure.eventhubs_port}"
    token = _generate_sas_token(
        f"sb://{host}/{audience_hub}", "send", azure.keys.event_hubs["send"], expires - int(time.time())
    )
    return EventHubProducerClient(host, hub, AzureSasCredential(token.token), use_tls=False, **ONCE)


def test_a_sas_token_is_good_for_its_audience_only(azure: LocalAzure, shelf: str, hub: str) -> None:
    soon = int(time.time()) + 600
    with _sas(azure, hub, hub, soon) as producer:
        producer.send_batch([EventData("mine")])
    with _sas(azure, shelf, hub, soon) as producer, pytest.raises(AuthenticationError, match="InvalidAudience"):
        producer.send_batch([EventData("not mine")])


def test_a_token_that_has_expired_is_refused(azure: LocalAzure, hub: str) -> None:
    with _sas(azure, hub, hub, int(time.time()) - 1) as producer, pytest.raises(Exception, match="xpired"):
        producer.send_batch([EventData("late")])


class _Static:
    """A credential that always has the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3_600)


def test_the_bearer_token_a_server_was_started_with_is_accepted_and_no_other(tmp_path_factory) -> None:
    with localazure.start(tmp_path_factory.mktemp("bearer"), bearer_token="let me in") as azure:
        azure.create_event_hub("orders", 1)
        host = f"127.0.0.1:{azure.eventhubs_port}"
        with EventHubProducerClient(host, "orders", _Static("let me in"), use_tls=False, **ONCE) as producer:
            producer.send_batch([EventData("welcome")])
        with (
            EventHubProducerClient(host, "orders", _Static("guess"), use_tls=False, **ONCE) as producer,
            pytest.raises(AuthenticationError, match="Status code: 401"),
        ):
            producer.send_batch([EventData("stranger")])


def test_when_the_token_expires_its_links_are_dropped(azure: LocalAzure, hub: str) -> None:
    host = f"127.0.0.1:{azure.eventhubs_port}"
    token = _generate_sas_token(f"sb://{host}/{hub}", "listen", azure.keys.event_hubs["listen"], 3)
    consumer = EventHubConsumerClient(host, hub, "$Default", AzureSasCredential(token.token), use_tls=False, **ONCE)
    errors: list[Exception] = []
    failed = threading.Event()

    def on_error(_, error: Exception) -> None:
        errors.append(error)
        failed.set()

    thread = threading.Thread(
        target=consumer.receive,
        args=(lambda *_: None,),
        kwargs={"on_error": on_error, "partition_id": "0"},
        daemon=True,
    )
    thread.start()
    assert failed.wait(20)
    consumer.close()
    thread.join(20)
    assert "xpired" in str(errors[0])
