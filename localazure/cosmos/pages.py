"""Filling one page: documents of one range in, results and the place to go on from out.

Owns: how many results a page takes (items, 4 MB), TOP, OFFSET and LIMIT across pages, query metrics. Refuses to know:
the gateway's rules and answers (`queries`), the meaning of queries (`sql`), the form of tokens (`continuations`).

How: three ways. A streaming query goes on after the last document used up. A sorted one sorts again and goes on after
the last result given. All others (aggregates, groups, DISTINCT) run again and skip what was given. A page reads one
range; what was counted (skipped, taken) travels in the token.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/pagination,
learn.microsoft.com/azure/cosmos-db/nosql/query-metrics
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, TypedDict

import msgspec

from localazure.cosmos import continuations
from localazure.cosmos.continuations import Place
from localazure.cosmos.queried import Prefilter, QueriedContainer, Scope, Stored
from localazure.cosmos.sql import CompiledQuery, NonFiniteResult, OutOfTime, Watch, limits, ordering, prefilter
from localazure.cosmos.sql.execution import Execution, OrderedRow
from localazure.cosmos.sql.values import UNDEFINED, Value, is_finite, order_key, read_json

LARGEST_PAGE_BYTES: Final = 4 * 1024 * 1024

_encode_json = msgspec.json.Encoder(enc_hook=lambda undefined: None).encode  # the only type JSON has no form for


def _encode(query: CompiledQuery, value: Value) -> bytes:
    """Raises: NonFiniteResult."""
    if query.computes and not is_finite(value):
        raise NonFiniteResult
    try:
        return _encode_json(value)
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(value, separators=(",", ":"), default=lambda undefined: None).encode()


@lru_cache(maxsize=256)
def _decoder(reads: frozenset[str] | None) -> Callable[[bytes], Value]:
    """JSON text -> document; with `reads` only those properties of it, which spares making the others."""
    kind = Any if reads is None else TypedDict("Read", dict.fromkeys(reads, Any), total=False)  # type: ignore[operator]
    fast = msgspec.json.Decoder(kind).decode

    def decode(raw: bytes) -> Value:
        try:
            return fast(raw)
        except msgspec.DecodeError:  # half a surrogate pair, escaped, or a number beyond what it reads
            return read_json(raw)

    return decode


@dataclass(frozen=True, slots=True)
class Target:
    """A range, or the part of it, that a request reads; `key` for one partition key value."""

    id: str
    minimum: str
    maximum: str
    key: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`most_items` None: as many as fit. `place` None: from the beginning."""

    parameters: dict[str, Value]
    most_items: int | None
    digest: int
    place: Place | None


@dataclass(slots=True)
class Page:
    """Encoded results of one range, and what reading them took."""

    range_id: str
    items: list[bytes] = field(default_factory=list)
    continuation: str | None = None
    output_bytes: int = 0
    retrieved_documents: int = 0
    retrieved_bytes: int = 0
    started: float = field(default_factory=time.perf_counter)

    def metrics(self) -> str:
        """`name=value` pairs; only what was counted or measured."""
        used = len(self.items) / self.retrieved_documents if self.retrieved_documents else 1.0
        return (
            f"totalExecutionTimeInMs={(time.perf_counter() - self.started) * 1000:.2f};"
            f"retrievedDocumentCount={self.retrieved_documents};retrievedDocumentSize={self.retrieved_bytes};"
            f"outputDocumentCount={len(self.items)};outputDocumentSize={self.output_bytes};"
            f"indexUtilizationRatio={min(used, 1.0):.2f}"
        )

    def add(self, item: bytes) -> None:
        self.items.append(item)
        self.output_bytes += len(item)

    def is_full(self, most_items: int | None, item_bytes: int) -> bool:
        """Whether one more item of that size has no place."""
        if most_items is not None and len(self.items) >= most_items:
            return True
        return bool(self.items) and self.output_bytes + item_bytes > LARGEST_PAGE_BYTES


def fill(
    container: QueriedContainer, query: CompiledQuery, targets: list[Target], request: PageRequest, watch: Watch
) -> Page:
    """The next page of `query` over `targets` (in order).

    Raises: SqlRefused, NonFiniteResult, InvalidContinuation, OutOfTime.
    """
    at, place = _where(targets, request.place)
    page = Page(targets[at].id)
    sorts_undefined = ordering.sorts_undefined(query.tree, container.indexing_policy)
    execution = query.start(request.parameters, sorts_undefined=sorts_undefined, watch=watch)
    with closing(_Reader(container, query, request.parameters, targets[at], page, watch)) as reader:
        if query.streaming:
            following = _stream(query, execution, reader, page, request.most_items, place)
        elif query.ordered:
            following = _sorted(query, execution, reader, page, request.most_items, place)
        else:
            following = _repeated(query, execution, reader, page, request.most_items, place)
    if following is _RANGE_DONE and at + 1 < len(targets):
        following = place.next(targets[at + 1].minimum, targets[at + 1].maximum)
    if following is not None and following is not _RANGE_DONE:
        page.continuation = continuations.write(following, request.digest)
    return page


