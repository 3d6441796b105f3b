"""Session tokens: what a client has seen, and whether this replica has seen it too.

How: a token is `<range id>:-1#<LSN>`, several are joined by commas. Sequence numbers count per container, not per
physical partition, so the highest number of a token is what a reader must have reached, whatever ranges it names;
that also carries a session over a split.

Source: azure-sdk-for-python, _vector_session_token.py; learn.microsoft.com/azure/cosmos-db/consistency-levels
"""

from __future__ import annotations

from localazure.cosmos.errors import BadRequest, SessionNotAvailable
from localazure.cosmos.texts import is_whole


def token_of(range_id: str, lsn: int) -> str:
    return f"{range_id}:-1#{lsn}"


def promised_lsn(token: str | None) -> int:
    """The highest LSN that `token` promises; 0 without one. Raises: `BadRequest` for what is no session token."""
    highest = 0
    for part in token.split(",") if token else ():
        _, _, vector = part.partition(":")
        segments = vector.split("#")
        if len(segments) < 2 or not is_whole(segments[1]):
            raise BadRequest(f"The session token {token!r} cannot be read.")
        highest = max(highest, int(segments[1]))
    return highest


def check(token: str | None, reached: int) -> None:
    """Raises: `SessionNotAvailable` where the client has seen more than `reached`."""
    promised = promised_lsn(token)
    if promised > reached:
        raise SessionNotAvailable(
            f"The read session is not available for the input session token: it is at {promised}, "
            f"this replica at {reached}."
        )
