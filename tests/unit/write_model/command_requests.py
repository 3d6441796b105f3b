"""Requests of the command API, the commands that they are, and a handler that gives what it is told to give."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from labkit import problems
from labkit.write_model.handler import Accepted, Context, Refused
from labkit.write_model.orders import (
    CancelOrder,
    Command,
    CreateOrder,
    Item,
    PayOrder,
    RegisterCustomer,
    ShipOrder,
    UpdateOrder,
)

ID = "order-20260105-0001"
ITEMS = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
ORDER = {"orderId": ID, "customerId": "customer-1", "items": ITEMS}
CUSTOMER = {"customerId": "customer-1", "name": "Ada"}
TEA = (Item("tea", 2, Decimal("12.50")),)
KEY = {"Idempotency-Key": "k-1"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

ROUTES: list[tuple[str, str, dict[str, Any] | None, int, Command]] = [
    ("POST", "/customers", CUSTOMER, 201, RegisterCustomer("customer-1", "Ada")),
    ("POST", "/orders", ORDER, 201, CreateOrder(ID, "customer-1", TEA)),
    ("POST", "/orders", ORDER | {"backfill": True}, 201, CreateOrder(ID, "customer-1", TEA, backfill=True)),
    ("PATCH", f"/orders/{ID}", {"items": ITEMS}, 200, UpdateOrder(ID, TEA)),
    ("POST", f"/orders/{ID}/pay", None, 200, PayOrder(ID)),
    ("POST", f"/orders/{ID}/pay", {}, 200, PayOrder(ID)),
    ("POST", f"/orders/{ID}/ship", None, 200, ShipOrder(ID)),
    ("POST", f"/orders/{ID}/cancel", None, 200, CancelOrder(ID)),
    ("POST", f"/orders/{ID}/cancel", {"reason": "too late"}, 200, CancelOrder(ID, "too late")),
]


@dataclass
class Scripted:
    """A handler that gives one outcome, or raises one error, and remembers what it was asked."""

    outcome: Accepted | Refused | Exception | None = None
    asked: list[tuple[Command, Context]] = field(default_factory=list)

    def handle(self, command: Command, context: Context) -> Accepted | Refused:
        self.asked.append((command, context))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or Accepted(command.aggregate_id, 3, "e-3", 1, 15.851)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code), told
    assert told["type"] == f"/docs#{code}"
    assert told["title"]
    assert told["detail"]
    return told
