"""What is acknowledged is written ahead first and moved into the file later; nobody who reads can tell."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from localazure import write_ahead
from localazure.eventhubs import intake, unmoved
from localazure.eventhubs.refusals import EntityGone
from tests.unit.eventhubs.driven_log import Service, rows
from tests.unit.failing_disk import no_flush


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "data").mkdir()
    with Service(tmp_path / "data") as made:
        yield made


def test_what_is_acknowledged_is_read_the_same_before_and_after_it_is_moved(service: Service) -> None:
    first, second = service.hub().partitions
    for number in range(6):
        assert service.send(first if number % 3 else second, b"%d" % number, b"x" * 300) is None
        if number == 2:
            service.move()
    assert rows(service) == 3
    before = service.all(first), service.all(second)
    starts = [service.log.chunk_from(first, sequence, 8) for sequence in range(8)]
    service.move()
    assert rows(service) == 6
    assert (service.all(first), service.all(second)) == before
    assert [service.log.chunk_from(first, sequence, 8) for sequence in range(8)] == starts
    assert [one[0] for one in before[0]] == [0, 2, 4, 6]
    assert service.log.first_sequence(first, service.log.tail(first)) == 0


def test_tails_are_told_after_the_acknowledgement_and_grow_without_a_gap(service: Service) -> None:
    partition = service.hub().partitions[0]
    for _ in range(3):
        service.add(partition, b"a", b"b", now_ms=9)
    service.add(partition, b"c", now_ms=2)
    service.settle(4)
    assert [tail.next_sequence for tail in service.tails] == [2, 4, 6, 7]
    assert service.tails[-1].last_enqueued_ms == 9, "time does not go back within a partition"
    assert service.tails[-1] == service.log.tail(partition)


def test_after_a_kill_every_acknowledged_event_is_there_with_its_number_and_offset(
    service: Service, tmp_path: Path
) -> None:
    first, second = service.hub().partitions
    for number in range(8):
        service.send(first if number % 3 else second, b"%d" % number, b"x" * 300)
        if number == 3:
            service.move()
    before = service.all(first), service.all(second)
    with service.killed(tmp_path / "killed") as again:
        assert (again.all(first), again.all(second)) == before
        assert again.log.tail(first) == service.log.tail(first)
        again.send(first, b"later")
        assert again.log.tail(first).next_sequence == service.log.tail(first).next_sequence + 1
        with again.killed(tmp_path / "killed again") as once_more:
            assert [one[2] for one in once_more.all(first)][:-1] == [one[2] for one in before[0]]
    assert rows(once_more) == 9


def test_what_was_moved_and_is_still_written_ahead_is_not_there_twice(service: Service, tmp_path: Path) -> None:
    partition = service.hub().partitions[0]
    service.send(partition, b"one")
    service.log._intake.unmoved.move()
    service.log._journal.run(lambda _: None)
    with service.killed(tmp_path / "killed") as again:
        assert [one[0] for one in again.all(partition)] == [0]
    assert rows(again) == 1
    assert [one.name for one in again.folder.iterdir()] == ["events.sqlite"]


def test_closed_it_leaves_everything_in_the_file_and_nothing_beside_it(service: Service) -> None:
    partition = service.hub().partitions[0]
    service.send(partition, b"one")
    service.log._intake.unmoved.move()
    service.send(partition, b"two")
    service.log.close()
    assert rows(service) == 2
    assert [one.name for one in service.folder.iterdir()] == ["events.sqlite"]


def test_messages_that_wait_share_a_flush(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = 0
    flush = write_ahead._flush

    def counted(number: int) -> None:
        nonlocal flushes
        flushes += 1
        flush(number)

    monkeypatch.setattr(write_ahead, "_flush", counted)
    first, second = service.hub().partitions
    for number in range(20):
        service.add(first if number % 2 else second, b"%d" % number)
    service.settle(20)
    assert flushes == 1


@pytest.mark.parametrize("is_quick", [True, False])
def test_a_slow_disk_is_waited_for_by_a_thread_and_a_quick_one_in_the_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch, is_quick: bool
) -> None:
    where: list[bool] = []
    flush = write_ahead._flush

    def watched(number: int) -> None:
        where.append(threading.current_thread() is threading.main_thread())
        flush(number)

    monkeypatch.setattr(write_ahead, "_flush", watched)
    monkeypatch.setattr(intake, "LONGEST_FLUSH_IN_THE_LOOP_SECONDS", 60.0 if is_quick else 0.0)
    partition = service.hub().partitions[0]
    for number in range(3):
        service.send(partition, b"%d" % number)
    assert where == [is_quick] * 3
    for number in range(2):
        service.add(partition, b"%d" % number)
    service.settle(5)
    assert where[3:] == [False], "what shares a flush does not keep the loop waiting"
    assert [one[0] for one in service.all(partition)] == [0, 1, 2, 3, 4]


def test_after_one_slow_flush_the_loop_waits_for_none_for_a_while(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    took = [0.1]
    where: list[bool] = []

    def flush(_: int) -> None:
        clock[0] += took[0]
        where.append(threading.current_thread() is threading.main_thread())

    monkeypatch.setattr(write_ahead, "_flush", flush)
    monkeypatch.setattr(intake, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    partition = service.hub().partitions[0]
    service.send(partition, b"slow")
    took[0] = 0.0001
    for _ in range(100):
        service.send(partition, b"quick")
    first = where.index(True)
    assert first == 16, "0.1 s, forgotten by a factor of 0.7 with each flush, is below 0.5 ms after the fifteenth"
    assert all(where[first:])


def test_a_disk_that_fails_refuses_in_words_and_leaves_no_gap(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    partition = service.hub().partitions[0]
    service.send(partition, b"one")
    with no_flush(monkeypatch, errno.ENOSPC):
        assert "No space left" in str(service.send(partition, b"two"))
    assert "No space left" in caplog.text
    assert service.send(partition, b"three") is None
    assert [one[0] for one in service.all(partition)] == [0, 1]
    assert [event[2].endswith(body) for event, body in zip(service.all(partition), (b"one", b"three"), strict=True)]


def test_when_nothing_can_be_moved_any_more_it_refuses_in_words_and_goes_on_when_there_is_room(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 20_000)
    monkeypatch.setattr(unmoved, "BYTES_PER_MOVE", 10_000)
    partition = service.hub().partitions[0]
    service.pages(at_most=service.pages())
    stored = 0
    while (refusal := service.send(partition, b"x" * 9_000)) is None:
        stored += 1
        assert stored < 100
    assert isinstance(refusal, sqlite3.OperationalError)
    assert "full" in str(refusal)
    with service.killed(tmp_path / "killed") as again:
        assert len(again.all(partition)) == stored
    service.pages(at_most=100_000)
    assert service.send(partition, b"there is room") is None
    assert [one[0] for one in service.all(partition)] == list(range(stored + 1))


def test_what_is_sent_to_a_deleted_hub_is_refused_and_the_rest_of_its_group_is_kept(service: Service) -> None:
    gone, kept = service.hub("gone", 1), service.hub("kept", 1)
    service.send(gone.partitions[0], b"before")
    service.log.drop_hub(gone)
    service.add(gone.partitions[0], b"after")
    service.add(kept.partitions[0], b"kept")
    service.settle(3)
    assert sorted(type(outcome).__name__ for outcome in service.outcomes) == ["EntityGone", "NoneType", "NoneType"]
    assert any(isinstance(outcome, EntityGone) for outcome in service.outcomes)
    service.move()
    assert len(service.all(kept.partitions[0])) == 1
    assert rows(service) == 1


def test_records_of_deleted_hubs_alone_do_not_fill_what_is_written_ahead_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 10_000)
    monkeypatch.setattr(intake, "LONGEST_FLUSH_IN_THE_LOOP_SECONDS", 0.0)
    kept = service.hub("kept", 1)
    for number in range(write_ahead.MOST_SEGMENTS):
        gone = service.hub(f"gone-{number}", 1)
        service.add(gone.partitions[0], b"x" * 9_000)
        while not service.log._intake._is_writing:
            service.posted.get(timeout=60)()
        service.log.drop_hub(gone)
        service.settle(number + 1)
    assert service.outcomes == [None] * write_ahead.MOST_SEGMENTS
    assert service.send(kept.partitions[0], b"x" * 9_000) is None
    assert len(service.all(kept.partitions[0])) == 1


def test_a_hub_that_could_not_be_deleted_stays_as_it_was(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    hub = service.hub("stays", 1)
    service.send(hub.partitions[0], b"one")
    with monkeypatch.context() as patch:
        patch.setattr(service.log._journal, "run", full)
        with pytest.raises(sqlite3.OperationalError):
            service.log.drop_hub(hub)
    assert service.send(hub.partitions[0], b"two") is None
    assert [one[0] for one in service.all(hub.partitions[0])] == [0, 1]
    service.move()
    assert rows(service) == 2


def test_whoever_cannot_be_told_takes_nothing_from_the_others_of_the_group(service: Service, tmp_path: Path) -> None:
    def gone(_: BaseException | None) -> None:
        raise RuntimeError("nobody there")

    partition = service.hub().partitions[0]
    service.add(partition, b"one", done=gone)
    service.add(partition, b"two")
    with pytest.raises(RuntimeError, match="nobody there"):
        service.settle(1)
    assert service.outcomes == [None]
    assert service.send(partition, b"three") is None
    assert [one[0] for one in service.all(partition)] == [0, 1, 2]
    with service.killed(tmp_path / "killed") as again:
        assert again.all(partition) == service.all(partition)


def test_whoever_cannot_be_told_that_the_hub_has_gone_takes_nothing_from_the_others(service: Service) -> None:
    told: list[BaseException | None] = []

    def broken(problem: BaseException | None) -> None:
        told.append(problem)
        raise RuntimeError("nobody there")

    kept, gone = service.hub("kept", 1), service.hub("gone", 1)
    service.log.drop_hub(gone)
    service.add(kept.partitions[0], b"one")
    for _ in range(2):
        service.add(gone.partitions[0], b"lost", done=broken)
    service.add(kept.partitions[0], b"two")
    with pytest.raises(RuntimeError, match="nobody there"):
        service.settle(2)
    service.settle(2)
    assert service.outcomes == [None, None]
    assert [type(problem) for problem in told] == [EntityGone, EntityGone]
    assert service.send(kept.partitions[0], b"three") is None
    assert [one[0] for one in service.all(kept.partitions[0])] == [0, 1, 2]


def test_closed_on_a_full_disk_it_keeps_what_it_cannot_move_for_the_next_start(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    partition = service.hub().partitions[0]
    service.pages(at_most=service.pages())
    for number in range(5):
        service.send(partition, b"%d" % number, b"x" * 9_000)
    before = service.all(partition)
    service.log.close()
    assert "stay written ahead" in caplog.text
    assert rows(service) == 0
    with Service(service.folder) as again:
        assert again.all(partition) == before
    assert rows(again) == 5


def test_two_kills_while_nothing_can_be_moved_lose_nothing(service: Service, tmp_path: Path) -> None:
    partition = service.hub().partitions[0]
    pages = service.pages()
    one = service
    for kill in range(3):
        one.pages(at_most=pages)
        one.send(partition, b"%d" % kill, b"x" * 9_000)
        before, tail = one.all(partition), one.log.tail(partition)
        one = one.killed(tmp_path / f"killed-{kill}")
        assert (one.all(partition), one.log.tail(partition)) == (before, tail)
        assert len(before) == kill + 1


def test_events_that_are_removed_at_once_are_gone_wherever_they_were_and_numbers_go_on(
    service: Service, tmp_path: Path
) -> None:
    first, second = service.hub().partitions
    service.send(first, b"in the file")
    service.move()
    service.send(first, b"on its way")
    service.log._intake.unmoved.move()
    service.send(first, b"in memory", b"too")
    service.send(second, b"of another partition")
    assert service.log.expire_all([first]) == 4
    assert service.log.read(first, 0, 1) == []
    assert service.log.first_sequence(first, service.log.tail(first)) == 4
    assert len(service.all(second)) == 1
    service.send(first, b"after")
    with service.killed(tmp_path / "killed") as again:
        assert [one[0] for one in again.all(first)] == [4]
    service.move()
    assert [one[0] for one in service.all(first)] == [4]


def test_a_file_is_written_over_only_when_the_last_of_its_records_has_been_moved(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 10_000)
    monkeypatch.setattr(unmoved, "MOST_BYTES_PER_MOVE", 1)
    partition = service.hub().partitions[0]
    for _ in range(2):
        service.send(partition, b"x" * 9_000)
    service.move()
    assert rows(service) == 1
    for _ in range(2):
        service.send(partition, b"x" * 9_000)
    assert len(list(service.folder.glob("*-ahead*"))) == 3, "the first is used again"
    with service.killed(tmp_path / "killed") as again:
        assert [one[0] for one in again.all(partition)] == [0, 1, 2, 3]


def test_memory_holds_no_more_than_what_waits_to_be_moved(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmoved, "BYTES_PER_MOVE", 10_000)
    partition = service.hub().partitions[0]
    for _ in range(50):
        service.send(partition, b"x" * 3_000)
        service.log._journal.run(lambda _: None)
    service.move()
    assert service.log._intake.unmoved.of(partition) == ()
    assert rows(service) == 50


def test_two_thousand_that_cannot_be_told_take_nothing_from_those_behind_them(service: Service) -> None:
    def cut(_: BaseException | None) -> None:
        raise ConnectionResetError

    partition = service.hub().partitions[0]
    for number in range(2_000):
        service.add(partition, b"%d" % number, done=cut)
    with pytest.raises(ConnectionResetError):
        service.settle(1)
    assert service.log.tail(partition).next_sequence == 2_000
    assert service.send(partition, b"later") is None


def test_what_waits_fits_into_a_segment_however_small_its_messages_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 65_536)
    monkeypatch.setattr(intake, "MOST_BYTES_PER_FLUSH", 32_768)
    with Service(tmp_path) as service:
        partition = service.hub().partitions[0]
        for _ in range(3_000):
            service.add(partition, b"")
        service.settle(3_000)
        assert set(service.outcomes) == {None}
