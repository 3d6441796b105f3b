"""Who may do what: policies, SAS and bearer tokens, checked at `$cbs` and at every link, in the SDK's own errors."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectionLostError

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


def _token(azure: LocalAzure, policy: str, audience_hub: str, lifetime_seconds: int) -> AzureSasCredential:
    resource = quote_plus(f"sb://127.0.0.1:{azure.eventhubs_port}/{audience_hub}")
    expires = int(time.time()) + lifetime_seconds
    digest = hmac.digest(azure.keys.event_hubs[policy].encode(), f"{resource}\n{expires}".encode(), "sha256")
    signature = quote_plus(base64.b64encode(digest))
    return AzureSasCredential(f"SharedAccessSignature sr={resource}&sig={signature}&se={expires}&skn={policy}")


def _sas_producer(azure: LocalAzure, hub: str, audience_hub: str, lifetime_seconds: int) -> EventHubProducerClient:
    host = f"127.0.0.1:{azure.eventhubs_port}"
    credential = _token(azure, "send", audience_hub, lifetime_seconds)
    return EventHubProducerClient(host, hub, credential, use_tls=False, **ONCE)


def test_a_sas_token_is_good_for_its_audience_only(azure: LocalAzure, shelf: str, hub: str) -> None:
    with _sas_producer(azure, hub, hub, 600) as producer:
        producer.send_batch([EventData("mine")])
    with _sas_producer(azure, shelf, hub, 600) as producer, pytest.raises(AuthenticationError, match="InvalidAudience"):
        producer.send_batch([EventData("not mine")])


def test_a_token_that_has_expired_is_refused(azure: LocalAzure, hub: str) -> None:
    with _sas_producer(azure, hub, hub, -1) as producer, pytest.raises(Exception, match="xpired"):
        producer.send_batch([EventData("late")])


class _Static:
    """A credential that always has the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3_600)


def test_the_bearer_token_a_server_was_started_with_is_accepted_and_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(tmp_path), "--hub", "orders:1"]
    process = subprocess.Popen([*command, "--bearer-token", "let me in"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        host = f"127.0.0.1:{json.loads(process.stdout.readline())['eventhubs_port']}"
        with EventHubProducerClient(host, "orders", _Static("let me in"), use_tls=False, **ONCE) as producer:
            producer.send_batch([EventData("welcome")])
        with (
            EventHubProducerClient(host, "orders", _Static("guess"), use_tls=False, **ONCE) as producer,
            pytest.raises(AuthenticationError, match="Status code: 401"),
        ):
            producer.send_batch([EventData("stranger")])
    finally:
        process.terminate()
        process.wait(20)


def test_when_the_token_expires_its_links_are_dropped(azure: LocalAzure, hub: str) -> None:
    host = f"127.0.0.1:{azure.eventhubs_port}"
    credential = _token(azure, "listen", hub, 3)
    consumer = EventHubConsumerClient(host, hub, "$Default", credential, use_tls=False, **ONCE)
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
