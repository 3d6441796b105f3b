"""The webhook that alerts arrive at: part of the lab's HTTP API, subscribed to the topic that `alerting` publishes to.

Owns: the validation handshake of CloudEvents, and that each alert is handled once. Event Grid delivers at least once,
and in any order, so handling is one document in the container `alerts`, created under the event's id: a second delivery
finds it there. What cannot be stored now is answered 503, and comes again; what is no alert is answered 400, and does
not.

The address may hold a secret (`?code=...`), as Event Grid has no key of its own for webhooks.
Source: github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md, section 4;
learn.microsoft.com/azure/event-grid/secure-webhook-delivery (query parameters)
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any, Final

import msgspec
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError
from fastapi import Depends, FastAPI, Query, Request, Response

from labkit.documents import queried
from labkit.http_api import new_api, refusals
from labkit.lag_monitoring.alerts import Alert
from labkit.problems import Problem

SENDER: Final = "eventgrid.azure.net"
PATH: Final = "/api/alerts"


class AlertEvent(msgspec.Struct, frozen=True):
    """The CloudEvent of an alert; attributes that are not named here are let pass."""

    id: str
    source: str
    type: str
    data: Alert


async def body_of(request: Request) -> bytes:
    return await request.body()


def read(body: bytes) -> list[AlertEvent]:
    """One event or a batch. Raises: `Problem` for anything else."""
    try:
        told = msgspec.json.decode(body, type=AlertEvent | list[AlertEvent])
        return told if isinstance(told, list) else [told]
    except (ValueError, RecursionError) as error:
        raise Problem("malformed", "The body is no CloudEvent of an alert, nor an array of them.") from error


def handle(alerts: ContainerProxy, event: AlertEvent) -> bool:
    """Whether this is the first time. Raises: the SDK's errors, with nothing done."""
    document = {"id": event.id, "alertId": event.data.alert_id, "source": event.source, "type": event.type}
    try:
        alerts.create_item({**document, "data": msgspec.to_builtins(event.data)})
    except CosmosResourceExistsError:
        return False
    return True


def webhook_app(alerts: ContainerProxy, *, secret: str = "") -> FastAPI:
    """The app; `alerts` is the container of that name. With a `secret` the address needs `?code=SECRET`."""
    api = new_api("Alerts", "Where Event Grid delivers the lab's alerts.", {"unauthorized": 401})

    def admitted(code: Annotated[str, Query()] = "") -> None:
        if not hmac.compare_digest(code.encode(), secret.encode()):
            raise Problem("unauthorized", "The address lacks its code.", status=401)

    @api.options(PATH, dependencies=[Depends(admitted)])
    def validate(request: Request) -> Response:
        """Say that Event Grid may deliver here, and nobody else."""
        if request.headers.get("webhook-request-origin") != SENDER:
            raise Problem("bad-header", f"Only {SENDER} may deliver here.")
        return Response(headers={"WebHook-Allowed-Origin": SENDER, "WebHook-Allowed-Rate": "*"})

    @api.post(PATH, dependencies=[Depends(admitted)], responses=refusals(400, 401, 413))
    def deliver(body: Annotated[bytes, Depends(body_of)]) -> dict[str, int]:
        """Handle each event that has not been handled before."""
        first = [handle(alerts, event) for event in read(body)]
        return {"handled": sum(first), "repeated": len(first) - sum(first)}

    return api


def handled(alerts: ContainerProxy) -> list[dict[str, Any]]:
    """The documents of all alerts handled, by beginning and rule; of each alert, first that it fired."""
    found = [(msgspec.convert(document["data"], Alert), document) for document in queried(alerts, "SELECT * FROM c")]
    return [document for _, document in sorted(found, key=lambda one: (one[0].began_at, one[0].alert_id, one[0].at))]
