"""Peeking at the first unapplied event of a hub partition: which of the events in hand it is, and when others come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.eventhub.exceptions import ConnectionLostError

from labkit.lag_monitoring import sources
from labkit.lag_monitoring.sources import FAR_EVENTS, Peek

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def taken_at(number: int) -> datetime:
    return AT + timedelta(seconds=number)


class Hub:
    """A consumer client that hands out these batches, and then calls with nothing, as the SDK does."""

    def __init__(self, *batches: Sequence[int]) -> None:
        self.batches = list(batches)
        self.begun_at: list[object] = []
        self.calls = 0

    async def receive_batch(self, on_event_batch: Callable[..., Any], **how: Any) -> None:
        self.begun_at.append(how["starting_position"])
        begin = -1 if how["starting_position"] == "-1" else how["starting_position"]
        left = [[number for number in batch if number > begin] for batch in self.batches]
        while True:
            batch = left.pop(0) if left else []
            self.calls += 1
            events = [SimpleNamespace(sequence_number=one, enqueued_time=taken_at(one)) for one in batch]
            await on_event_batch(None, events)
            await asyncio.sleep(0)


def peek_at(hub: Any) -> Peek:
    return Peek(hub, "0")


def test_of_several_events_in_hand_the_first_that_is_not_applied_tells_the_age() -> None:
    async def look() -> None:
        peek = peek_at(Hub([5, 6, 7], [8, 9]))
        assert [await peek.after(applied) for applied in (4, 5, 6, 7, 8)] == [taken_at(n) for n in (5, 6, 7, 8, 9)]
        await peek.close()

    asyncio.run(look())


@pytest.mark.parametrize(
    ("applied", "opened_at"), [(FAR_EVENTS, ["-1"]), (FAR_EVENTS + 1, ["-1", FAR_EVENTS + 1])], ids=["few", "many"]
)
def test_few_events_that_were_applied_meanwhile_are_let_pass_and_many_are_not_read(
    applied: int, opened_at: list[object]
) -> None:
    async def look() -> None:
        hub = Hub(*([number] for number in range(1_000)))
        peek = peek_at(hub)
        assert await peek.after(-1) == taken_at(0)
        await peek.let_pass(applied)
        assert await peek.after(applied) == taken_at(applied + 1)
        assert hub.begun_at == opened_at
        await peek.close()

    asyncio.run(look())


def test_what_was_read_before_the_receiver_was_closed_tells_the_age_without_another_one() -> None:
    async def look() -> None:
        hub = Hub([5, 6, 7], [8, 9])
        peek = peek_at(hub)
        assert await peek.after(4) == taken_at(5)
        await peek.close()
        assert [await peek.after(applied) for applied in (4, 5, 6)] == [taken_at(n) for n in (5, 6, 7)]
        assert hub.begun_at == [4]
        assert [await peek.after(applied) for applied in (7, 3)] == [taken_at(8), taken_at(5)]
        assert hub.begun_at == [4, 7, 3]
        await peek.close()

    asyncio.run(look())


def test_read_models_that_went_back_are_peeked_at_anew() -> None:
    async def look() -> None:
        hub = Hub([0, 1, 2, 3, 4, 5])
        peek = peek_at(hub)
        assert await peek.after(2) == taken_at(3)
        await peek.let_pass(5)
        assert await peek.after(1) == taken_at(2)
        assert hub.begun_at == [2, 1]
        await peek.close()

    asyncio.run(look())


def test_a_hub_that_hands_nothing_out_gives_no_age_and_is_not_asked_on_and_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PEEK_SECONDS", 0.05)

    async def look() -> None:
        hub = Hub()
        peek = peek_at(hub)
        assert await peek.after(3) is None
        calls = hub.calls
        for _ in range(100):
            await asyncio.sleep(0)
        assert hub.calls <= calls + 1  # held: nobody asks
        await peek.close()

    asyncio.run(look())


def test_what_ended_the_receiver_and_stays_is_raised_at_the_end() -> None:
    class Gone(Hub):
        async def receive_batch(self, on_event_batch: Callable[..., Any], **how: Any) -> None:
            raise PermissionError("no longer")

    async def look() -> None:
        peek = peek_at(Gone())
        peek_seconds = sources.PEEK_SECONDS
        sources.PEEK_SECONDS = 0.05
        try:
            assert await peek.after(3) is None
        finally:
            sources.PEEK_SECONDS = peek_seconds
        with pytest.raises(PermissionError):
            await peek.close()

    asyncio.run(look())


class Cut(Hub):
    """Whose first receiver ends by itself."""

    async def receive_batch(self, on_event_batch: Callable[..., Any], **how: Any) -> None:
        if not self.begun_at:
            self.begun_at.append(how["starting_position"])
            raise ConnectionLostError("cut")
        await super().receive_batch(on_event_batch, **how)


def test_a_receiver_that_was_cut_is_told_and_the_next_peek_opens_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def look() -> None:
        hub = Cut([4])
        peek = peek_at(hub)
        with monkeypatch.context() as hasty:
            hasty.setattr(sources, "PEEK_SECONDS", 0.05)
            assert await peek.after(3) is None
        assert await peek.after(3) == taken_at(4)
        assert hub.begun_at == [3, 3]
        await peek.close()

    asyncio.run(look())
    assert [record.message for record in caplog.records] == ["the receiver of 0 had ended: ConnectionLostError('cut')"]


def test_a_receiver_that_was_cut_keeps_none_from_being_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PEEK_SECONDS", 0.05)

    async def look() -> None:
        peek = peek_at(Cut([4]))
        assert await peek.after(3) is None
        await peek.close()

    asyncio.run(look())
