"""Who asks, and may they: the signature of a request against the account's keys.

Owns: the string that is signed, the age a date may have, which key or token stands for which access. Refuses to know:
routes, what an operation does and hence what an access allows (`app`).

How: HMAC-SHA256 over verb, resource type, resource link and date. The link is the decoded path of the resource (the
parent's for a feed); where resources are named by resource id it is that id in lower case.

Source: learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Literal
from urllib.parse import unquote

from localazure.cosmos.errors import Forbidden, Unauthorized

Access = Literal["read-write", "read-only", "token"]

MOST_SKEW_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class CosmosKeys:
    """The account's keys, in base64."""

    read_write: str
    read_only: str


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request is signed."""

    verb: str
    resource_type: str
    link: str


class Gatekeeper:
    """Checks signatures. `bearer_token` None: tokens are refused. Raises: `ValueError` for keys that are not base64."""

    def __init__(self, keys: CosmosKeys, bearer_token: str | None) -> None:
        try:
            self._keys: tuple[tuple[Access, bytes], ...] = (
                ("read-write", base64.b64decode(keys.read_write, validate=True)),
                ("read-only", base64.b64decode(keys.read_only, validate=True)),
            )
        except binascii.Error as error:
            raise ValueError("an account key is not base64") from error
        self._bearer_token = bearer_token
        self._dates: dict[str, float] = {}

    def access(self, signed: Signed, headers: Mapping[str, str], now: float) -> Access:
        """Raises: `Unauthorized`, and `Forbidden` for a date too far from `now` (seconds since 1970)."""
        given = headers.get("authorization")
        if not given:
            raise Unauthorized(
                "Required Header authorization is missing. Ensure a valid Authorization token is passed."
            )
        fields = dict(part.partition("=")[::2] for part in unquote(given).split("&"))
        if fields.get("type") == "aad":
            return self._bearer(fields.get("sig", ""))
        if fields.get("type") != "master" or fields.get("ver") != "1.0":
            raise Unauthorized("The input authorization token is not of type master, version 1.0.")
        own_date, http_date = headers.get("x-ms-date", ""), headers.get("date", "")
        date = own_date or http_date
        dates = f"{own_date.lower()}\n\n" if own_date else f"\n{http_date.lower()}\n"
        text = f"{signed.verb.lower()}\n{signed.resource_type}\n{signed.link}\n{dates}"
        payload, signature = text.encode("utf-8"), fields.get("sig", "").encode("utf-8")
        for access, key in self._keys:
            expected = base64.b64encode(hmac.digest(key, payload, sha256))
            if hmac.compare_digest(expected, signature):
                self._check_date(date, now)
                return access
        raise Unauthorized(
            "The input authorization token can't serve the request. The wrong key is being used or the expected "
            f"payload is not built as per the protocol. Server used the following payload to sign: {text!r}"
        )

    def _bearer(self, token: str) -> Access:
        expected = self._bearer_token
        if expected is None or not hmac.compare_digest(expected.encode(), token.encode()):
            raise Unauthorized("The bearer token is not the one this account was started with.")
        return "token"

    def _check_date(self, date: str, now: float) -> None:
        seconds = self._dates.get(date)
        if seconds is None:
            try:
                seconds = parsedate_to_datetime(date).timestamp()
            except (ValueError, TypeError, OverflowError) as error:
                raise Unauthorized(f"The date {date!r} is not in RFC 1123 format.") from error
            self._dates = {date: seconds}
        if abs(now - seconds) > MOST_SKEW_SECONDS:
            raise Forbidden(
                "The authorization token is not valid at the current time. Please create another token and retry: "
                f"token date {date!r} is more than {MOST_SKEW_SECONDS // 60} minutes off."
            )
