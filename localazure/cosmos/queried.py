"""What a query needs of the container it asks: the seam between the query engine and the store.

Owns: the words of that seam. Refuses to know: SQL, SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class KeyRange(NamedTuple):
    """A physical partition: its id and its slice of effective partition keys, `minimum` <= key < `maximum`."""

    id: str
    minimum: str
    maximum: str


class Stored(NamedTuple):
    """One document: the `position` a scan resumes after, and the JSON text with the system properties.

    A position is a whole number in decimal digits that grows along the scan.
    """

    position: str
    body: bytes | str


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents a query may see.

    `minimum` <= effective key < `maximum` (hex, ordered as text; "" and "FF" are the ends). For a full partition key
    value `minimum` is its effective key and `partition_key` the value itself (a tuple as long as the key has paths).
    """

    minimum: str
    maximum: str
    partition_key: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prefilter:
    """A condition the store may apply: true for at least every document the query selects.

    `condition` is SQLite over two names, `id` (the document's id, text) and `body` (its JSON text), with `?` for each
    of `arguments`. A store that cannot filter ignores it: the evaluator decides anyway.
    """

    condition: str
    arguments: tuple[str | int | float, ...]


class QueriedContainer(Protocol):
    """What a query needs of the container it asks."""

    @property
    def rid(self) -> str:
        """The container's resource id: the `_rid` of every answer."""

    @property
    def partition_key_paths(self) -> Sequence[str]:
        """The partition key definition's paths, as "/customerId" or "/address/zip"."""

    @property
    def indexing_policy(self) -> Mapping[str, Any]:
        """The container's indexing policy as stored (`includedPaths`, `excludedPaths`, `compositeIndexes`)."""

    def ranges(self) -> Sequence[KeyRange]:
        """The physical partitions, ascending and without gaps."""

    def effective_key(self, values: Sequence[Any]) -> str:
        """The effective partition key (hex) of a full or prefix key value (UNDEFINED: the path is missing)."""

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        """The documents in `scope` in one stable order (creation within a range), after the position `after`.

        Lazy: a page reads no further than it needs. One scan sees one committed state. Positions stay valid across
        restarts, and after the document at a position was deleted. Expired documents (TTL) are left out.
        """
