"""A worker that fails: what it says while its thread ends, how it starts again, and what those who wait are told."""

from __future__ import annotations

import threading
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


def test_who_stops_one_that_somebody_else_starts_again_is_not_told_that_it_did_not_end() -> None:
    worker, errors = Tough(), list[BaseException]()
    worker.may_end.set()

    def stopping() -> None:
        try:
            worker.stop(5)
        except BaseException as error:
            errors.append(error)

    for _ in range(30):
        worker.start()
        others = [threading.Thread(target=stopping) for _ in range(8)]
        for other in others:
            other.start()
        worker.start()
        for other in others:
            other.join(60)
    worker.stop()
    assert errors == []


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
