"""Problem details: the one shape of every refusal that the HTTP APIs and the gateway give.

Owns: the JSON form, the codes that any API may answer, and which problem an error of Azure is. Refuses to know: the
domain; an API adds its own codes.

`type` points to the API's page, where each code is listed; `code` is the same for programs. A problem never repeats
what the caller sent beyond names of fields, and those are cut: nothing of a bad request can break the answer to it.
Source: RFC 9457; RFC 9110, sections 10.2.3 (Retry-After) and 15; Cosmos DB, "HTTP status codes", for 429 and 449.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from azure.core.exceptions import AzureError
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[Mapping[str, int]] = {
    "malformed": 400,
    "bad-header": 400,
    "header-missing": 400,
    "no-such-resource": 404,
    "method-not-allowed": 405,
    "too-large": 413,
    "unsupported-media-type": 415,
    "invalid": 422,
    "internal": 500,
    "upstream": 502,
    "busy": 429,
    "unavailable": 503,
}
"""Code -> HTTP status."""

ASK_AGAIN_LATER: Final = (429, 503)
RETRY_AFTER_SECONDS: Final = 1
"""Told with each of these, where the service names no time itself."""

ERRORS_AT_MOST: Final = 20
LONGEST_POINTER: Final = 200

ASK_AGAIN: Final = "Send the same request again; a command with the same key."


class Problem(Exception):
    """A request that is refused, and why. If asking again may help, it is said when."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = STATUS[code] if status is None else status
        again = {"Retry-After": str(RETRY_AFTER_SECONDS)} if self.status in ASK_AGAIN_LATER else {}
        self.headers = {**again, **(headers or {})}
        self.detail = detail
        self.errors = list(errors)[:ERRORS_AT_MOST]
        self.more = dict(more or {})

    def response(self) -> Response:
        body: dict[str, Any] = {
            "type": f"/docs#{self.code}",
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            body["errors"] = self.errors
        text = json.dumps(body | self.more, ensure_ascii=False).encode("utf-8", "replace")
        return Response(text, self.status, self.headers, MEDIA_TYPE)


def of_azure(error: AzureError) -> Problem:
    """429: too much was asked of the service, with its own word on when to ask again. A failed connection, or a
    service that says it cannot now: 503. Anything else is a fault on our side of it, and asking again is no use: 502.
    """
    status = getattr(error, "status_code", None)
    headers = getattr(error, "headers", None) or {}
    if status == 429:
        asked_ms = str(headers.get("x-ms-retry-after-ms", ""))
        asked = {"Retry-After": str(math.ceil(int(asked_ms) / 1000))} if asked_ms.isdecimal() else {}
        detail = "The database has more requests than it is paid for; nothing was carried out."
        return Problem("busy", detail, headers=asked)
    behind = status == 404 and getattr(error, "sub_status", None) == 1002  # the replica has not seen this session yet
    if behind or status in (None, 408, 410, 449, 503):
        return Problem("unavailable", f"The database does not answer. {ASK_AGAIN}")
    return Problem("upstream", f"The database answered {status}, which asking again will not change.")


def of_validation(errors: Sequence[Mapping[str, Any]], needed: Mapping[str, str]) -> Problem:
    """What a request has to say otherwise, from pydantic's errors; `needed`: header -> why there must be one."""
    places = {str(error["loc"][0]) for error in errors}
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem("malformed", "The body is no JSON.")
    if "path" in places:
        return Problem("no-such-resource", "Nothing has this address: the id in it has another form.")
    for error in errors:
        if error["type"] == "missing" and error["loc"][-1] in needed:
            return Problem("header-missing", needed[error["loc"][-1]])
    told = [{"pointer": pointer(error["loc"]), "detail": str(error["msg"])} for error in errors]
    if "header" in places:
        names = ", ".join(str(error["loc"][1]) for error in errors if error["loc"][0] == "header")
        return Problem("bad-header", f"The request must say otherwise: {names}.", errors=told)
    return Problem("invalid", "The request says something that this API does not take.", errors=told)


def pointer(place: Sequence[Any]) -> str:
    """Where in the body (a JSON pointer, RFC 6901), or which header or parameter."""
    if place[0] != "body":
        return ":".join(map(str, place))[:LONGEST_POINTER]
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in place[1:])
    return ("#" + "".join(f"/{step}" for step in steps))[:LONGEST_POINTER]
