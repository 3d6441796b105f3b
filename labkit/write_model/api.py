"""The command side over HTTP: one route for each command, one answer for each outcome.

`command_app(handler)` is the FastAPI app; uvicorn serves it, and so does Azure Functions (`deploy/functions`). Pydantic
refuses at the edge what has another form; what a command means, and whether it may be, is `decide`'s affair.

- `Idempotency-Key` is required: only the caller knows whether two requests are one wish. A repeated request gets the
  first answer again, status and body and all, with `Idempotency-Replayed: true`.
- `If-Match` takes the ETag (the quoted version) that the caller has seen; 412 if another version is there.
- `traceparent`, `X-Correlation-Id` and `X-Causation-Id` go into the event's envelope. A `traceparent` that is none is
  left out, as its standard asks; the others are refused then.
- Refusals are problem details (`labkit.problems`); an outcome that is not known is 503, and never 500.

The endpoints are plain functions: the SDK blocks, so they run on the thread pool, not on the event loop.
Nobody is authenticated here: that is the gateway's work. Until it names a user, events say `anonymous`.
Source: draft-ietf-httpapi-idempotency-key-header; RFC 9110, section 13.1.1 (If-Match); W3C Trace Context, section 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from labkit.events.ids import CUSTOMER_ID, ORDER_ID
from labkit.http_api import header_of, headers_said, new_api, refusals, told_once, whole
from labkit.problems import Problem
from labkit.write_model import orders
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import Command, RefusalCode
from labkit.write_model.receipts import KEY

REFUSED: Final[Mapping[str, int]] = {
    RefusalCode.INVALID_ID: 422,
    RefusalCode.INVALID_NAME: 422,
    RefusalCode.INVALID_ITEMS: 422,
    RefusalCode.INVALID_REASON: 422,
    RefusalCode.DAY_OUT_OF_RANGE: 422,
    RefusalCode.ALREADY_EXISTS: 409,
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.WRONG_STATUS: 409,
    RefusalCode.KEY_REUSED: 409,
    RefusalCode.INVALID_KEY: 400,
    RefusalCode.STALE: 412,
    RefusalCode.CONTENDED: 503,
}
"""Refusal -> HTTP status."""

KEY_MISSING: Final = (
    "A command needs an Idempotency-Key: when an answer is lost, it is how your retry is told from a second wish. "
    "Make one key for each wish, before the first try, and keep it over all tries."
)
LONGEST_ID: Final = 200
CORRELATION: Final = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_ID}}}", re.ASCII)
IF_MATCH: Final = re.compile(r'\*|"([1-9][0-9]{0,17})(?:\.0)?"', re.ASCII)
"""`.0` ends the ETag that the query side gives an order while its customer's name is not known."""
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


OrderId = Annotated[str, Field(pattern=whole(ORDER_ID), examples=["order-20260105-0001"])]
CustomerId = Annotated[str, Field(pattern=whole(CUSTOMER_ID), examples=["customer-0001"])]
Money = Annotated[str, Field(pattern=r"^[0-9]{1,7}(\.[0-9]{1,2})?$", examples=["12.50"])]


class Asked(BaseModel):
    """A body: every field of its own type, none that is not known."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel, frozen=True)


class NewCustomer(Asked):
    customer_id: CustomerId
    name: Annotated[str, Field(min_length=1, max_length=orders.LONGEST_NAME)]


class Item(Asked):
    product_id: Annotated[str, Field(min_length=1, max_length=orders.LONGEST_PRODUCT_ID)]
    quantity: Annotated[int, Field(ge=1, le=orders.HIGHEST_QUANTITY)]
    unit_price: Money


Items = Annotated[list[Item], Field(min_length=1, max_length=orders.MOST_ITEMS)]


class NewOrder(Asked):
    order_id: OrderId
    customer_id: CustomerId
    items: Items
    backfill: bool = False


class NewItems(Asked):
    items: Items


class Nothing(Asked):
    """No field at all."""


class Reason(Asked):
    reason: Annotated[str, Field(max_length=orders.LONGEST_REASON)] = ""


class Done(BaseModel):
    """The command happened, now or at the first time of asking."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    aggregate_id: str
    version: int
    event_id: str
    token: str
    """`aggregateId@version`: what a reader gives to see this write or a later one."""


