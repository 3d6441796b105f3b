"""Requests and answers in HTTP's terms, without a server: headers, bodies, the JSON form of a refusal.

Owns: how a `CosmosError` looks to a client, which headers every answer has. Refuses to know: what is asked.

Source: learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-response-headers
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localazure.cosmos.errors import BadRequest, CosmosError
from localazure.cosmos.queries import QueryRefused

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """`segments` is the decoded path, `headers` have lower-case names, `scheme` is http or https."""

    method: str
    segments: tuple[str, ...]
    headers: Headers
    body: bytes
    scheme: str = "http"

    def flag(self, name: str) -> bool:
        """A header's boolean; the SDKs write `True`, others `true`."""
        return self.headers.get(name, "").lower() == "true"

    def integer(self, name: str, default: int) -> int:
        """Raises: `BadRequest` for a header that is no whole number."""
        text = self.headers.get(name)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError as error:
            raise BadRequest(f"The header {name} has the value {text!r}, which is no number.") from error

    @property
    def activity_id(self) -> str:
        return self.headers.get("x-ms-activity-id") or str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Response:
    """`charge` in request units, which throttling takes in equal parts from the physical partitions `range_ids`."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    charge: float = 0.0
    range_ids: tuple[str, ...] = ()


def json_response(status: int, content: Any, headers: Mapping[str, str], charge: float) -> Response:
    return Response(status, json.dumps(content, separators=(",", ":")).encode(), headers, charge)


def feed_text(rid: str, name: str, bodies: Iterable[bytes], count: int) -> bytes:
    """`{"_rid": ..., "<name>": [...], "_count": n}` around texts that are JSON already."""
    return b'{"_rid":"%b","%b":[%b],"_count":%d}' % (rid.encode(), name.encode(), b",".join(bodies), count)


def refusal(error: CosmosError, request: Request | None) -> Response:
    """The service's form of an error: a code word and a message that carries the activity id."""
    activity = request.activity_id if request is not None else str(uuid.uuid4())
    message = f"Message: {json.dumps({'Errors': [error.message]})}\r\nActivityId: {activity}"
    if request is not None:
        message += f", Request URI: /{'/'.join(request.segments)}"
    headers = {"x-ms-request-charge": f"{error.charge:g}", "x-ms-activity-id": activity}
    if error.substatus:
        headers["x-ms-substatus"] = str(error.substatus)
    if error.retry_after_ms is not None:
        headers["x-ms-retry-after-ms"] = str(math.ceil(error.retry_after_ms))
    return json_response(error.status, {"code": error.code, "message": message}, headers, 0.0)


def query_refusal(error: QueryRefused, request: Request | None) -> Response:
    """As `refusal`; a query that the client must fan out carries its plan's reason beside the message."""
    activity = request.activity_id if request is not None else str(uuid.uuid4())
    content = {"code": error.code, "message": f"{error.message}\r\nActivityId: {activity}"}
    if error.additional_error_info is not None:
        content["additionalErrorInfo"] = error.additional_error_info
    headers = {"x-ms-request-charge": "0", "x-ms-activity-id": activity}
    if error.substatus:
        headers["x-ms-substatus"] = str(error.substatus)
    return json_response(error.status, content, headers, 0.0)


def header_list(response: Response, activity_id: str) -> list[tuple[bytes, bytes]]:
    """Everything an answer carries on the wire."""
    fields: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"x-ms-version", b"2020-07-15"),
        (b"x-ms-schemaversion", b"1.19"),
    ]
    if response.status not in (204, 304):
        fields.append((b"content-length", b"%d" % len(response.body)))
    if response.charge:
        fields.append((b"x-ms-request-charge", str(response.charge).encode("ascii")))
    if "x-ms-activity-id" not in response.headers:
        fields.append((b"x-ms-activity-id", activity_id.encode("latin-1", "replace")))
    fields.extend((name.encode("ascii"), value.encode("utf-8")) for name, value in response.headers.items())
    return fields
