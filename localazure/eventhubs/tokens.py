"""Who may do what: shared access policies, SAS tokens and bearer tokens.

Owns: the policies' rights, the check of a token (signature, expiry, audience), what a token then permits.
Refuses to know: links; `Grants` answers whether something is permitted now.

Source: learn.microsoft.com/rest/api/eventhub/generate-sas-token;
learn.microsoft.com/azure/event-hubs/authenticate-shared-access-signature (rights).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from urllib.parse import unquote_plus

from localazure.eventhubs.addresses import covers
from localazure.eventhubs.refusals import Unauthorized

SAS_PREFIX = "SharedAccessSignature "


class Right(Flag):
    """What a policy's key is good for. Manage includes the other two."""

    SEND = auto()
    LISTEN = auto()
    MANAGE = auto()


ALL = Right.SEND | Right.LISTEN | Right.MANAGE
RIGHTS: Mapping[str, Right] = {
    "RootManageSharedAccessKey": ALL,
    "manage": ALL,
    "send": Right.SEND,
    "listen": Right.LISTEN,
}


@dataclass(frozen=True, slots=True)
class Token:
    """A checked token: for the resource `audience` and what lies below it, until `expires` (seconds since 1970)."""

    audience: str
    rights: Right
    expires: float


def check_token(text: str, audience: str, *, keys: Mapping[str, str], bearer_token: str | None, now: float) -> Token:
    """The token, good for `audience`. Raises: `Unauthorized`."""
    if text.startswith(SAS_PREFIX):
        return _check_sas(text[len(SAS_PREFIX) :], audience, keys, now)
    if bearer_token is not None and hmac.compare_digest(text.encode(), bearer_token.encode()):
        return Token(audience, ALL, float("inf"))
    raise Unauthorized("InvalidToken: the token is neither a shared access signature nor the bearer token")


def _check_sas(fields: str, audience: str, keys: Mapping[str, str], now: float) -> Token:
    given = dict(pair.partition("=")[::2] for pair in fields.split("&"))
    try:
        resource, signature, expiry, name = given["sr"], given["sig"], given["se"], given["skn"]
        expires = int(expiry)
    except (KeyError, ValueError):
        raise Unauthorized("InvalidToken: a shared access signature needs sr, sig, se and skn") from None
    name = unquote_plus(name)
    key = keys.get(name)
    if key is None or name not in RIGHTS:
        raise Unauthorized(f"InvalidSignature: there is no policy {name!r}")
    wanted = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256))
    if not hmac.compare_digest(wanted, unquote_plus(signature).encode()):
        raise Unauthorized("InvalidSignature: The token has an invalid signature.")
    if expires <= now:
        raise Unauthorized("ExpiredToken: The token is expired.")
    if not covers(unquote_plus(resource), audience):
        raise Unauthorized("InvalidAudience: The token is for another resource.")
    return Token(audience, RIGHTS[name], float(expires))


@dataclass(slots=True)
class Grants:
    """The tokens put on one connection, the last one for an audience counting."""

    _tokens: dict[str, Token] = field(default_factory=dict)

    def put(self, token: Token) -> None:
        self._tokens[token.audience.rstrip("/").lower()] = token

    def permits(self, entity: str, right: Right, now: float) -> bool:
        """Whether a token that still holds covers the entity's path and carries the right."""
        return self.until(entity, right) > now

    def until(self, entity: str, right: Right) -> float:
        """When the last token that permits it expires; 0 if there is none."""
        return max(
            (
                token.expires
                for token in self._tokens.values()
                if right & token.rights and _covers_path(token.audience, entity)
            ),
            default=0.0,
        )


def _covers_path(audience: str, entity: str) -> bool:
    host = "sb://any"
    _, _, path = audience.partition("://")
    return covers(f"{host}/{path.partition('/')[2]}", f"{host}/{entity}")
