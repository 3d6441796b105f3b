"""The documents that one page of a query reads: of one range, narrowed, decoded and counted.

Owns: which part of a range is read, decoding no more of a document than the query looks at, what reading took. Refuses
to know: results, pages.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from localazure.cosmos.queried import Prefilter, QueriedContainer, Scope, Stored
from localazure.cosmos.sql import CompiledQuery, Watch, prefilter
from localazure.cosmos.sql.values import Value, read_json


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


class Reader:
    """The documents of one target, counted as they are read.

    To be closed: a scan left open would keep its connection at the state it saw.
    """

    def __init__(
        self,
        container: QueriedContainer,
        query: CompiledQuery,
        parameters: dict[str, Value],
        target: Target,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self._container = container
        settled = container.partition_key_paths if target.key is not None else ()
        self._filter = prefilter.of(query.tree, parameters, settled)
        self.decode = _decoder(query.reads)
        self._target = target
        self.count = 0
        self.bytes = 0
        self.positions: list[str] = []
        self._scan: Iterator[Stored] = iter(())

    def close(self) -> None:
        if isinstance(self._scan, Generator):
            self._scan.close()

    def stored(self, after: str | None) -> Iterator[tuple[str, bytes]]:
        target = self._target
        condition = Prefilter(*self._filter) if self._filter is not None else None
        scope = Scope(target.minimum, target.maximum, target.key)
        self._scan = self._container.scan(scope, after, condition)
        tick = self.watch.tick
        for position, body in self._scan:
            tick()
            raw = body.encode() if isinstance(body, str) else body
            self.count += 1
            self.bytes += len(raw)
            yield position, raw

    def documents(self) -> Iterator[Value]:
        """All of them, decoded; `positions` tells where each was."""
        decode = self.decode
        for position, raw in self.stored(None):
            self.positions.append(position)
            yield decode(raw)
