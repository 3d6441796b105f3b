"""A container as queries see it: `localazure.cosmos.queries.QueriedContainer` over one reading connection.

How: a scan is one SQLite statement, read row by row, so it is lazy and sees one committed state. Its position is the
row number, which follows creation and never changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localazure.cosmos import past
from localazure.cosmos.documents import SEQUENCE_BITS, has_expired
from localazure.cosmos.partitioning import canonical
from localazure.cosmos.queries import KeyRange, Prefilter, Scope, Stored
from localazure.cosmos.resources import Container


@dataclass(frozen=True, slots=True)
class ContainerScan:
    """`container` through `connection`; `now` decides what has expired, `moment` (if any) which past state is seen."""

    container: Container
    connection: sqlite3.Connection
    now: float
    moment: float | None = None

    @property
    def rid(self) -> str:
        return self.container.rid

    @property
    def partition_key_paths(self) -> Sequence[str]:
        paths: list[str] = self.container.definition["partitionKey"]["paths"]
        return paths

    @property
    def indexing_policy(self) -> Mapping[str, Any]:
        policy: Mapping[str, Any] = self.container.definition["indexingPolicy"]
        return policy

    def ranges(self) -> Sequence[KeyRange]:
        return [KeyRange(part.id, part.minimum, part.maximum) for part in self.container.partitions]

    def effective_key(self, values: Sequence[Any]) -> str:
        return self.container.key.effective_key(values)

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        number, place = self.container.number, self.container.place
        where = ["number > ?", "number < ?"]
        first = (number << SEQUENCE_BITS) - 1
        values: list[Any] = [first if after is None else max(first, int(after)), number + 1 << SEQUENCE_BITS]
        source = past.source(self.moment)
        if scope.partition_key is not None:
            where = ["container = ?", "epk = ?", "key = ?", *where]
            values = [number, scope.minimum, canonical(scope.partition_key), *values]
        else:
            where += ["epk >= ?", "epk < ?"]
            values += [scope.minimum, scope.maximum]
        if prefilter is not None:
            source = f"(SELECT number, container, epk, key, id, ts, ttl, CAST(body AS TEXT) AS body FROM {source})"
            where.append(f"({prefilter.condition})")
            values += prefilter.arguments
        rows = self.connection.execute(
            f"SELECT number, ts, ttl, body FROM {source} WHERE {' AND '.join(where)} ORDER BY number", values
        )
        try:
            for row, ts, ttl, body in rows:
                if not has_expired(place, ts, ttl, self.now):
                    yield Stored(str(row), body)
        finally:
            rows.close()
