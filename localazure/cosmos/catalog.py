"""The databases, containers and offers of one account: kept in SQLite, held in memory.

Owns: their rows, their uniqueness, the cascade of a delete. Refuses to know: HTTP, documents.

How: reads are answered from memory; a change is written first and enters memory once it is on disk, in the order of the
commits. What a deleted container held is swept afterwards, a piece at a time, so that nobody waits for them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from localazure.cosmos import catalog_rows as rows
from localazure.cosmos import documents, ranges, resources, uniques, versions
from localazure.cosmos.errors import BadRequest, NotFound, OwnerNotFound
from localazure.cosmos.resources import Container, Database, Offer
from localazure.cosmos.store import Store
from localazure.journal import JournalClosed

DEFAULT_RU = 400
ROWS_PER_SWEEP = 2000


class Catalog:
    """`fixed_ranges`: how many physical partitions every container gets, instead of what its throughput needs."""

    def __init__(self, store: Store, fixed_ranges: int | None) -> None:
        self._store = store
        self._fixed_ranges = fixed_ranges
        self._sweeping: asyncio.Task[None] | None = None
        self.reload()

    def reload(self) -> None:
        """Forget what is in memory and read it from the file."""
        connection = self._store.reader
        self._databases: dict[str, Database] = {}
        self._containers: dict[tuple[str, str], Container] = {}
        self._offers: dict[str, Offer] = {}
        by_number: dict[int, Database] = {}
        for row in connection.execute("SELECT number, name, etag, ts FROM databases ORDER BY number"):
            database = by_number[row[0]] = Database(*row)
            self._databases[database.name] = database
        for row in connection.execute(
            "SELECT number, database, definition, etag, ts, partitions FROM containers ORDER BY number"
        ):
            number, owner, definition, etag, ts, partitions = row
            self._remember(
                Container.make(number, by_number[owner], json.loads(definition), etag, ts, ranges.from_json(partitions))
            )
        for row in connection.execute("SELECT number, resource_rid, resource_link, content, etag, ts FROM offers"):
            offer = Offer(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5])
            self._offers[offer.resource_rid] = offer

    # Reading, from memory.

    def databases(self) -> list[Database]:
        return list(self._databases.values())

    def database(self, name: str) -> Database:
        """By name or resource id. Raises: `NotFound`."""
        found = self._databases.get(name)
        if found is None:
            found = next((entry for entry in self._databases.values() if entry.rid == name), None)
        if found is None:
            raise NotFound("Resource Not Found: the database does not exist.")
        return found

    def containers(self, database: Database) -> list[Container]:
        return [container for (owner, _), container in self._containers.items() if owner == database.name]

    def container(self, database: str, name: str) -> Container:
        """Both by name or resource id. Raises: `OwnerNotFound` without its database, `NotFound`."""
        found = self._containers.get((database, name))
        if found is not None:
            return found
        try:
            owner = self.database(database)
        except NotFound:
            raise OwnerNotFound("Owner resource does not exist: the database.") from None
        for container in self.containers(owner):
            if name in (container.name, container.rid):
                return container
        raise NotFound("Resource Not Found: the container does not exist.")

    def offers(self) -> list[Offer]:
        return list(self._offers.values())

    def offer(self, rid: str) -> Offer:
        """Raises: `NotFound`."""
        for offer in self._offers.values():
            if offer.rid == rid:
                return offer
        raise NotFound("Resource Not Found: the offer does not exist.")

    def offer_of(self, container: Container) -> Offer | None:
        """The container's own throughput, else its database's."""
        return self._offers.get(container.rid) or self._offers.get(container.database.rid)

    def budget_of(self, container: Container) -> tuple[str, float]:
        """Whose request units an operation uses up (resource id), and how many a physical partition has per second.

        The containers that share their database's throughput lie in the same physical partitions.
        """
        offer = self.offer_of(container)
        if offer is None:
            return container.rid, DEFAULT_RU / len(container.partitions)
        return offer.resource_rid, offer.most_request_units / len(container.partitions)

    # Writing.

    async def create_database(self, name: str, throughput: Mapping[str, Any] | None) -> Database:
        """Raises: `Conflict`."""
        resources.check_name(name)
        etag, ts = rows.new_etag(), int(self._store.now())

        def work(connection: sqlite3.Connection) -> tuple[Database, Offer | None]:
            number = rows.insert(
                connection, "INSERT INTO databases (name, etag, ts) VALUES (?, ?, ?)", (name, etag, ts), "database"
            )
            database = Database(number, name, etag, ts)
            offer = rows.insert_offer(connection, database.rid, f"dbs/{database.rid}/", throughput, ts)
            return database, offer

        database, offer = await self._store.write(work)
        self._databases[name] = database
        if offer is not None:
            self._offers[offer.resource_rid] = offer
        return database

    async def delete_database(self, name: str) -> None:
        """With all its containers. Raises: `NotFound`."""
        database = self.database(name)

        def work(connection: sqlite3.Connection) -> None:
            if not connection.execute("DELETE FROM databases WHERE number = ?", (database.number,)).rowcount:
                raise NotFound("Resource Not Found: the database does not exist.")
            numbers = connection.execute("SELECT number FROM containers WHERE database = ?", (database.number,))
            for (number,) in numbers.fetchall():
                rows.delete_container(connection, database, number)
            connection.execute("DELETE FROM offers WHERE resource_rid = ?", (database.rid,))

        await self._store.write(work)
        self._databases.pop(database.name, None)
        self._offers.pop(database.rid, None)
        for container in self.containers(database):  # also those that came while the deletion was on its way
            self._forget(container)
        self.sweep()

    async def create_container(
        self, database_name: str, wanted: Mapping[str, Any], throughput: Mapping[str, Any] | None
    ) -> Container:
        """Raises: `NotFound` without its database, `BadRequest`, `Conflict`."""
        database = self.database(database_name)
        definition = resources.container_definition(wanted)
        if throughput is None and database.rid not in self._offers:
            throughput = resources.manual_throughput(DEFAULT_RU)
        partitions = self._partitions_of_new(database, throughput)
        etag, ts = rows.new_etag(), int(self._store.now())

        def work(connection: sqlite3.Connection) -> tuple[Container, Offer | None]:
            if connection.execute("SELECT 1 FROM databases WHERE number = ?", (database.number,)).fetchone() is None:
                raise NotFound("Resource Not Found: the database does not exist.")
            number = rows.insert(
                connection,
                "INSERT INTO containers (database, name, definition, etag, ts, partitions) VALUES (?, ?, ?, ?, ?, ?)",
                (database.number, definition["id"], json.dumps(definition), etag, ts, ranges.as_json(partitions)),
                "container",
            )
            rows.begin_progress(connection, database, definition["id"], number)
            container = Container.make(number, database, definition, etag, ts, partitions)
            return container, rows.insert_offer(connection, container.rid, container.place.self_link, throughput, ts)

        container, offer = await self._store.write(work)
        self._remember(container)
        if offer is not None:
            self._offers[offer.resource_rid] = offer
        return container

    async def replace_container(self, current: Container, wanted: Mapping[str, Any]) -> Container:
        """Raises: `BadRequest`, `NotFound`."""
        definition = resources.container_definition(wanted)
        resources.check_replacement(current.definition, definition)
        ts = int(self._store.now())

        def work(connection: sqlite3.Connection) -> Container:
            replaced = rows.update_container(connection, current, ts, definition=definition)
            if replaced is None:
                raise NotFound("Resource Not Found: the container does not exist.")
            return replaced

        container = await self._store.write(work)
        self._remember(container)
        return container

    async def delete_container(self, container: Container) -> None:
        """Raises: `NotFound`."""

        def work(connection: sqlite3.Connection) -> None:
            if not rows.delete_container(connection, container.database, container.number):
                raise NotFound("Resource Not Found: the container does not exist.")

        await self._store.write(work)
        self._forget(container)
        self.sweep()

    async def replace_offer(self, rid: str, wanted: Mapping[str, Any], if_match: str | None) -> Offer:
        """With it, whatever has the offer splits as its throughput needs; nothing is ever merged.

        Raises: `NotFound`, `BadRequest`, `PreconditionFailed`.
        """
        current = self.offer(rid)
        content = wanted.get("content")
        if not isinstance(content, dict) or wanted.get("offerResourceId", current.resource_rid) != current.resource_rid:
            raise BadRequest("The offer's content is missing, or it belongs to another resource.")
        autoscale = content.get("offerAutopilotSettings")
        if bool(autoscale) != ("offerAutopilotSettings" in current.content):
            raise BadRequest("Changing between manual throughput and autoscale is not supported by this account.")
        new = resources.autoscale_throughput(autoscale) if autoscale else _manual(content)
        offer = Offer(
            current.number, current.resource_rid, current.resource_link, new, rows.new_etag(), int(self._store.now())
        )

        fewest = self._fixed_ranges or ranges.count_for(offer.most_request_units)
        splitting = [one for one in self._containers.values() if self.offer_of(one) is current]

        def work(connection: sqlite3.Connection) -> list[Container | None]:
            rows.replace_offer(connection, offer, if_match)
            return [
                rows.update_container(connection, one, offer.ts, fewest_partitions=fewest)
                for one in splitting
                if len(one.partitions) < fewest
            ]

        changed = await self._store.write(work)
        self._offers[offer.resource_rid] = offer
        for container in changed:
            if container is not None:
                self._remember(container)
        return offer

    def sweep(self) -> None:
        """Start deleting the documents of deleted containers, unless that is under way."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT container FROM condemned LIMIT 1").fetchone()
            if row is None:
                return False
            for table in (documents, uniques, versions):
                if table.sweep_container(connection, row[0], ROWS_PER_SWEEP):
                    return True
            connection.execute("DELETE FROM condemned WHERE container = ?", row)
            return True

        remain = True
        with suppress(JournalClosed):  # the next start goes on with it
            while remain:
                remain = await self._store.write(work)

    def _partitions_of_new(self, database: Database, throughput: Mapping[str, Any] | None) -> ranges.Partitions:
        """As many as its own throughput needs; without one, those of the containers that share their database's."""
        shared = self._offers.get(database.rid) if throughput is None else None
        if shared is None:
            return ranges.equal_slices(self._fixed_ranges or ranges.count_for(_most(throughput)))
        for container in self.containers(database):
            if self.offer_of(container) is shared:
                return container.partitions
        return ranges.equal_slices(self._fixed_ranges or ranges.count_for(shared.most_request_units))

    def _remember(self, container: Container) -> None:
        self._containers[container.database.name, container.name] = container

    def _forget(self, container: Container) -> None:
        self._containers.pop((container.database.name, container.name), None)
        self._offers.pop(container.rid, None)


def _most(throughput: Mapping[str, Any] | None) -> int:
    if throughput is None:
        return DEFAULT_RU
    autoscale = throughput.get("offerAutopilotSettings")
    return int(autoscale["maxThroughput"] if autoscale else throughput["offerThroughput"])


def _manual(content: Mapping[str, Any]) -> dict[str, Any]:
    return resources.manual_throughput(content.get("offerThroughput"))
