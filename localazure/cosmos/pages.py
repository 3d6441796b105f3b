"""Filling one page: documents of one range in, results and the place to go on from out.

Owns: how many results a page takes (items, 4 MB), TOP, OFFSET and LIMIT across pages, query metrics. Refuses to know:
the gateway's rules and answers (`queries`), the meaning of queries (`sql`), the form of tokens (`continuations`).

How: four ways. A streaming query goes on after the last document used up. A sorted one sorts again and goes on after
the last result given. DISTINCT and GROUP BY, which promise no order, run again in the order of their results' keys and
go on after the last of them. All others (a fold in FROM) run again and skip as many as were given. A page reads one
range; what was counted (skipped, taken) travels in the token.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/pagination,
learn.microsoft.com/azure/cosmos-db/nosql/query-metrics
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from localazure.cosmos import continuations
from localazure.cosmos.continuations import Place, Reached
from localazure.cosmos.page_documents import Reader, Target
from localazure.cosmos.queried import QueriedContainer
from localazure.cosmos.sql import CompiledQuery, NonFiniteResult, OutOfTime, Watch, limits, ordering, rules
from localazure.cosmos.sql.execution import Execution, OrderedRow
from localazure.cosmos.sql.held import Held
from localazure.cosmos.sql.values import UNDEFINED, Value, identity_key, is_finite, order_key, place_key

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
    with closing(Reader(container, query, request.parameters, targets[at], watch)) as reader:
        if query.streaming:
            following = _stream(query, execution, reader, page, request.most_items, place)
        elif query.ordered:
            following = _sorted(query, execution, reader, page, request.most_items, place)
        elif query.keyed:
            following = _keyed(query, execution, reader, page, request.most_items, place)
        else:
            following = _repeated(query, execution, reader, page, request.most_items, place)
        page.retrieved_documents, page.retrieved_bytes = reader.count, reader.bytes
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


def _stream(
    query: CompiledQuery, execution: Execution, reader: Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    """A page whose time is over ends where it is, once it has come any further than the one before."""
    skip, most = execution.bounds()
    reached = Reached.of(place)
    try:
        is_full = _streamed(query, execution, reader, page, (most_items, skip, most), reached)
    except OutOfTime:
        if reached == Reached.of(place) or reader.watch.is_cancelled():
            raise
        is_full = True
    if most is not None and reached.taken >= most:
        return None
    return reached.in_range_of(place) if is_full else _RANGE_DONE


def _streamed(
    query: CompiledQuery,
    execution: Execution,
    reader: Reader,
    page: Page,
    bounds: tuple[int | None, int, int | None],
    reached: Reached,
) -> bool:
    """Whether the page ends before the range does."""
    most_items, skip, most = bounds
    for position, raw in reader.stored(reached.after):
        for row, result in enumerate(execution.outputs(reader.decode(raw))):
            if row < reached.row:
                continue
            if most is not None and reached.taken >= most:
                return True
            if reached.skipped < skip:
                reached.skipped += 1
            else:
                item = raw if query.whole_document else _encode(query, result)
                if page.is_full(most_items, len(item)):
                    return True
                page.add(item)
                reached.taken += 1
            reached.row = row + 1
            if reader.count == 1:
                reader.watch.shorten(limits.LONGEST_PAGE_SECONDS)
        reached.after, reached.row = position, 0
        if reader.count == 1:
            reader.watch.shorten(limits.LONGEST_PAGE_SECONDS)
    return False


def _sorted(
    query: CompiledQuery, execution: Execution, reader: Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    skip, most = execution.bounds()
    rows = execution.ordered(reader.documents())
    is_after = _after_last(execution.directions, reader.positions, place)
    if query.tree.distinct:
        found = _first_of_each(execution.projected(rows), _known(query, place))
        found = (pair for pair in found if is_after(pair[0]))
    else:
        found = execution.projected(filter(is_after, rows))
    if place.last is not None:
        skip = 0
    taken, last = place.taken, None
    for row, value in found:
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
    if place.last is None:
        return lambda result: True
    wanted = [order_key(held[0] if held else UNDEFINED) for held in place.last]
    last = (int(place.after or 0), place.row)

    def is_after(result: OrderedRow) -> bool:
        for value, limit, descending in zip(result.keys, wanted, directions, strict=True):
            key = order_key(value)
            if key != limit:
                return (key < limit) if descending else (key > limit)
        came = (int(positions[result.document]), result.row)
        return came < last if directions[0] else came > last

    return is_after


def _known(query: CompiledQuery, place: Place) -> set[Any]:
    """The last result given, where ORDER BY tells it: another item may still hold it."""
    if place.last is None or not rules.orders_its_results(query.tree):
        return set()
    return {identity_key(held[0] if held else UNDEFINED) for held in place.last}


def _first_of_each(found: Iterator[tuple[OrderedRow, Value]], known: set[Any]) -> Iterator[tuple[OrderedRow, Value]]:
    """DISTINCT over what ORDER BY sorted."""
    held = Held()
    for row, value in found:
        identity = identity_key(value)
        if identity not in known:
            known.add(identity)
            held.add_key(identity)
            yield row, value


def _keyed(
    query: CompiledQuery, execution: Execution, reader: Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    """In the order of what tells the results apart, so that the next page goes on after the last one given.

    Nothing is lost or given twice when items come and go between two pages.
    """
    skip, most = execution.bounds()
    found, held = [], Held()
    for key, value in execution.keyed(reader.documents()):
        held.add(value)
        found.append((tuple(map(place_key, key)), value))
    found.sort(key=lambda pair: pair[0])
    if place.last is not None:
        last = tuple(map(tuple, place.last))
        try:
            found, skip = [pair for pair in found if pair[0] > last], 0
        except TypeError as error:
            raise continuations.InvalidContinuation("the token's keys are none of this query") from error
    end = None if most is None else skip + most - place.taken
    for at, (_, value) in enumerate(found[skip:end], skip):
        item = _encode(query, value)
        if page.items and page.is_full(most_items, len(item)):
            return replace(place, taken=place.taken + len(page.items), last=[list(key) for key in found[at - 1][0]])
        page.add(item)
    return _RANGE_DONE


def _repeated(
    query: CompiledQuery, execution: Execution, reader: Reader, page: Page, most_items: int | None, place: Place
) -> Place | None:
    for at, result in enumerate(execution.results(reader.documents())):
        if at < place.taken:
            continue
        item = _encode(query, result)
        if page.is_full(most_items, len(item)):
            return replace(place, taken=at)
        page.add(item)
    return _RANGE_DONE
