"""Consistency levels: which there are, which one a request is served with.

How: the account has a default level; a request may ask for that one or a weaker one. Here a stronger read shows in its
charge (`charges`), and in the second region: a strong read sees the present there too, all others see the past.

Source: learn.microsoft.com/azure/cosmos-db/consistency-levels,
learn.microsoft.com/azure/cosmos-db/nosql/how-to-manage-consistency
"""

from __future__ import annotations

from localazure.cosmos.errors import BadRequest

STRONG, BOUNDED_STALENESS, SESSION = "Strong", "BoundedStaleness", "Session"
LEVELS = (STRONG, BOUNDED_STALENESS, SESSION, "ConsistentPrefix", "Eventual")
"""The strongest first."""

_BY_LOWER_NAME = {level.lower(): level for level in LEVELS}


def level_of(asked: str | None, default: str) -> str:
    """The level of a request that `asked` for this one (None: for none) of an account with that `default`.

    Raises: `BadRequest` for a level that does not exist or is stronger than the account's.
    """
    if asked is None:
        return default
    level = _BY_LOWER_NAME.get(asked.lower())
    if level is None:
        raise BadRequest(f"The consistency level {asked!r} is not one of {', '.join(LEVELS)}.")
    if LEVELS.index(level) < LEVELS.index(default):
        raise BadRequest(
            f"ConsistencyLevel {level} specified in the request is invalid when service is configured with consistency "
            f"level {default}. Ensure the request consistency level is not stronger than the service consistency level."
        )
    return level