def _where(targets: list[Target], place: Place | None) -> tuple[int, Place]:
    """Which target to read and the place in it; targets that end before the token's range are done.

    Raises: InvalidContinuation.
    """
    if place is None:
        return 0, Place(targets[0].minimum, targets[0].maximum)
    for at, target in enumerate(targets):
        if target.minimum >= place.minimum:
            return at, place.within(target.minimum, target.maximum)
    raise continuations.InvalidContinuation("the token's range is not among those asked")


_RANGE_DONE: Final = Place(minimum="-")


class _Reader:
    """The documents of one target, counted into the page as they are read.

    To be closed: a scan left open would keep its connection at the state it saw.
    """

    def __init__(
        self,
        container: QueriedContainer,
        query: CompiledQuery,
        parameters: dict[str, Value],
        target: Target,
        page: Page,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self._container = container
        settled = container.partition_key_paths if target.key is not None else ()
        self._filter = prefilter.of(query.tree, parameters, settled)
        self.decode = _decoder(query.reads)
        self._target = target
        self._page = page
        self.positions: list[str] = []
        self._scan: Iterator[Stored] = iter(())

    def close(self) -> None:
        if isinstance(self._scan, Generator):
            self._scan.close()

    def stored(self, after: str | None) -> Iterator[tuple[str, bytes]]:
        target, page = self._target, self._page
        condition = Prefilter(*self._filter) if self._filter is not None else None
        scope = Scope(target.minimum, target.maximum, target.key)
        self._scan = self._container.scan(scope, after, condition)
        for position, body in self._scan:
            self.watch.tick()
            raw = body.encode() if isinstance(body, str) else body
            page.retrieved_documents += 1
            page.retrieved_bytes += len(raw)
            yield position, raw

    def documents(self) -> Iterator[Value]:
        """All of them, decoded; `positions` tells where each was."""
        decode = self.decode
        for position, raw in self.stored(None):
            self.positions.append(position)
            yield decode(raw)


def _stream(
    query: CompiledQuery, execution: Execution, reader: _Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    """A page whose time is over ends where it is, once it has come any further than the one before."""
    watch, reached = reader.watch, [place]
    try:
        return _streamed(query, execution, reader, page, most_items, reached)
    except OutOfTime:
        if reached[0] == place or watch.is_cancelled():
            raise
        return reached[0]


def _streamed(
    query: CompiledQuery,
    execution: Execution,
    reader: _Reader,
    page: Page,
    most_items: int | None,
    reached: list[Place],
) -> Place | None:
    """`reached` holds the place behind the last result (or document) that was used up."""
    skip, most = execution.bounds()
    place = reached[0]
    for position, raw in reader.stored(place.after):
        for row, result in enumerate(execution.outputs(reader.decode(raw))):
            if row < place.row:
                continue
            if most is not None and place.taken >= most:
                return None
            if place.skipped < skip:
                place = reached[0] = replace(place, skipped=place.skipped + 1, row=row + 1)
                continue
            item = raw if query.whole_document else _encode(query, result)
            if page.is_full(most_items, len(item)):
                return replace(place, row=row)
            page.add(item)
            place = reached[0] = replace(place, taken=place.taken + 1, row=row + 1)
            reader.watch.shorten(limits.LONGEST_PAGE_SECONDS)
        place = reached[0] = replace(place, after=position, row=0)
        reader.watch.shorten(limits.LONGEST_PAGE_SECONDS)
    return None if most is not None and place.taken >= most else _RANGE_DONE


def _sorted(
    query: CompiledQuery, execution: Execution, reader: _Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    skip, most = execution.bounds()
    rows = execution.ordered(reader.documents())
    if place.last is not None:
        is_after = _after_last(execution.directions, reader.positions, place)
        rows = [row for row in rows if is_after(row)]
        skip = 0
    taken, last = place.taken, None
    for row, value in execution.projected(rows):
        if skip > 0:
            skip -= 1
            continue
        if most is not None and taken >= most:
            break
        item = _encode(query, value)
        if last is not None and page.is_full(most_items, len(item)):
            keys = [[] if key is UNDEFINED else [key] for key in last.keys]
            after = reader.positions[last.document]
            return replace(place, after=after, row=last.row, taken=taken, last=keys)
        page.add(item)
        taken, last = taken + 1, row
    return _RANGE_DONE


def _after_last(directions: list[bool], positions: list[str], place: Place) -> Callable[[OrderedRow], bool]:
    """Whether a result comes after the one that `place` names, which need not exist any more."""
    wanted = [order_key(held[0] if held else UNDEFINED) for held in place.last or []]
    last = (int(place.after or 0), place.row)

    def is_after(result: OrderedRow) -> bool:
        for value, limit, descending in zip(result.keys, wanted, directions, strict=True):
            key = order_key(value)
            if key != limit:
                return (key < limit) if descending else (key > limit)
        came = (int(positions[result.document]), result.row)
        return came < last if directions[0] else came > last

    return is_after


def _repeated(
    query: CompiledQuery, execution: Execution, reader: _Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    for at, result in enumerate(execution.results(reader.documents())):
        if at < place.taken:
            continue
        item = _encode(query, result)
        if page.is_full(most_items, len(item)):
            return replace(place, taken=at)
        page.add(item)
    return _RANGE_DONE
