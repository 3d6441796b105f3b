"""Resource ids: the base64 names that Cosmos DB gives to databases, containers and documents beside the user's own.

How: 4 bytes for a database, 4 more for a container, 8 more for a document, big-endian numbers; "/" is written as "-".

Source: azure-sdk-for-python, _base.py (`IsNameBased`, `IsValidBase64String`)
"""

from __future__ import annotations

import base64
import binascii

DATABASE_TEXT_LENGTH = 8


def of_database(database: int) -> str:
    return _encode(database.to_bytes(4, "big"))


def of_container(database: int, container: int) -> str:
    return _encode(database.to_bytes(4, "big") + container.to_bytes(4, "big"))


def of_document(container_rid: str, number: int) -> str:
    return _encode(_decode(container_rid) + number.to_bytes(8, "big"))


def of_offer(offer: int) -> str:
    return _encode(offer.to_bytes(3, "big"))


def document_number(rid: str) -> int | None:
    """The last 8 bytes of a document's resource id; None if it is not one."""
    try:
        data = _decode(rid)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(data[8:], "big") if len(data) == 16 else None


def addresses_by_rid(database_segment: str) -> bool:
    """Whether a path that starts with this database names its resources by resource id, as the SDKs decide it."""
    if len(database_segment) != DATABASE_TEXT_LENGTH:
        return False
    try:
        return len(_decode(database_segment)) == 4
    except (binascii.Error, ValueError):
        return False


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").replace("/", "-")


def _decode(rid: str) -> bytes:
    return base64.b64decode(rid.replace("-", "/"), validate=True)
