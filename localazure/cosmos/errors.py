"""The refusals of Cosmos DB: one exception per documented status and sub-status.

Owns: which refusal has which status, sub-status and code word. Refuses to know: HTTP (`wire` turns them into answers).

Source: learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb, the sub-statuses as the SDKs name them
"""

from __future__ import annotations

from localazure.cosmos import charges


class CosmosError(Exception):
    """A request that is refused: `status`, `substatus` (0: none), `code` word, its charge, what to wait before a retry.

    What is refused before it reaches its physical partition is charged nothing.
    """

    status = 500
    substatus = 0
    code = "InternalServerError"
    charge = 0.0

    def __init__(self, message: str, *, retry_after_ms: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class BadRequest(CosmosError):
    status, code, charge = 400, "BadRequest", charges.REFUSED_RU


class PartitionKeyMismatch(BadRequest):
    """The partition key of the header is not the document's, or has not the components of its definition."""

    substatus = 1001


class ContainerRecreated(BadRequest):
    """The container of that name is not the one the client knows (its resource id differs)."""

    substatus, charge = 1024, 0.0


class Unauthorized(CosmosError):
    status, code = 401, "Unauthorized"


class Forbidden(CosmosError):
    status, code = 403, "Forbidden"


class WriteForbidden(Forbidden):
    """The region that was asked only reads."""

    substatus = 3


class ForbiddenToTokens(Forbidden):
    """Databases, containers and throughput are not changed with a bearer token."""

    substatus = 5300


class NotFound(CosmosError):
    status, code, charge = 404, "NotFound", charges.REFUSED_RU


class OwnerNotFound(NotFound):
    """The database or container that the address names is not there."""

    substatus, charge = 1003, 0.0


class SessionNotAvailable(NotFound):
    """This replica has not yet seen what the session token promises."""

    substatus = 1002


class MethodNotAllowed(CosmosError):
    """The resource exists in Cosmos DB; the embedded Azure does not offer it (see the support table)."""

    status, code = 405, "MethodNotAllowed"


class RequestTimeout(CosmosError):
    """The operation did not end within the time it may take."""

    status, code = 408, "RequestTimeout"


class Conflict(CosmosError):
    status, code, charge = 409, "Conflict", charges.REFUSED_RU


class PartitionGone(CosmosError):
    """The physical partition was split, or never was."""

    status, substatus, code = 410, 1002, "Gone"


class PreconditionFailed(CosmosError):
    status, code, charge = 412, "PreconditionFailed", charges.REFUSED_RU


class TooLarge(CosmosError):
    status, code = 413, "RequestEntityTooLarge"


class TooManyRequests(CosmosError):
    """A physical partition has used up its request units of this second."""

    status, substatus, code = 429, 3200, "TooManyRequests"


class ServiceUnavailable(CosmosError):
    status, code = 503, "ServiceUnavailable"
