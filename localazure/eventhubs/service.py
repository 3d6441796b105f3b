"""Event Hubs as one object: hubs, and a connection per client.

Owns: creating and deleting hubs, the service's clock, keys and faults, and what was counted. Refuses to know: sockets;
whoever owns one moves its bytes through a `Doorway`.

How: everything but `create_hub` and `delete_hub` is called from one thread, the one that `post` calls back on; so does
`soon`, which only that thread itself calls.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from localazure.eventhubs.connection import HubConnection
from localazure.eventhubs.doorway import Doorway
from localazure.eventhubs.hub import Hub, check_new_hub
from localazure.eventhubs.log import DEFAULT_RETENTION_HOURS, Log
from localazure.eventhubs.refusals import EntityGone
from localazure.eventhubs.retention import Retention
from localazure.eventhubs.world import World
from localazure.fault_book import FaultBook
from localazure.journal import Post

FILE_NAME = "events.sqlite"


class EventHubs:
    """One Event Hubs namespace on disk below `data_dir`. `keys`: policy name -> key."""

    def __init__(
        self,
        data_dir: Path,
        *,
        keys: Mapping[str, str],
        post: Post,
        soon: Post | None = None,
        faults: FaultBook,
        now: Callable[[], float] = time.time,
        bearer_token: str | None = None,
    ) -> None:
        self._post = post
        self._log = Log(data_dir / FILE_NAME, post, soon or post)
        self._world = World(self._log, keys, bearer_token, now, faults)
        for record in self._log.hubs():
            hub = Hub.from_record(record, self._log.tail)
            self._world.hubs[hub.key] = hub
        self._retention = Retention(self._world)
        self._container_id = f"localazure-{uuid.uuid4().hex[:12]}"
        self._connections: set[Doorway] = set()

    def connect(self, wake: Callable[[], None]) -> Doorway:
        """A new client. `wake` is called when there is something to send that no call has asked for."""
        inner = HubConnection(self._world, self._retention, self._container_id, wake)
        connection = Doorway(inner, self._connections.discard)
        self._connections.add(connection)
        return connection

    def create_hub(
        self,
        name: str,
        partition_count: int,
        consumer_groups: Sequence[str] = (),
        *,
        retention_hours: float = DEFAULT_RETENTION_HOURS,
        retention_bytes: int | None = None,
    ) -> Hub:
        """Durable when it returns. Raises: `ValueError` for a taken name, and for what Azure does not allow."""
        check_new_hub(name, partition_count, consumer_groups)
        if name.lower() in self._world.hubs:
            raise ValueError(f"the hub {name!r} exists")
        try:
            record = self._log.create_hub(
                name,
                partition_count,
                tuple(consumer_groups),
                created_ms=int(self._world.now() * 1000),
                retention_ms=int(retention_hours * 3_600_000),
                retention_bytes=retention_bytes,
            )
        except sqlite3.IntegrityError:
            raise ValueError(f"the hub {name!r} exists") from None
        hub = Hub.from_record(record, self._log.tail)
        self._world.hubs[hub.key] = hub
        return hub

    def ensure_hub(self, name: str, partition_count: int) -> None:
        """Create the hub unless it exists: for a server that is started again with the same options.

        Raises: `ValueError` if it exists with another number of partitions, which cannot be changed.
        """
        hub = self._world.hubs.get(name.lower())
        if hub is None:
            self.create_hub(name, partition_count)
        elif len(hub.partitions) != partition_count:
            raise ValueError(f"the hub {name!r} exists with {len(hub.partitions)} partitions, not {partition_count}")

    def delete_hub(self, name: str) -> None:
        """Durable when it returns; its links are detached. Raises: `EntityNotFound`, a `LookupError`."""
        hub = self._world.hub(name)
        self._log.drop_hub(hub.record)
        self._world.hubs.pop(hub.key, None)
        self._post(lambda: self._end_links(hub))

    def end_retention(self, name: str) -> int:
        """Remove what the hub holds, durably, as when its retention has ended; how many events. Links stay.

        Raises: `EntityNotFound`, a `LookupError`.
        """
        return self._log.expire_all([partition.id for partition in self._world.hub(name).partitions])

    def hubs(self) -> list[Hub]:
        return sorted(self._world.hubs.values(), key=lambda hub: hub.key)

    def counters(self) -> dict[str, int]:
        """What was done since the start, and how many connections are open now."""
        return {**asdict(self._world.counters), "connections_open": len(self._connections)}

    def end_connections(self) -> None:
        """Close every connection: the service is stopping."""
        for connection in list(self._connections):
            connection.inner.shut_down()

    def close(self) -> None:
        """Finish what is being written. Connections must not be used any more."""
        self._log.close()

    def _end_links(self, hub: Hub) -> None:
        for connection in list(self._connections):
            connection.inner.end_links(hub, EntityGone(f"The messaging entity '{hub.name}' has been deleted."))
