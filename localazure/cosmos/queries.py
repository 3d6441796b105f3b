"""Cosmos DB queries: one request against one container -> one page, or the plan that a client fans out by.

Owns: the words the rest of the service shares with the query engine. Refuses to know: everything behind `gateway`,
which the first query imports, so that a server that is only starting does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localazure.cosmos.queried import KeyRange, Prefilter, QueriedContainer, Scope, Stored

__all__ = [
    "KeyRange",
    "Prefilter",
    "QueriedContainer",
    "QueryAnswer",
    "QueryRefused",
    "Scope",
    "Stored",
    "answer_query",
]


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


def bad_request(message: str, substatus: int | None = None) -> QueryRefused:
    return QueryRefused(400, "BadRequest", message, substatus=substatus)


def answer_query(
    container: QueriedContainer,
    headers: Mapping[str, str],
    body: bytes,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> QueryAnswer:
    """Answer one POST to `/docs` that is a query (`x-ms-documentdb-isquery`) or asks for a query plan
    (`x-ms-cosmos-is-query-plan-request`).

    Synchronous: it reads through the container's own snapshot, so a caller may run it in a worker thread. Read from
    `headers` (names lower-case): partition key, range id, `x-ms-start-epk`/`x-ms-end-epk`, continuation,
    max item count, cross-partition flag, query metrics flag, supported query features. `is_cancelled`: asked all along;
    once it is true the answer comes at once, as a refusal.

    Raises: QueryRefused.
    """
    from localazure.cosmos import gateway

    return gateway.answer_query(container, headers, body, is_cancelled)
