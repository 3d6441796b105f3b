"""CloudEvents as a topic takes them: which requests hold some, and which events are none.

Owns the limits of a request and the required attributes. Refuses to know HTTP beyond content types, and what happens to
the events.

A topic here has the input schema CloudEvents 1.0, in structured mode: one event or a batch. Event Grid's own schema and
binary mode are refused.
Source: github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and formats/json-format.md;
learn.microsoft.com/azure/event-grid/quotas-limits (1 MB for an event and for a request, 5,000 events in a request)
"""

from __future__ import annotations

import json
import re
from typing import Any

from localazure.eventgrid.refusals import BadRequest, TooLarge

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MOST_BYTES = 1024 * 1024
MOST_EVENTS = 5_000
REQUIRED = ("id", "source", "type")
ATTRIBUTE = re.compile(r"[a-z0-9]+|data_base64", re.ASCII)
OTHER_SCHEMA = (
    "This resource is configured to receive event in 'CloudEventV10' schema. "
    "The JSON received does not conform to the expected schema."
)


def read(content_type: str, body: bytes) -> list[bytes]:
    """Each event as JSON bytes, in the order told. Raises: `BadRequest`, `TooLarge`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (ONE, BATCH):
        raise BadRequest(f"{OTHER_SCHEMA} Content type: {kind or 'none'}.")
    if len(body) > MOST_BYTES:
        raise TooLarge(f"The request has {len(body)} bytes, the most are {MOST_BYTES}.")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{OTHER_SCHEMA} It is no JSON.") from error
    events = told if kind == BATCH else [told]
    if not isinstance(events, list) or not events:
        raise BadRequest(f"{OTHER_SCHEMA} A batch is an array of one event or more.")
    if len(events) > MOST_EVENTS:
        raise TooLarge(f"The request has {len(events)} events, the most are {MOST_EVENTS}.")
    return [_checked(event) for event in events]


def _checked(event: Any) -> bytes:
    if not isinstance(event, dict):
        raise BadRequest(f"{OTHER_SCHEMA} An event is an object.")
    if event.get("specversion") != "1.0":
        raise BadRequest(f'{OTHER_SCHEMA} specversion is not "1.0".')
    for name in REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise BadRequest(f"{OTHER_SCHEMA} The attribute {name} is missing or no text.")
    for name in event:
        if ATTRIBUTE.fullmatch(name) is None:
            raise BadRequest(f"{OTHER_SCHEMA} An attribute's name has lower-case letters and digits only.")
    if "data" in event and "data_base64" in event:
        raise BadRequest(f"{OTHER_SCHEMA} An event has data or data_base64, not both.")
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{OTHER_SCHEMA} A text has half a surrogate pair.") from error
