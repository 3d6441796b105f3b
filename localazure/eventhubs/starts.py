"""Where in a partition's log a wanted position lies: the sequence number to begin with.

Owns: the search by sequence number, offset and time. Refuses to know: how a position was written (`positions`).

How: within a partition offset and time grow with the sequence number, so the chunk is found by bisection, without an
index; within an offset's chunk the sizes are added up.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-features (offsets; "consume from"); the sentences of the
refusals are the service's own.
"""

from __future__ import annotations

from collections.abc import Callable

from localazure.eventhubs.catalog import Tail
from localazure.eventhubs.chunks import Chunk
from localazure.eventhubs.log import Log
from localazure.eventhubs.positions import By, Position
from localazure.eventhubs.refusals import ArgumentError


def first_to_deliver(log: Log, partition: int, position: Position, tail: Tail) -> int:
    """The sequence number of the first event to deliver. Raises: `ArgumentError` behind the log's end."""
    first = log.first_sequence(partition, tail)
    match position.by:
        case By.START:
            return first
        case By.END:
            return tail.next_sequence
        case By.SEQUENCE:
            _check("sequence number", position.value, tail.next_sequence - 1)
            return max(first, position.value if position.is_inclusive else position.value + 1)
        case By.OFFSET:
            _check("offset", position.value, tail.last_offset)
            return _by_offset(log, partition, position, first, tail)
        case By.TIME:
            return _by_time(log, partition, position, first, tail)


def _check(what: str, value: int, last: int) -> None:
    if value > last:
        raise ArgumentError(f"The supplied {what} '{value}' is invalid. The last {what} in the system is '{last}'")


def _by_offset(log: Log, partition: int, position: Position, first: int, tail: Tail) -> int:
    wanted = position.value if position.is_inclusive else position.value + 1
    chunk = _last_chunk(log, partition, first, tail.next_sequence, lambda offset, _: offset <= wanted)
    if chunk is None:
        return first
    sequence, offset = chunk.first_sequence, chunk.first_offset
    for size in chunk.sizes:
        if offset >= wanted:
            break
        sequence += 1
        offset += size
    return sequence


def _by_time(log: Log, partition: int, position: Position, first: int, tail: Tail) -> int:
    wanted = position.value if position.is_inclusive else position.value + 1
    chunk = _last_chunk(log, partition, first, tail.next_sequence, lambda _, enqueued_ms: enqueued_ms < wanted)
    return first if chunk is None else chunk.first_sequence + len(chunk.sizes)


def _last_chunk(log: Log, partition: int, low: int, high: int, is_before: Callable[[int, int], bool]) -> Chunk | None:
    """Bisection: the last chunk from `low` to `high` for which (first offset, enqueued ms) is still before."""
    last: int | None = None
    while low < high:
        middle = (low + high) // 2
        found = log.chunk_from(partition, middle, high)
        if found is not None and is_before(found[1], found[2]):
            last, low = found[0], found[0] + 1
        else:
            high = middle
    return None if last is None else log.read(partition, last, 0)[0]