ANSWER_HEADERS: Final = {
    "ETag": "The version, quoted.",
    "Location": "Where the query side shows what was made or changed; a customer is shown by its orders.",
    "Version-Token": "As `token` in the body.",
    "Request-Charge-RU": "What this request cost, in request units.",
    "X-Correlation-Id": "The story that this belongs to.",
    "Idempotency-Replayed": "`true` if this is the answer of an earlier request with the same key.",
}


def only_json(request: Request) -> None:
    """Raises: `Problem` for a body of another kind. Whether there has to be one is judged elsewhere."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    without_body = not kind and request.headers.get("content-length", "0") == "0"
    if kind != "application/json" and not without_body:
        raise Problem("unsupported-media-type", "A body is application/json.", headers={"Accept": "application/json"})


async def context_of(
    request: Request,
    idempotency_key: Annotated[str, header_of("Idempotency-Key", KEY_MISSING, KEY)],
    traceparent: Annotated[str, Header(description="W3C Trace Context.")] = "",
    x_correlation_id: Annotated[str, header_of("X-Correlation-Id", "The story this belongs to.", CORRELATION)] = "",
    x_causation_id: Annotated[str, header_of("X-Causation-Id", "The message that led to this.", CORRELATION)] = "",
) -> Context:
    """Who asks, from the headers. Raises: `Problem` for one that is told twice or of another form."""
    only_json(request)
    told_once(request, "Idempotency-Key", "X-Correlation-Id", "X-Causation-Id")
    for name, value in (("X-Correlation-Id", x_correlation_id), ("X-Causation-Id", x_causation_id)):
        if name in request.headers and CORRELATION.fullmatch(value) is None:
            raise Problem("bad-header", f"{name} is 1 to {LONGEST_ID} visible ASCII characters.")
    return Context(
        unquoted(idempotency_key),
        correlation_id=x_correlation_id,
        causation_id=x_causation_id,
        traceparent=traceparent if TRACEPARENT.fullmatch(traceparent) else "",
    )


def unquoted(key: str) -> str:
    """The key itself: its draft standard has it in quotes, most callers do not."""
    return key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key


async def context_of_change(
    request: Request,
    context: Annotated[Context, Depends(context_of)],
    if_match: Annotated[str, header_of("If-Match", 'The ETag seen, such as `"3"`; `*`: any.', IF_MATCH)] = "*",
) -> Context:
    """As `context_of`, with the version that the caller has seen. Raises: `Problem` for what is no ETag of this API."""
    told_once(request, "If-Match")
    form = IF_MATCH.fullmatch(if_match)
    if form is None:
        raise Problem("bad-header", 'If-Match is one ETag as this API gives it, such as "3".')
    return replace(context, expected_version=int(form[1])) if form[1] else context


async def context_of_creation(request: Request, context: Annotated[Context, Depends(context_of)]) -> Context:
    """As `context_of`. Raises: `Problem` for an If-Match, which nothing could meet."""
    if "if-match" in request.headers:
        raise Problem("bad-header", "Nothing is there yet for If-Match to match.")
    return context


def carry_out(request: Request, command: Command, context: Context, status: int = 200) -> JSONResponse:
    """Ask the handler, and tell its answer. Raises: `Problem` for a refusal; the SDK's errors."""
    outcome = request.app.state.handler.handle(command, context)
    headers = {
        "Request-Charge-RU": f"{outcome.charge_ru:.2f}",
        "X-Correlation-Id": context.correlation_id or context.idempotency_key,
    }
    if isinstance(outcome, Accepted):
        return done(outcome, headers, status)
    refusal = outcome.refusal
    if refusal.code == RefusalCode.INVALID_KEY:
        del headers["X-Correlation-Id"]
    raise Problem(refusal.code, refusal.sentence, status=REFUSED[refusal.code], headers=headers)


