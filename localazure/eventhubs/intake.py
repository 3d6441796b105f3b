"""What arrives, made durable at once and put in its place afterwards.

Owns: sequence numbers, offsets and enqueued times; the promise behind every acknowledgement. Refuses to know: links.

How: what waits is written ahead as it came, one flush for all of it (`write_ahead`), and acknowledged. Then it is
stamped, kept in memory as chunks, and moved into the SQLite file, many transfers per commit (`unmoved`); when that
commit is on disk, what was written ahead may be written over. After a kill, what was written ahead and is not yet in
the file is cut and stamped again, from the same bytes and with the same numbers.

While flushes take less than the handling of a batch, one message that waits alone is flushed in the event loop. All
else is flushed by a thread, and what arrives meanwhile shares the next flush. A number is given out only when all
before it are written: a failed write leaves no gap. Whoever cannot be told (a connection that fails) takes nothing from
the others, nor from what is kept: a number that is on disk is never given out again.
"""

from __future__ import annotations

import logging
import queue
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from localazure.eventhubs.catalog import NEVER_MS, Tail
from localazure.eventhubs.chunks import Chunk
from localazure.eventhubs.messages import Cutter, Event, split, stamp
from localazure.eventhubs.refusals import EntityGone
from localazure.eventhubs.unmoved import Unmoved
from localazure.journal import Journal, Post
from localazure.write_ahead import SEGMENT_BYTES, Full, Record, WriteAhead

logger = logging.getLogger(__name__)

LONGEST_FLUSH_IN_THE_LOOP_SECONDS = 0.0005
FORGETTING = 0.7
"""What the longest flush counts with each further one. A move delays about one flush in ten: others need not pay."""
MOST_BYTES_PER_FLUSH = SEGMENT_BYTES // 2
"""On disk; one message more, of 1 MiB at most, still fits into a segment."""
_RECORD = struct.Struct("<QQqI")
"""Partition, sequence number of the first event, enqueued ms, message format: behind the message's bytes."""


