"""`LocalAzure`: what a program holds of a running embedded Azure, in this process or in the daemon.

Owns: connection strings, the control route seen from the client, closing. The same for both kinds of server, so that a
test against a private one proves what a notebook does with the shared one.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from localazure.errors import ControlRefused, NotRunning
from localazure.faults import Faults
from localazure.keys import ROOT_POLICY, Keys

LOOPBACK = "127.0.0.1"
CONTROL_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Calls the control route. Each call is one short connection, never through a proxy."""

    port: int
    token: str = field(repr=False)

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer. Raises: `ControlRefused` with the route's sentence, `NotRunning` when nobody listens."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=CONTROL_TIMEOUT_SECONDS)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(
                f"The embedded Azure does not answer ({error}); start it with `python lab.py up`."
            ) from error
        finally:
            connection.close()
        try:
            answer = json.loads(content)
        except ValueError:
            sentence = f"the control route answered {response.status} without JSON; see localazure.log"
            raise ControlRefused(response.status, sentence) from None
        if response.status >= 400:
            raise ControlRefused(response.status, str(answer["error"]))
        return answer


@dataclass(slots=True)
class LocalAzure:
    """A running embedded Azure. `close()` (or leaving `with`) stops a private server, detaches from a shared one."""

    cosmos_port: int
    eventhubs_port: int
    control: ControlClient
    keys: Keys = field(repr=False)
    _on_close: Callable[[], None] | None = field(default=None, repr=False)
    certificate: Path | None = None
    """Served over TLS: what clients are to trust (`connection_verify`)."""
    eventgrid_port: int = 0

    @property
    def cosmos_endpoint(self) -> str:
        if self.certificate is not None:
            return f"https://localhost:{self.cosmos_port}/"
        return f"http://{LOOPBACK}:{self.cosmos_port}/"

    @property
    def event_hubs_endpoint(self) -> str | None:
        """Over TLS the SDKs leave a connection string's port out: give this as `custom_endpoint_address`."""
        return None if self.certificate is None else f"sb://localhost:{self.eventhubs_port}"

    @property
    def cosmos_connection_string(self) -> str:
        """For `CosmosClient.from_connection_string`: reads and writes."""
        return f"AccountEndpoint={self.cosmos_endpoint};AccountKey={self.keys.cosmos_read_write};"

    @property
    def cosmos_read_only_connection_string(self) -> str:
        """The same account with its read-only key: a write is answered with 403."""
        return f"AccountEndpoint={self.cosmos_endpoint};AccountKey={self.keys.cosmos_read_only};"

    @property
    def event_hubs_connection_string(self) -> str:
        """The whole namespace with every right (Azure's root policy)."""
        return self.event_hubs_connection_string_for(ROOT_POLICY)

    def event_hubs_connection_string_for(self, policy: str) -> str:
        """With the rights of one policy: `send`, `listen` or `manage`. Raises: `LookupError` for any other name."""
        if policy not in self.keys.event_hubs:
            raise LookupError(f"no policy {policy!r}; there are: {', '.join(sorted(self.keys.event_hubs))}")
        key = f"SharedAccessKeyName={policy};SharedAccessKey={self.keys.event_hubs[policy]}"
        if self.certificate is not None:
            return f"Endpoint=sb://localhost/;{key}"
        return f"Endpoint=sb://{LOOPBACK}:{self.eventhubs_port};{key};UseDevelopmentEmulator=true"

    def topic_endpoint(self, topic: str) -> str:
        """For `EventGridPublisherClient`. On Azure a topic is a host, here the beginning of the path."""
        host = f"http://{LOOPBACK}" if self.certificate is None else "https://localhost"
        return f"{host}:{self.eventgrid_port}/{topic}/api/events"

    def topic_key(self, topic: str) -> str:
        """For `AzureKeyCredential`."""
        return self.keys.topic_key(topic)

    def create_topic(self, topic: str) -> None:
        """Make an Event Grid topic, unless it is there. Raises: `ControlRefused` for a name that is none."""
        self.control("POST", "/topics", {"name": topic})

    def delete_topic(self, topic: str) -> None:
        """With its subscriptions and what waits for them. Raises: `ControlRefused` (404) when there is none."""
        self.control("DELETE", f"/topics/{quote(topic, safe='')}")

    def topic_names(self) -> list[str]:
        names: list[str] = self.control("GET", "/topics")
        return names

    def subscribe_webhook(self, topic: str, name: str, endpoint: str, **policy: Any) -> None:
        """Have a webhook on this machine get what is published from now on, after the validation handshake.

        `policy`: `max_attempts`, `ttl_seconds`, `dead_letter`, `max_events_per_batch` as on Azure, and `time_scale`,
        which shortens every wait. Raises: `ControlRefused` where Azure refuses, or the handshake fails.
        """
        body = {"name": name, "endpoint": endpoint, "policy": policy}
        self.control("POST", f"/topics/{quote(topic, safe='')}/subscriptions", body)

    def dead_letters(self, topic: str, subscription: str) -> list[dict[str, Any]]:
        """What was given up, oldest first: each event with the reason as further attributes."""
        path = f"/topics/{quote(topic, safe='')}/subscriptions/{quote(subscription, safe='')}/dead-letters"
        letters: list[dict[str, Any]] = self.control("GET", path)
        return letters

    def create_event_hub(self, name: str, partition_count: int, consumer_groups: Sequence[str] = ()) -> None:
        """Make a hub with these consumer groups besides `$Default`. Raises: `ControlRefused` where Azure refuses."""
        body = {"name": name, "partition_count": partition_count, "consumer_groups": list(consumer_groups)}
        self.control("POST", "/hubs", body)

    def delete_event_hub(self, name: str) -> None:
        """Remove a hub with its events. Raises: `ControlRefused` (404) when there is none."""
        self.control("DELETE", f"/hubs/{quote(name, safe='')}")

    def event_hub_names(self) -> list[str]:
        names: list[str] = self.control("GET", "/hubs")
        return names

    def counters(self) -> dict[str, dict[str, int]]:
        """What each service has done since it started, by service and name of the counter."""
        counters: dict[str, dict[str, int]] = self.control("GET", "/counters")
        return counters

    @property
    def faults(self) -> Faults:
        """Faults on purpose: `faults.cosmos...`, `faults.event_hubs...`, `faults.event_grid...`."""
        return Faults(self.control)

    def close(self) -> None:
        """Stop a private server, detach from a shared one. Twice is as good as once."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def __enter__(self) -> LocalAzure:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