def done(outcome: Accepted, headers: Mapping[str, str], status: int) -> JSONResponse:
    told = Done.model_validate(outcome, from_attributes=True)
    is_customer = outcome.aggregate_id.startswith("customer-")
    headers = {
        **headers,
        "ETag": f'"{outcome.version}"',
        "Location": f"/customers/{outcome.aggregate_id}/orders" if is_customer else f"/orders/{outcome.aggregate_id}",
        "Version-Token": outcome.token,
        **({"Idempotency-Replayed": "true"} if outcome.repeated else {}),
    }
    return JSONResponse(told.model_dump(by_alias=True), status, headers)


# --- the routes -------------------------------------------------------------------------------------------------------

OrderInPath = Annotated[str, Path(alias="id", pattern=whole(ORDER_ID), examples=["order-20260105-0001"])]
Creation = Annotated[Context, Depends(context_of_creation)]
Change = Annotated[Context, Depends(context_of_change)]
HAPPENED: Final[dict[str, Any]] = {"model": Done, "headers": headers_said(ANSWER_HEADERS)}
CREATES: Final[dict[str, Any]] = {"status_code": 201, "responses": {201: HAPPENED, **refusals(400, 409, 413, 415, 422)}}
CHANGES: Final[dict[str, Any]] = {"responses": {200: HAPPENED, **refusals(400, 404, 409, 412, 413, 415, 422)}}

routes = APIRouter()


@routes.post("/customers", **CREATES)
def register_customer(request: Request, asked: NewCustomer, context: Creation) -> JSONResponse:
    """Register a customer."""
    return carry_out(request, orders.RegisterCustomer(asked.customer_id, asked.name), context, 201)


@routes.post("/orders", **CREATES)
def create_order(request: Request, asked: NewOrder, context: Creation) -> JSONResponse:
    """Create an order, under the id that the caller gives it."""
    command = orders.CreateOrder(asked.order_id, asked.customer_id, items_of(asked.items), asked.backfill)
    return carry_out(request, command, context, 201)


@routes.patch("/orders/{id}", **CHANGES)
def update_order(request: Request, order_id: OrderInPath, asked: NewItems, context: Change) -> JSONResponse:
    """Put other items in the place of an order's items."""
    return carry_out(request, orders.UpdateOrder(order_id, items_of(asked.items)), context)


@routes.post("/orders/{id}/pay", **CHANGES)
def pay_order(request: Request, order_id: OrderInPath, context: Change, asked: Nothing | None = None) -> JSONResponse:
    """Pay an order."""
    return carry_out(request, orders.PayOrder(order_id), context)


@routes.post("/orders/{id}/ship", **CHANGES)
def ship_order(request: Request, order_id: OrderInPath, context: Change, asked: Nothing | None = None) -> JSONResponse:
    """Ship a paid order."""
    return carry_out(request, orders.ShipOrder(order_id), context)


@routes.post("/orders/{id}/cancel", **CHANGES)
def cancel_order(request: Request, order_id: OrderInPath, context: Change, asked: Reason | None = None) -> JSONResponse:
    """Cancel an order that has not been shipped."""
    return carry_out(request, orders.CancelOrder(order_id, asked.reason if asked else ""), context)


def items_of(items: Sequence[Item]) -> tuple[orders.Item, ...]:
    return tuple(orders.Item(item.product_id, item.quantity, Decimal(item.unit_price)) for item in items)


def command_app(handler: CommandHandler) -> FastAPI:
    """The command side as an ASGI app."""
    description = "Commands: each may be refused, and each has its effect once, however often it is sent."
    api = new_api("Orders, command side", description, REFUSED, {"Idempotency-Key": KEY_MISSING})
    api.state.handler = handler
    api.include_router(routes)
    return api