class Arriving:
    """One message while it arrives: what can be done before it is whole is done as its parts come."""

    def __init__(self, message_format: int) -> None:
        self.message_format = message_format
        self.cutter = Cutter(message_format)
        self.record = Record()

    def add(self, part: bytes) -> None:
        self.cutter.add(part)
        self.record.add(part)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole message and where it goes.

    `done(None)` follows when it is durable, or else with what is in the way; then `kept` with the new tail.
    """

    message: Arriving
    partition: int
    now_ms: int
    done: Callable[[BaseException | None], None]
    kept: Callable[[Tail], None]


@dataclass(frozen=True, slots=True)
class _Numbered:
    arrived: Arrived
    first_sequence: int
    enqueued_ms: int

    def record(self) -> Record:
        one, record = self.arrived.message, self.arrived.message.record
        head = _RECORD.pack(self.arrived.partition, self.first_sequence, self.enqueued_ms, one.message_format)
        whole = Record(record.parts.copy(), record.size_bytes, record.check)
        whole.add(head)
        return whole


_Outcome = tuple[int, BaseException | None]


class Intake:
    """The way of all transfers of one service. Called from one thread, the one that `post` and `soon` call back on."""

    def __init__(self, ahead: WriteAhead, journal: Journal, tails: dict[int, Tail], post: Post, soon: Post) -> None:
        self._ahead = ahead
        self._tails = tails
        self._post = post
        self._soon = soon
        self._waiting: deque[Arrived] = deque()
        self._turn_planned = self._is_writing = self._closed = False
        self.unmoved = Unmoved(journal, self._moved)
        self._longest_seconds = LONGEST_FLUSH_IN_THE_LOOP_SECONDS * 2
        self._groups: queue.SimpleQueue[list[_Numbered] | None] = queue.SimpleQueue()
        self._written_groups: queue.SimpleQueue[tuple[list[_Numbered], _Outcome]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_groups, name="write-ahead", daemon=True)
        self._thread.start()
        for number, record in ahead.recovered():
            self._recover(number, record)
        self.unmoved.move()
        self._release_if_all_is_moved()

    def add(self, arrived: Arrived) -> None:
        """Have it stored."""
        self._waiting.append(arrived)
        self._plan_turn()

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way to the disk, so that a report will follow."""
        return self._turn_planned or self._is_writing

    def tail(self, partition: int) -> Tail:
        return self._tails[partition]

    def begin(self, partition: int) -> None:
        """A new partition."""
        self._tails[partition] = Tail(0, 0, -1, NEVER_MS)

    def forget(self, partition: int) -> None:
        """The partition's hub has gone: what still arrives is refused."""
        self._tails.pop(partition, None)
        self.unmoved.forget(partition)

    def close(self) -> None:
        """Move everything into the file; what waits is not acknowledged and not kept."""
        if self._closed:
            return
        self._closed = True
        self._groups.put(None)
        self._thread.join()
        while not self._written_groups.empty():
            group, (number, problem) = self._written_groups.get()
            if problem is None:
                _run_all(self._keeping(group, number))
        self.unmoved.close()
        self._release_if_all_is_moved()
        self._ahead.close()

    # Making durable.

    def _plan_turn(self) -> None:
        if not self._turn_planned and not self._is_writing:
            self._turn_planned = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._turn_planned = False
        if self._closed or self._is_writing:
            return
        group, refusals = self._next_group()
        _run_all([partial(self._hand_on, group), *refusals])

    def _hand_on(self, group: list[_Numbered]) -> None:
        """Have it written: here, or by the thread."""
        if not group:
            return
        self._is_writing = True
        if len(group) > 1 or self._longest_seconds > LONGEST_FLUSH_IN_THE_LOOP_SECONDS:
            self._groups.put(group)
        else:
            self._report(group, self._write(group))

    def _next_group(self) -> tuple[list[_Numbered], list[Callable[[], None]]]:
        """What shares the next flush, numbered on from the tails; and whom to tell that their hub has gone."""
        group: list[_Numbered] = []
        refusals: list[Callable[[], None]] = []
        ends: dict[int, tuple[int, int]] = {}
        size_bytes = 0
        while self._waiting and size_bytes < MOST_BYTES_PER_FLUSH:
            arrived = self._waiting.popleft()
            tail = self._tails.get(arrived.partition)
            if tail is None:
                refusals.append(partial(arrived.done, EntityGone("the hub has been deleted")))
                continue
            first, last_ms = ends.get(arrived.partition, (tail.next_sequence, tail.last_enqueued_ms))
            enqueued_ms = max(arrived.now_ms, last_ms)
            ends[arrived.partition] = first + arrived.message.cutter.count, enqueued_ms
            group.append(_Numbered(arrived, first, enqueued_ms))
            size_bytes += arrived.message.record.written_bytes + _RECORD.size
        return group, refusals

    def _write(self, group: list[_Numbered]) -> _Outcome:
        began = time.perf_counter()
        try:
            number, problem = self._ahead.write([one.record() for one in group]), None
        except (OSError, Full) as error:
            return 0, error
        self._longest_seconds = max(time.perf_counter() - began, self._longest_seconds * FORGETTING)
        return number, problem

    def _write_groups(self) -> None:
        """The thread for slow disks."""
        while (group := self._groups.get()) is not None:
            self._written_groups.put((group, self._write(group)))
            try:
                self._post(self._report_written)
            except RuntimeError:
                logger.debug("the loop has gone; what was written has nobody to be told")

    def _report_written(self) -> None:
        with suppress(queue.Empty):
            self._report(*self._written_groups.get_nowait())

    def _report(self, group: list[_Numbered], outcome: _Outcome) -> None:
        self._is_writing = False
        number, problem = outcome
        if isinstance(problem, Full):
            self._waiting.extendleft(one.arrived for one in reversed(group))
            if self._release_if_all_is_moved():
                self._plan_turn()
            else:
                self.unmoved.move()
            return
        telling = [partial(one.arrived.done, problem) for one in group]
        if problem is None:
            _run_all([*telling, *self._keeping(group, number), self._go_on])
        else:
            logger.error("writing %d messages ahead failed: %s", len(group), problem)
            _run_all([*telling, self._go_on])

    def _go_on(self) -> None:
        self.unmoved.move_if_many()
        self._release_if_all_is_moved()
        if self._waiting:
            self._plan_turn()

    # Putting in place.

    def _keeping(self, group: list[_Numbered], last_number: int) -> list[Callable[[], None]]:
        """What is to be done with each of a group that is durable now."""
        return [partial(self._keep, number, one) for number, one in enumerate(group, last_number - len(group) + 1)]

    def _keep(self, number: int, one: _Numbered) -> None:
        """Cut and stamp it, and tell where the log ends."""
        arrived = one.arrived
        events = arrived.message.cutter.events()
        tail = self._add_chunk(number, arrived.partition, one.first_sequence, one.enqueued_ms, events)
        if tail is not None:
            arrived.kept(tail)

    def _recover(self, number: int, record: bytes) -> None:
        partition, first_sequence, enqueued_ms, message_format = _RECORD.unpack_from(record, len(record) - _RECORD.size)
        tail = self._tails.get(partition)
        if tail is not None and first_sequence == tail.next_sequence:
            events = split(record[: -_RECORD.size], message_format)
            self._add_chunk(number, partition, first_sequence, enqueued_ms, events)
        elif tail is not None and first_sequence > tail.next_sequence:
            logger.error("partition %d lacks what came before %d", partition, first_sequence)

    def _add_chunk(
        self, number: int, partition: int, first_sequence: int, enqueued_ms: int, events: list[Event]
    ) -> Tail | None:
        tail = self._tails.get(partition)
        if tail is None:
            return None
        stamped, sizes = stamp(events, first_sequence, tail.next_offset, enqueued_ms)
        chunk = Chunk(first_sequence, tail.next_offset, enqueued_ms, tuple(sizes), stamped)
        end = tail.next_offset + len(stamped)
        tail = self._tails[partition] = Tail(first_sequence + len(sizes), end, end - sizes[-1], enqueued_ms)
        self.unmoved.add(number, partition, chunk, tail)
        return tail

    def _release_if_all_is_moved(self) -> bool:
        """Also the records of deleted hubs, and of what the file had already. Nothing may be on its way to the disk."""
        if self.unmoved.is_empty:
            self._ahead.release(self._ahead.last_number)
        return self.unmoved.is_empty

    def _moved(self, number: int, problem: BaseException | None) -> None:
        """There is room for what waits; or there is none, and none will come of itself."""
        if problem is None:
            self._ahead.release(number)
            if self._waiting:
                self._plan_turn()
        elif not self.is_busy:
            waiting, self._waiting = self._waiting, deque()
            _run_all([partial(arrived.done, problem) for arrived in waiting])


def _run_all(steps: Sequence[Callable[[], None]]) -> None:
    """Each in order, also when one before it raises; the first that was raised is raised at the end."""
    raised: BaseException | None = None
    for step in steps:
        try:
            step()
        except BaseException as error:
            raised = raised or error
    if raised is not None:
        raise raised
