"""Look at what a hub holds: follow its partitions from noted positions, and hand out what lies up to the end.

For lessons and tests, which look at a hub that stands still for a moment. A projector does not read like this: it keeps
positions with its rows.

The SDK's asyncio client does the reading, on a loop of its own in a thread, since its connections open side by side
there (the sync client opens them one after the other, half a second each).
Known gap: azure-eventhub 5.15 swallows a refusal of that client's first attach (a missing right, say); then only the
time limit of `read_to_end` speaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from labkit.errors import NotYet
from labkit.worker import Worker


@dataclass(frozen=True, slots=True)
class Received:
    """One stored event and where it lies."""

    partition_id: str
    sequence_number: int
    event: EventData

    @property
    def body(self) -> bytes:
        return self.event.body_as_str().encode()

    @property
    def properties(self) -> dict[str, Any]:
        """The application properties as text and numbers."""
        return {str(_text(name)): _text(value) for name, value in (self.event.properties or {}).items()}


async def closed(client: EventHubConsumerClient) -> None:
    """Close a client whose receiving was cancelled, as soon as its receivers have ended, and end what is left on this
    loop. The client by itself (azure-eventhub 5.15, `EventProcessor.stop`) looks for their end once in a second."""
    if ending := [task for one in client._event_processors.values() for task in one._tasks.values()]:
        await asyncio.wait(ending, timeout=1.0)
    await client.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class HubReader(Worker, AbstractContextManager["HubReader"]):
    """Follows a hub on a thread from `after` (hub partition id -> sequence number, -1: its beginning), at once, until
    `stop`, which closes the client."""

    def __init__(self, client: EventHubConsumerClient, after: Mapping[str, int]) -> None:
        super().__init__("hub-reader")
        self._client = client
        self._after = dict(after)
        self._received: dict[tuple[str, int], Received] = {}
        self._arrived = asyncio.Condition()
        self.start()

    def read_to_end(
        self, timeout_seconds: float = 20.0, end: Mapping[str, int] | None = None, count: int | None = None
    ) -> list[Received]:
        """All events from the noted positions to the end as it is now, by hub partition and sequence number. Who knows
        the `end` (-1: an empty part), or the `count` of events that must be there (one sent twice counts twice), tells
        it: else the hub is asked, over connections that take four tenths of a second.

        Raises: the worker's error; `NotYet` if the end is not reached in time.
        """
        reading = asyncio.wait_for(self._read_to_end(end, count), timeout_seconds)
        try:
            return asyncio.run_coroutine_threadsafe(reading, self._loop).result(timeout_seconds + 5)
        except TimeoutError:
            raise NotYet(f"the hub was not read to its end within {timeout_seconds} seconds") from None

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _work(self) -> None:
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        self._loop, ending = asyncio.get_running_loop(), self._told_to_end()
        receiving = asyncio.create_task(self._receive())
        self._ready.set()
        await ending.wait()
        receiving.cancel()
        await closed(self._client)

    async def _receive(self) -> None:
        positions: dict[str, str | int] = {p: "-1" if number < 0 else number for p, number in self._after.items()}
        try:
            await self._client.receive_batch(
                self._on_batch, on_error=self._on_error, starting_position=positions, prefetch=3000
            )
        except EventHubError as error:
            await self._on_error(None, error)

    async def _on_batch(self, context: PartitionContext, events: list[EventData]) -> None:
        async with self._arrived:
            for event in events:
                number = int(event.sequence_number or 0)
                self._received[context.partition_id, number] = Received(context.partition_id, number, event)
            self._arrived.notify_all()

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        async with self._arrived:
            self.error = error
            self._arrived.notify_all()

    async def _read_to_end(self, end: Mapping[str, int] | None, count: int | None) -> list[Received]:
        if count is None and end is None:
            end = dict(zip(self._after, await asyncio.gather(*map(self._end, self._after)), strict=True))
        wanted, there = {place for place in (end or {}).items() if place[1] > self._after[place[0]]}, self._received
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.error or (len(there) >= (count or 0) and wanted <= there.keys()))
        if self.error is not None:
            raise self.error
        places = sorted(there, key=lambda place: (int(place[0]), place[1]))
        return [there[place] for place in places if end is None or place[1] <= end[place[0]]]

    async def _end(self, partition_id: str) -> int:
        properties: dict[str, Any] = await self._client.get_partition_properties(partition_id)
        return -1 if properties["is_empty"] else int(properties["last_enqueued_sequence_number"])


def _text(value: object) -> object:
    return value.decode("utf-8") if isinstance(value, bytes) else value
