"""A log whose reports run when they are asked to, so that a test decides what happens in which order."""

from __future__ import annotations

import queue
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from localazure.amqp import encode
from localazure.eventhubs.catalog import HubRecord, Tail
from localazure.eventhubs.intake import Arrived, Arriving
from localazure.eventhubs.log import Log
from localazure.eventhubs.messages import BATCH_FORMAT

Done = Callable[[BaseException | None], None]


class Service:
    """A log whose reports run when they are asked to, and what was said of each message."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.log = Log(folder / "events.sqlite", self.posted.put, self.posted.put)
        self.outcomes: list[BaseException | None] = []
        self.tails: list[Tail] = []

    def hub(self, name: str = "orders", partitions: int = 2) -> HubRecord:
        return self.log.create_hub(name, partitions, (), 1, 1_000, None)

    def add(self, partition: int, *bodies: bytes, now_ms: int = 5, done: Done | None = None) -> None:
        message = Arriving(BATCH_FORMAT)
        for body in bodies:
            message.add(encode.described(0x75, encode.binary(encode.described(0x75, encode.binary(body)))))
        message.cutter.finish()
        self.log.append(Arrived(message, partition, now_ms, done or self.outcomes.append, self.tails.append))

    def settle(self, outcomes: int) -> None:
        """Run reports until so many messages are settled."""
        while len(self.outcomes) < outcomes:
            self.posted.get(timeout=60)()

    def send(self, partition: int, *bodies: bytes) -> BaseException | None:
        self.add(partition, *bodies)
        self.settle(len(self.outcomes) + 1)
        return self.outcomes[-1]

    def move(self) -> None:
        """Have everything moved into the file and reported."""
        self.log._intake.unmoved.move()
        self.report()

    def report(self) -> None:
        """Have what the file was asked for done, and reported."""
        self.log._journal.run(lambda _: None)
        with suppress(queue.Empty):
            while True:
                self.posted.get_nowait()()

    def all(self, partition: int) -> list[tuple[int, int, bytes]]:
        """Sequence number of the first, offset and bytes of each chunk, read on from each."""
        found, sequence = [], 0
        while chunks := self.log.read(partition, sequence, 1):
            chunk = chunks[0]
            found.append((chunk.first_sequence, chunk.first_offset, chunk.events))
            sequence = chunk.first_sequence + len(chunk.sizes)
            if sequence >= self.log.tail(partition).next_sequence:
                break
        return found

    def killed(self, folder: Path) -> Service:
        """Another service on what the disk holds of this one now."""
        shutil.copytree(self.folder, folder)
        return Service(folder)

    def pages(self, at_most: int | None = None) -> int:
        """How many pages the file has; from now on it may have so many, and no more."""
        if at_most is not None:
            self.log._journal.run(lambda file: file.execute(f"PRAGMA max_page_count={at_most}").fetchone())
        return int(self.log._journal.run(lambda file: file.execute("PRAGMA page_count").fetchone()[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()


def rows(service: Service) -> int:
    with sqlite3.connect(service.folder / "events.sqlite") as file:
        (count,) = file.execute("SELECT count(*) FROM chunks").fetchone()
    file.close()
    return int(count)
