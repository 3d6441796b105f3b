"""One Cosmos DB account: its catalog and what can be done with documents. Knows nothing of HTTP.

How: every write becomes a step (or several) run by the store's writer; the answer carries the LSN that makes the
session token and the physical partition it happened in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localazure.cosmos import (
    batches,
    catalog_rows,
    charges,
    documents,
    feeds,
    past,
    sessions,
    steps,
    uniques,
    versions,
    writes,
)
from localazure.cosmos.catalog import Catalog
from localazure.cosmos.consistency import SESSION, STRONG
from localazure.cosmos.documents import Address, Conditions
from localazure.cosmos.drafts import read_json
from localazure.cosmos.errors import BadRequest, NotFound
from localazure.cosmos.expiry import Sweeper
from localazure.cosmos.feeds import Page, Slice
from localazure.cosmos.partitioning import KeyValues, canonical
from localazure.cosmos.queries import QueryAnswer, Scope, answer_query
from localazure.cosmos.ranges import partition_of
from localazure.cosmos.resources import Container
from localazure.cosmos.scans import ContainerScan
from localazure.cosmos.sql import limits
from localazure.cosmos.sql.watch import Watch
from localazure.cosmos.steps import Done, Step
from localazure.cosmos.store import Store
from localazure.cosmos.writes import Turn
from localazure.journal import Post

FILE_NAME = "cosmos.sqlite"


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reading request says of itself; `consistency` is the level it is served with."""

    session_token: str | None = None
    consistency: str = SESSION
    in_second_region: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One operation's result with the place in its container's history."""

    done: Done
    range_id: str
    lsn: int


class Account:
    """`consistency` is the account's default level. Raises: as `Journal`."""

    def __init__(
        self,
        data_dir: Path,
        post: Post,
        *,
        fixed_ranges: int | None,
        now: Callable[[], float],
        second_region_lag: Callable[[], float | None],
        consistency: str = SESSION,
    ) -> None:
        self.consistency = consistency
        schema = catalog_rows.SCHEMA + documents.SCHEMA + past.SCHEMA + uniques.SCHEMA + versions.SCHEMA
        self.store = Store(data_dir / FILE_NAME, schema, post, now)
        self.catalog = Catalog(self.store, fixed_ranges)
        self._sweeper = Sweeper()
        self._second_region_lag = second_region_lag

    @property
    def has_second_region(self) -> bool:
        return self._second_region_lag() is not None

    def resume(self) -> None:
        """Go on with what an earlier process left undone."""
        self.catalog.sweep()

    def forget(self) -> None:
        """Drop what is in memory only, as a crash would; the catalog comes back from the file."""
        self.catalog.reload()

    def leave(self) -> None:
        """Let what reads for long stop where it is."""
        self.store.leave()

    def close(self) -> None:
        self.store.close()

    async def run(self, container: Container, epk: str, step: Step) -> Outcome:
        """One step as a write of its own. Raises: what the step raises, `OwnerNotFound`."""
        now, past_seconds = self.store.now(), self._second_region_lag()

        def work(connection: sqlite3.Connection) -> tuple[Done, int]:
            turn = self._turn(connection, container, now, past_seconds)
            done = step(turn)
            self._sweeper.look(turn)
            return done, turn.lsn

        done, lsn = await self.store.write(work)
        return Outcome(done, partition_of(container.partitions, epk).id, lsn)

    async def run_batch(self, container: Container, key: KeyValues | None, body: bytes) -> tuple[list[Done], str, int]:
        """Raises: `BadRequest`, `BatchRefused`."""
        batch = batches.steps_of(container, key, read_json(body))
        now, past_seconds = self.store.now(), self._second_region_lag()

        def work(connection: sqlite3.Connection) -> tuple[list[Done], int]:
            turn = self._turn(connection, container, now, past_seconds)
            done = batches.run(turn, batch)
            self._sweeper.look(turn)
            return done, turn.lsn

        done, lsn = await self.store.write(work)
        return done, partition_of(container.partitions, container.key.effective_key(key or ())).id, lsn

    def _turn(
        self, connection: sqlite3.Connection, container: Container, now: float, past_seconds: float | None
    ) -> Turn:
        turn = Turn.take(connection, container.place, now, past_seconds)
        turn.watch = Watch(limits.LONGEST_PAGE_SECONDS, self.store.is_leaving)
        return turn

    def read_item(self, container: Container, address: Address, conditions: Conditions, reader: Reader) -> Outcome:
        """Raises: `NotFound`, `SessionNotAvailable`."""
        connection, moment = self.store.reader, self._moment(reader)
        lsn = documents.current_lsn(connection, container.number, moment)
        if reader.session_token:
            sessions.check(reader.session_token, lsn)
        row = documents.find(connection, container.place, address, self.store.now(), moment)
        if row is None:
            raise NotFound("Entity with the specified id does not exist in the system.")
        done = steps.read_outcome(row, conditions, reader.consistency)
        return Outcome(done, partition_of(container.partitions, address.epk).id, lsn)

    def id_of_rid(self, container: Container, rid: str) -> str:
        """Raises: `NotFound`."""
        id = documents.id_of_number(self.store.reader, container.place, rid)
        if id is None:
            raise NotFound("Entity with the specified resource id does not exist in the system.")
        return id

    async def delete_partition(self, container: Container, key: KeyValues) -> Outcome:
        """All documents of one partition key value."""
        epk, text = container.key.effective_key(key), canonical(key)

        def step(turn: Turn) -> Done:
            deleted = writes.delete_partition(turn, epk, text)
            return Done(steps.OK, None, max(1, deleted) * charges.METADATA_RU)

        return await self.run(container, epk, step)

    async def changes(
        self,
        container: Container,
        slice: Slice,
        reader: Reader,
        *,
        after_lsn: int,
        since: float | None,
        most_items: int,
    ) -> Page:
        now, moment = self.store.now(), self._moment(reader)
        return await self.store.read(
            lambda connection: feeds.changes(
                connection,
                container.place,
                slice,
                after_lsn=after_lsn,
                since=since,
                most_items=most_items,
                now=now,
                moment=moment,
            )
        )

    async def versions(self, container: Container, slice: Slice, *, after_lsn: int, most_items: int) -> Page:
        """Every version and every delete. Raises: `BadRequest` where the container does not keep them."""
        if container.place.retention_seconds is None:
            raise BadRequest("The container has no change feed policy with a retention for all versions and deletes.")
        return await self.store.read(
            lambda connection: feeds.versions_of(
                connection, container, slice, after_lsn=after_lsn, most_items=most_items
            )
        )

    async def living(self, container: Container, scope: Scope, reader: Reader, *, after: int, most_items: int) -> Page:
        """Documents in the order of creation."""

        def work(connection: sqlite3.Connection) -> Page:
            return feeds.living(
                self._scan(container, connection, reader).scan(scope, str(after), None), after, most_items
            )

        return await self.store.read(work)

    async def query(self, container: Container, reader: Reader, headers: Mapping[str, str], body: bytes) -> QueryAnswer:
        """Raises: `QueryRefused`."""
        return await self.store.read(
            lambda connection: answer_query(
                self._scan(container, connection, reader), headers, body, self.store.is_leaving
            )
        )

    def lsn(self, container: Container, reader: Reader) -> int:
        """How far the replica that is asked has come. Raises: `SessionNotAvailable` if the reader has seen more."""
        lsn = documents.current_lsn(self.store.reader, container.number, self._moment(reader))
        sessions.check(reader.session_token, lsn)
        return lsn

    def _scan(self, container: Container, connection: sqlite3.Connection, reader: Reader) -> ContainerScan:
        return ContainerScan(container, connection, self.store.now(), self._moment(reader))

    def _moment(self, reader: Reader) -> float | None:
        """Which past state this reader sees; None: the present."""
        if not reader.in_second_region or reader.consistency == STRONG:
            return None
        lag = self._second_region_lag()
        return None if lag is None else self.store.now() - lag
