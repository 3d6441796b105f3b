"""Idempotency keys, and what is remembered of them: the form of a key, its document's id, which commands are equal.

A receipt lies in the aggregate's own logical partition, so that it is written in the command's transaction. Keys are
therefore kept per aggregate, for 30 days. Refuses to know how a receipt is written and read (`handler`).
"""

from __future__ import annotations

import decimal
import hashlib
import json
import re
from decimal import Decimal

import msgspec

from labkit.write_model.orders import Command, CreateOrder, Item, UpdateOrder

RECEIPT_TTL_SECONDS = 30 * 24 * 60 * 60

KEY = re.compile(r"[A-Za-z0-9._~:@+-]{1,200}", re.ASCII)
"""An idempotency key becomes part of a document id, which holds no slash, backslash, question mark or hash."""

EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
"""Rounds nothing and refuses nothing."""


def receipt_id(idempotency_key: str) -> str:
    return f"receipt:{idempotency_key}"


def payload_hash(command: Command) -> str:
    """Equal for equal commands, and only for them; the context is no part of it."""
    if isinstance(command, CreateOrder | UpdateOrder):
        command = msgspec.structs.replace(command, items=tuple(map(shortest, command.items)))
    payload = json.dumps([type(command).__name__, msgspec.to_builtins(command)])
    return hashlib.sha256(payload.encode("ascii")).hexdigest()


def shortest(item: Item) -> Item:
    """The same item with its price as short as it can be said: 4.20 and 4.2 are one price."""
    price = EXACT.plus(EXACT.normalize(Decimal(item.unit_price)))
    return msgspec.structs.replace(item, unit_price=price)
