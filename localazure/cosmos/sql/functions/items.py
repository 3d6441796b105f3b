"""Functions over whole items, and the conditional one.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/documentid, /iif
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.values import UNDEFINED, Value


def document_id(item: Value) -> Value:
    """The number that the item's `_rid` holds after the container's part."""
    rid = item.get("_rid") if type(item) is dict else None
    if type(rid) is not str:
        return UNDEFINED
    try:
        raw = base64.b64decode(rid.replace("-", "/"), validate=True)
    except (binascii.Error, ValueError):
        return UNDEFINED
    return int.from_bytes(raw[8:16], "little") if len(raw) >= 16 else UNDEFINED


def iif(condition: Value, then: Value, otherwise: Value) -> Value:
    return then if condition is True else otherwise


FUNCTIONS: Final = {
    "DOCUMENTID": Function(1, 1, document_id),
    "IIF": Function(3, 3, iif, defined=False),
}
