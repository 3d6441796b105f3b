"""Removing what has expired from the file: a few rows with every write, never all at once.

Readers never see an expired document (`documents.has_expired`); this only gives the space back.

How: each write to a container with a time to live looks at the next few rows of that container, in the order of
creation and round again, and deletes those that have expired. Used in the writer's thread only.
"""

from __future__ import annotations

from localazure.cosmos.documents import SEQUENCE_BITS, has_expired
from localazure.cosmos.writes import Turn, remove_number_if_expired

ROWS_PER_WRITE = 4


class Sweeper:
    """Remembers where it is in each container; where is lost with the process, and does not matter."""

    def __init__(self) -> None:
        self._cursors: dict[int, int] = {}

    def look(self, turn: Turn) -> None:
        place = turn.place
        if place.default_ttl is None:
            return
        first = place.container << SEQUENCE_BITS
        rows = turn.connection.execute(
            "SELECT number, ts, ttl FROM documents WHERE number > ? AND number < ? ORDER BY number LIMIT ?",
            (self._cursors.get(place.container, first), place.container + 1 << SEQUENCE_BITS, ROWS_PER_WRITE),
        ).fetchall()
        for number, ts, ttl in rows:
            if has_expired(place, ts, ttl, turn.now):
                remove_number_if_expired(turn, number)
        self._cursors[place.container] = rows[-1][0] if len(rows) == ROWS_PER_WRITE else first
