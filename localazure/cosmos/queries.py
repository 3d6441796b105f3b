"""One query request against one container -> one page, or the plan that a client fans out by.

Owns: the gateway's rules for queries (what needs the cross-partition flag, what is answered 400/1004 so that the client
asks for a plan), pages (item count, 4 MB), continuation tokens, query metrics. Refuses to know: HTTP routing, keys and
signatures, where documents are kept (`QueriedContainer`), what SQL means (`localazure.cosmos.sql`).

How: `answer_query` takes the request's headers (any mapping with lower-case names) and JSON body and is synchronous:
it reads through the container's own snapshot, so a caller may run it in a worker thread. Every refusal is a
`QueryRefused` with status, sub-status and the service's text; the caller turns it into wire form like any other.

Source: learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api
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
    """One document: the opaque `position` a scan resumes after, and the JSON text with the system properties."""

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


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """A 200: `body` is the JSON text; `headers` are those that only the query knows.

    `x-ms-item-count`, `x-ms-continuation`, `x-ms-documentdb-query-metrics` and `x-ms-documentdb-partitionkeyrangeid`
    among them; session token, charge and activity id are the caller's. `range_id` is None for a query plan.
    `retrieved_documents` and `retrieved_bytes` are what the request read: the base of its charge.
    """

    body: bytes
    headers: Mapping[str, str]
    range_id: str | None
    retrieved_documents: int
    retrieved_bytes: int


class QueryRefused(Exception):
    """A query the gateway or the back end refuses: HTTP `status`, `substatus` (or None), `code` word, and message.

    `additional_error_info` is set for 400/1004: the answer's JSON body carries it as `additionalErrorInfo`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        substatus: int | None = None,
        additional_error_info: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.substatus = substatus
        self.additional_error_info = additional_error_info


def answer_query(container: QueriedContainer, headers: Mapping[str, str], body: bytes) -> QueryAnswer:
    """Answer one POST to `/docs` that is a query (`x-ms-documentdb-isquery`) or asks for a query plan
    (`x-ms-cosmos-is-query-plan-request`).

    Read from `headers` (names lower-case): partition key, range id, `x-ms-start-epk`/`x-ms-end-epk`, continuation,
    max item count, cross-partition flag, query metrics flag, supported query features.

    Raises: QueryRefused.
    """
    raise NotImplementedError
