"""A worker that fails: what it says while its thread ends, how it starts again, and what those who wait are told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from labkit.errors import NotYet
from labkit.events import relay as relaying
from labkit.events.leases import Lease
from labkit.events.relay import Relay
from labkit.projections.projector import Projector
from labkit.worker import Worker


class Failing(Worker):
    """Fails as soon as it works; its thread ends when it may."""

    def __init__(self) -> None:
        super().__init__("failing")
        self.works, self.may_end = list[int](), threading.Event()

    def _work(self) -> None:
        """Notes how many of its threads are alive."""
        self.works.append(sum(thread.name == "failing" for thread in threading.enumerate()))
        raise LookupError("nothing there")

    def _ended(self) -> None:
        assert self.may_end.wait(60)


def test_one_that_has_failed_does_not_run_and_starts_again_as_soon_as_its_thread_is_over() -> None:
    worker = Failing()
    worker.start()
    assert isinstance(worker.error, LookupError)
    assert not worker.running
    threading.Timer(0.2, worker.may_end.set).start()
    worker.start()
    assert worker.works == [1, 1], "the first thread was over when the second one began"
    worker.stop()


class Tough(Worker):
    """Works until it was told to end, and then until it may."""

    def __init__(self) -> None:
        super().__init__("tough")
        self.may_end = threading.Event()

    def _work(self) -> None:
        self._ready.set()
        assert self._ending.wait(60)
        assert self.may_end.wait(60)


def test_one_whose_stop_was_broken_off_is_ended_and_then_started() -> None:
    worker = Tough()
    worker.start()
    with pytest.raises(NotYet, match="did not end"):
        worker.stop(0.01)
    first = worker._thread
    threading.Timer(0.2, worker.may_end.set).start()
    worker.start()
    assert worker._thread is not first
    assert worker.running
    worker.stop()


class Raced(Tough):
    """Whoever looks whether it runs goes on when somebody else has looked, too, or nobody comes."""

    meet, works = threading.Barrier(2), 0

    def _work(self) -> None:
        self.works += 1
        super()._work()

    @property
    def running(self) -> bool:
        there = super().running
        with suppress(threading.BrokenBarrierError):
            self.meet.wait(0.3)
        return there


def test_of_two_that_start_it_at_once_one_does() -> None:
    worker = Raced()
    worker.may_end.set()
    with ThreadPoolExecutor(2) as pool:
        for started in [pool.submit(worker.start) for _ in range(2)]:
            started.result(60)
    assert worker.works == 1
    worker.stop()


def test_stopping_one_that_has_failed_waits_for_what_it_still_does() -> None:
    worker = Failing()
    worker.start()
    with pytest.raises(TimeoutError, match="did not end"):
        worker.stop(0.01)
    worker.may_end.set()
    worker.stop()
    assert isinstance(worker.error, LookupError)


NOBODY: Any = None


def test_a_write_that_was_committed_just_before_the_projector_failed_is_visible() -> None:
    projector, looks = Projector(NOBODY, NOBODY, NOBODY), [False, True]

    def failing_behind_the_first() -> bool:
        projector.error = LookupError("nothing there")
        return looks.pop(0)

    projector._wait(failing_behind_the_first, 60, "it is not visible")
    with pytest.raises(LookupError, match="nothing there"):
        projector._wait(lambda: False, 60, "it is not visible")


def test_an_event_that_was_sent_just_before_the_relay_failed_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    relay, ahead = Relay(NOBODY, NOBODY, NOBODY), [True, False]

    def failing_behind_the_first(*_: object) -> bool:
        relay.error = LookupError("nothing there")
        return ahead.pop(0)

    monkeypatch.setattr(relaying, "document_named", lambda *_: {})
    monkeypatch.setattr(relay._leases, "of", lambda _: Lease("continuation-0", {}))
    monkeypatch.setattr(relay, "_is_ahead", failing_behind_the_first)
    relay.wait_until_published("order-20260105-1@1", 60)
