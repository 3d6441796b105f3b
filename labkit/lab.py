"""`open_lab("03")`: a database, a hub and a folder of tables of its own for one notebook, and clients by role.

Owns: names, the making and deleting of what the notebook uses, and every client it has handed out.
Refuses to know: what is in the containers.

Locally the database and the hub are made on opening, named `lab03-<random>`, and deleted by `close`. On Azure both
exist beforehand: the containers get the random name instead, and reading begins at the hub's end as found on opening;
tables written to a data lake stay there.

A kernel that ends without `close` closes its labs on its way out. What a killed one leaves behind is deleted when the
next lab is opened here (`owners`); on Azure its containers stay.

A lab that is `attached_to` one that is open gives another process the same clients; it makes and deletes nothing
(`verbs.attaching`).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import secrets
import shutil
import ssl
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import certifi
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.eventhub import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumer

from labkit import owners, settings
from labkit.clock import SteppingClock
from labkit.documents import client_of
from labkit.settings import Role, Target

if TYPE_CHECKING:
    from azure.eventgrid import EventGridPublisherClient
    from starlette.types import ASGIApp

    from labkit.serving import Serving
    from localazure.faults import Faults

log = logging.getLogger(__name__)


@cache
def trust() -> ssl.SSLContext:
    """What all asyncio clients trust. Left alone, the SDK reads the certificates anew for each connection, some 30 ms
    in which nothing else runs, even where no TLS is spoken."""
    return ssl.create_default_context(cafile=certifi.where())


CONTAINERS: Mapping[str, str] = {
    "write-model": "/aggregateId",
    "parked-events": "/aggregateId",
    "query-model": "/customerId",
    "relay-state": "/id",
    "ownership": "/scope",
    "alerts": "/alertId",
}
"""Container -> partition key path. All of them let single documents expire, none expires by default."""

CONSUMER_GROUPS = ("monitor", "lessons")
"""Beside `$Default`, which the projector reads with."""


class Lab(contextlib.AbstractContextManager["Lab"]):
    """What a notebook works with. Use as a context manager, or call `close` at the end; closing twice is fine."""

    def __init__(
        self, number: str, target: Target, *, seed: int = 7, partitions: int = 4, attached_to: str | None = None
    ) -> None:
        self.number = number
        self.seed = seed
        self.clock = SteppingClock()
        self.name = attached_to or f"lab{number}-{secrets.token_hex(4)}"
        """What tells this lab from others that are open: `lab03-<random>`."""
        self._target = target
        self._database = target.database or self.name
        self._patience: Mapping[str, Any] = {} if target.local else {"read_timeout": 65.0}
        """For making and deleting containers, which Azure may take longer for than for documents: the SDK's own."""
        self._attached = attached_to is not None
        self._cosmos: dict[Role, CosmosClient] = {}
        self._closers: list[Callable[[], object]] = []
        self._closed = False
        self._owned = owners.own(target.owners, self.name) if target.owners and not self._attached else None
        atexit.register(self._close_at_exit)
        self.hub = target.hub or self.name
        self.tables_url = f"{target.tables_root}/{self.name}"
        try:
            if not self._attached:
                if target.owners:
                    owners.sweep(target.owners, self._delete_what_is_left_of)
                self._make_containers()
                if target.local:
                    target.local.create_event_hub(self.hub, partitions, CONSUMER_GROUPS)
            self.partition_ids, self.start_positions = self._partitions(partitions)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self.close()
            raise

    @property
    def target(self) -> str:
        """ "the embedded Azure" or "Azure"."""
        return self._target.name

    @property
    def faults(self) -> Faults:
        """Faults on purpose, in this lab's database and hub alone: another notebook may be running beside it.

        Raises: `LocalOnly` on Azure, saying how to provoke the same there.
        """
        faults = self._target.here(settings.NO_FAULTS).faults
        return faults.within(database=self._database, hub=self.hub, topic=self.name)

    def database(self, role: str) -> DatabaseProxy:
        """The notebook's database, through a client with the role's key; one client per role."""
        return self._client(settings.the_role(role)).get_database_client(self._database)

    def container(self, name: str, role: str) -> ContainerProxy:
        """Raises: `LookupError` for a container that the lab does not have."""
        if name not in CONTAINERS:
            raise LookupError(f"no container {name!r}; the lab has {', '.join(CONTAINERS)}")
        return self.database(role).get_container_client(self._container_name(name))

    def producer(self, role: str = "relay", **options: Any) -> EventHubProducerClient:
        """A new client for sending. Raises: `RoleError` for a role that may not send."""
        connection = self._target.event_hubs_for(settings.the_role(role), "send")
        client = EventHubProducerClient.from_connection_string(connection, eventhub_name=self.hub, **options)
        self._closers.append(client.close)
        return client

    def consumer(self, role: str = "projector", group: str = "$Default", **options: Any) -> EventHubConsumerClient:
        """A new client for receiving. Raises: `RoleError` for a role that may not listen."""
        connection = self._target.event_hubs_for(settings.the_role(role), "listen")
        client = EventHubConsumerClient.from_connection_string(connection, group, eventhub_name=self.hub, **options)
        self._closers.append(client.close)
        return client

    def async_consumer(self, role: str = "projector", group: str = "$Default", **options: Any) -> AsyncConsumer:
        """As `consumer`, for asyncio; who asks closes it."""
        connection = self._target.event_hubs_for(settings.the_role(role), "listen")
        options = {"eventhub_name": self.hub, "ssl_context": trust(), **options}
        return AsyncConsumer.from_connection_string(connection, group, **options)

    def publisher(self) -> EventGridPublisherClient:
        """A new client for the topic that alerts go to: this lab's own, or the one that the environment names.

        Raises: `SettingsError` on Azure if it names none.
        """
        from azure.core.credentials import AzureKeyCredential
        from azure.eventgrid import EventGridPublisherClient

        topic = self._target.topic(self.name)
        client = EventGridPublisherClient(topic.endpoint, AzureKeyCredential(topic.key))
        self._closers.append(client.close)
        return client

    def subscribe(self, url: str, name: str = "webhook", **policy: Any) -> None:
        """Have this webhook get what is published from now on (`policy`: see `LocalAzure.subscribe_webhook`).

        Raises: `LocalOnly` on Azure, saying how it is done there.
        """
        azure = self._target.here(settings.NO_WEBHOOKS)
        azure.create_topic(self.name)
        azure.subscribe_webhook(self.name, name, url, **policy)

    def serve(self, app: ASGIApp) -> Serving:
        """This app on the loopback interface, until its `stop` or `close` here."""
        from labkit.serving import Serving

        serving = Serving(app)
        self._closers.append(serving.stop)
        serving.start()
        return serving

    def close(self) -> None:
        """Close the clients and delete what was made on opening; what is left after an error, the next lab deletes."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        with contextlib.ExitStack() as stack:
            if self._owned:
                stack.push(self._owned.__exit__)
            stack.callback(self._target.detach)
            for client in self._cosmos.values():
                stack.callback(client.close)
            if not self._attached:
                stack.callback(self._delete_containers if self._target.database else self._delete, self.name)
            for closer in self._closers:
                stack.callback(closer)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _client(self, role: Role) -> CosmosClient:
        if role not in self._cosmos:
            self._cosmos[role] = client_of(self._target.cosmos_for(role))
        return self._cosmos[role]

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except Exception as error:  # nobody is left to handle it; the next lab finds what could not be deleted
            log.warning("closing lab %s at the end of the process: %r", self.name, error)

    def _delete_what_is_left_of(self, name: str) -> bool:
        """Whether nothing is left of the lab of this name, whose process has ended."""
        try:
            self._delete(name)
        except (AzureError, RuntimeError) as error:
            log.warning("lab %s was left behind, and cannot be deleted yet: %r", name, error)
            return False
        return True

    def _delete(self, name: str) -> None:
        """All that a lab of this name made, where labs make what they use."""
        if azure := self._target.local:
            if name in azure.topic_names():
                azure.delete_topic(name)
            if name in azure.event_hub_names():
                azure.delete_event_hub(name)
        with contextlib.suppress(CosmosResourceNotFoundError):
            self._client(Role.COMMAND).delete_database(name)
        shutil.rmtree(f"{self._target.tables_root}/{name}", ignore_errors=True)

    def _delete_containers(self, name: str) -> None:
        """Of the lab of this name, in the database that all labs share."""
        database = self.database(Role.COMMAND)
        for container in CONTAINERS:
            with contextlib.suppress(CosmosResourceNotFoundError):
                database.delete_container(f"{name}-{container}", **self._patience)

    def _container_name(self, name: str) -> str:
        return name if self._target.database is None else f"{self.name}-{name}"

    def _make_containers(self) -> None:
        database = self._client(Role.COMMAND).create_database_if_not_exists(self._database)
        for name, path in CONTAINERS.items():
            database.create_container(self._container_name(name), PartitionKey(path), default_ttl=-1, **self._patience)

    def _partitions(self, partitions: int) -> tuple[tuple[str, ...], dict[str, int]]:
        """Hub partition ids and the last sequence number of each, -1 if it never had any, as in a hub made on opening.

        Attached to a lab on Azure, the ends are those of now: where that lab began is not known.
        """
        if self._target.hub is None and not self._attached:
            ids = tuple(str(number) for number in range(partitions))
            return ids, dict.fromkeys(ids, -1)
        with self.consumer(Role.MONITOR, "monitor") as consumer:
            ids = tuple(consumer.get_partition_ids())
            if self._target.hub is None:
                return ids, dict.fromkeys(ids, -1)
            ends = {p: consumer.get_partition_properties(p) for p in ids}
        if len(ids) != partitions and not self._attached:
            warnings.warn(f"the hub has {len(ids)} partitions, the lesson asked for {partitions}", stacklevel=3)
        return ids, {p: int(end["last_enqueued_sequence_number"]) for p, end in ends.items()}


def open_lab(number: str, *, seed: int = 7, partitions: int = 4, target: Target | None = None) -> Lab:
    """The lab of one notebook, on the Azure that the environment names (`target`: on this one instead).

    Raises: `SettingsError` if the environment names some connections, but not all.
    """
    return Lab(number, target or settings.target(), seed=seed, partitions=partitions)
