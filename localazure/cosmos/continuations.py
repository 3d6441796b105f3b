"""Continuation tokens of queries: where the next page begins, in a text the client hands back.

Owns: the form of the token and the refusal of one that this query did not give. Refuses to know: what is in a page.

How: JSON with `token` and `range`, as the gateway's is; the token inside is opaque to clients and good across restarts,
because it names document positions, not server state. It carries a digest of query and parameters.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/pagination (tokens are opaque and do not expire)
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any


class InvalidContinuation(ValueError):
    """The text is no token of this query."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a query has come.

    `minimum`: start of the range being read. `after`: the last document used up (None: none yet); `row`: results of
    the next one that are given already. `skipped`, `taken`: counted for OFFSET, LIMIT and TOP. `last`: when sorted, the
    ORDER BY values of the last result given, each in a list that is empty for undefined; the `place_key`s of the last
    result of DISTINCT or GROUP BY.

    `until`: end of that range when the token was written. If the range has been split since, each part goes on after
    the same document: the parts up to `split_until` after `split_after`.
    """

    minimum: str = ""
    until: str = ""
    after: str | None = None
    row: int = 0
    skipped: int = 0
    taken: int = 0
    last: list[list[Any]] | None = None
    split_until: str = ""
    split_after: str | None = None

    def within(self, minimum: str, maximum: str) -> Place:
        """The place in the range `minimum`..`maximum`, which is this one's or a part of it.

        Raises: InvalidContinuation for any other range.
        """
        if minimum == self.minimum and self.until in ("", maximum):
            return replace(self, until=maximum)
        if not self.minimum <= minimum <= maximum <= self.until:
            raise InvalidContinuation("the token's range is not the one asked")
        return replace(self, minimum=minimum, until=maximum, row=0, split_until=self.until, split_after=self.after)

    def next(self, minimum: str, maximum: str) -> Place:
        """The beginning of the next range; what was counted stays counted."""
        after = self.split_after if minimum < self.split_until else None
        return Place(
            minimum,
            maximum,
            after,
            skipped=self.skipped,
            taken=self.taken,
            split_until=self.split_until,
            split_after=self.split_after,
        )


@dataclass(slots=True)
class Reached:
    """The place behind the last result, or document, that was used up: as `Place` has it, changed along the way."""

    after: str | None
    row: int
    skipped: int
    taken: int

    @classmethod
    def of(cls, place: Place) -> Reached:
        return cls(place.after, place.row, place.skipped, place.taken)

    def in_range_of(self, place: Place) -> Place:
        return replace(place, after=self.after, row=self.row, skipped=self.skipped, taken=self.taken)


def digest(query: str, parameters: Any) -> int:
    return zlib.crc32(json.dumps([query, parameters], sort_keys=True, default=str).encode())


def write(place: Place, query_digest: int) -> str:
    state = {"q": query_digest, **{name: value for name, value in asdict(place).items() if value not in (None, 0, "")}}
    raw = json.dumps(state, separators=(",", ":")).encode()
    token = base64.urlsafe_b64encode(zlib.compress(raw)).decode("ascii")
    return json.dumps({"token": token, "range": {"min": place.minimum, "max": place.until}}, separators=(",", ":"))


def read(text: str, query_digest: int) -> Place:
    """Raises: InvalidContinuation."""
    try:
        state = json.loads(zlib.decompress(base64.urlsafe_b64decode(json.loads(text)["token"])))
        if state.pop("q") != query_digest:
            raise InvalidContinuation("the token belongs to another query")
        return _checked(Place(**state))
    except (ValueError, TypeError, KeyError, zlib.error, RecursionError) as error:
        raise InvalidContinuation(str(error)) from error


def _is_position(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit()


def _checked(place: Place) -> Place:
    counts = (place.row, place.skipped, place.taken)
    texts_fit = all(isinstance(text, str) for text in (place.minimum, place.until, place.split_until))
    counts_fit = all(type(count) is int and count >= 0 for count in counts)
    after_fits = all(after is None or _is_position(after) for after in (place.after, place.split_after))
    last_fits = place.last is None or (isinstance(place.last, list) and all(type(key) is list for key in place.last))
    if not (texts_fit and counts_fit and after_fits and last_fits):
        raise InvalidContinuation("the token's fields do not fit")
    return place
