"""The refusals of Event Grid's publishing side: one exception per documented status, and their one wire form.

Source: learn.microsoft.com/azure/event-grid/troubleshoot-errors, .../event-grid/post-to-custom-topic
"""

from __future__ import annotations

import json


class GridError(Exception):
    """A request that is refused: `status` and `code` word."""

    status = 500
    code = "InternalServerError"

    def body(self) -> bytes:
        told = {"code": self.code, "message": str(self)}
        return json.dumps({"error": {**told, "details": [told]}}).encode()


class BadRequest(GridError):
    status, code = 400, "BadRequest"


class Unauthorized(GridError):
    status, code = 401, "Unauthorized"


class NotFound(GridError):
    status, code = 404, "ResourceNotFound"


class NotAllowed(GridError):
    status, code = 405, "MethodNotAllowed"


class TooLarge(GridError):
    status, code = 413, "RequestEntityTooLarge"


class TooManyRequests(GridError):
    """Too much waits to be delivered."""

    status, code = 429, "TooManyRequests"


class Refused(GridError):
    """A status that a fault asked for."""

    code = "Fault"

    def __init__(self, status: int) -> None:
        super().__init__(f"A fault on purpose answers {status}.")
        self.status = status
