"""Whatever happens in whatever order, and whenever it is killed: a log gives what was acknowledged, once, in its place.

The model is a list of transfers per partition; the log is the real one, on real files, small enough to be full often.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from localazure import write_ahead
from localazure.eventhubs import unmoved
from localazure.eventhubs.catalog import HubRecord
from tests.unit.eventhubs.driven_log import Service

HUBS, PARTITIONS = st.integers(0, 1), st.integers(0, 2)
TRANSFERS = st.lists(st.tuples(PARTITIONS, st.integers(1, 3), st.integers(0, 60)), min_size=1, max_size=4)


@dataclass(frozen=True)
class Transfer:
    first: int
    bodies: tuple[bytes, ...]
    at_ms: int


class AnyOrder(RuleBasedStateMachine):
    folder: Path
    numbers: itertools.count[int]

    def __init__(self) -> None:
        super().__init__()
        place = self.folder / f"run-{next(self.numbers)}"
        place.mkdir()
        self.service = Service(place)
        self.now_ms = 1_000
        self.bodies = itertools.count()
        self.kept: dict[int, list[Transfer]] = {}
        self.ends: dict[int, int] = {}
        self.latest_ms: dict[int, int] = {}
        self.hubs = [self._new_hub(0), self._new_hub(1)]

    def teardown(self) -> None:
        self.service.log.close()

    def _new_hub(self, hub: int) -> HubRecord:
        made = self.service.hub(f"hub-{hub}-{next(self.bodies)}", 3)
        self.kept |= {partition: [] for partition in made.partitions}
        self.ends |= dict.fromkeys(made.partitions, 0)
        return made

    @rule(hub=HUBS, transfers=TRANSFERS, back_ms=st.integers(-40, 40))
    def send(self, hub: int, transfers: list[tuple[int, int, int]], back_ms: int) -> None:
        """Several at once; the clock may go back."""
        self.now_ms += back_ms
        before = len(self.service.outcomes)
        for number, count, size in transfers:
            partition = self.hubs[hub].partitions[number]
            bodies = tuple(b"%d:" % next(self.bodies) + b"x" * size * 10 for _ in range(count))
            self.service.add(partition, *bodies, now_ms=self.now_ms)
            at_ms = self.latest_ms[partition] = max(self.now_ms, self.latest_ms.get(partition, 0))
            self.kept[partition].append(Transfer(self.ends[partition], bodies, at_ms))
            self.ends[partition] += count
        self.service.settle(before + len(transfers))
        assert self.service.outcomes[before:] == [None] * len(transfers)

    @rule()
    def begin_to_move(self) -> None:
        """Moved, but not reported."""
        self.service.log._intake.unmoved.move()
        self.service.log._journal.run(lambda _: None)

    @rule()
    def report(self) -> None:
        self.service.report()

    @rule()
    def fail_to_move(self) -> None:
        def broken(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        self.service.report()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(unmoved, "_insert", broken)
            self.service.move()

    @rule(hub=HUBS, number=PARTITIONS)
    def fail_to_write(self, hub: int, number: int) -> None:
        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(write_ahead, "_flush", broken)
            assert isinstance(self.service.send(self.hubs[hub].partitions[number], b"never", b"never"), OSError)

    @rule(hub=HUBS, age_ms=st.integers(0, 200))
    def expire(self, hub: int, age_ms: int) -> None:
        before_ms = self.now_ms - age_ms
        for partition in self.hubs[hub].partitions:
            self._move_all()
            self.service.log.expire(partition, before_ms, None)
            self.service.report()
            self.kept[partition] = [one for one in self.kept[partition] if one.at_ms >= before_ms]

    def _move_all(self) -> None:
        self.service.report()
        while not self.service.log._intake.unmoved.is_empty:
            self.service.move()

    @rule(hub=HUBS)
    def end_retention(self, hub: int) -> None:
        partitions = self.hubs[hub].partitions
        expected = sum(len(one.bodies) for partition in partitions for one in self.kept[partition])
        assert self.service.log.expire_all(partitions) == expected
        self.kept |= {partition: [] for partition in partitions}

    @rule(hub=HUBS)
    def make_anew(self, hub: int) -> None:
        self.service.log.drop_hub(self.hubs[hub])
        for partition in self.hubs[hub].partitions:
            del self.kept[partition], self.ends[partition]
        self.hubs[hub] = self._new_hub(hub)

    @rule()
    def kill(self) -> None:
        self.service.log._journal.run(lambda _: None)
        killed = self.service
        self.service = killed.killed(self.folder / f"run-{next(self.numbers)}")
        killed.log.close()

    @rule()
    def restart(self) -> None:
        self.service.log.close()
        assert [one.name for one in self.service.folder.iterdir()] == ["events.sqlite"]
        self.service = Service(self.service.folder)

    @invariant()
    def everything_is_there_once_and_in_its_place(self) -> None:
        log = self.service.log
        for partition, kept in self.kept.items():
            end = log.tail(partition).next_sequence
            assert end == self.ends[partition]
            assert log.first_sequence(partition, log.tail(partition)) == (kept[0].first if kept else end)
            found = self.service.all(partition)
            assert [first for first, _, _ in found] == [one.first for one in kept]
            for (_, _, events), one in zip(found, kept, strict=True):
                assert b"".join(one.bodies) == b"".join(body for body in one.bodies if body in events)
            for sequence in range(kept[0].first if kept else end, end):
                (chunk, *_) = log.read(partition, sequence, 1)
                assert chunk.first_sequence <= sequence < chunk.first_sequence + len(chunk.sizes)
                following = log.chunk_from(partition, sequence, end)
                later = [(one.first, one.at_ms) for one in kept if one.first >= sequence]
                assert [(one[0], one[2]) for one in (following,) if one] == later[:1]


@pytest.mark.parametrize("flushes_in_the_loop", [True, False])
def test_any_order_of_sends_moves_failures_removals_and_kills_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushes_in_the_loop: bool
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 8_000)
    monkeypatch.setattr(unmoved, "BYTES_PER_MOVE", 6_000)
    monkeypatch.setattr(unmoved, "MOST_BYTES_PER_MOVE", 9_000)
    monkeypatch.setattr(
        "localazure.eventhubs.intake.LONGEST_FLUSH_IN_THE_LOOP_SECONDS", 60.0 if flushes_in_the_loop else 0.0
    )
    monkeypatch.setattr("localazure.eventhubs.intake.MOST_BYTES_PER_FLUSH", 4_000)
    machine: Callable[[], AnyOrder] = type("Here", (AnyOrder,), {"folder": tmp_path, "numbers": itertools.count()})
    few = settings(max_examples=12, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
