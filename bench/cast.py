"""The roles of the path, each in a process of its own, as they would be deployed: what each is started with, where it
listens, the processor time it has taken, and how it ended.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from measure import Missed

from labkit.clock import WallClock
from labkit.events.relay import Relay
from labkit.lab import Lab
from labkit.lag_monitoring.history import LagHistory
from labkit.lag_monitoring.monitor import INTERVAL_SECONDS, LagMonitor
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.projections.upkeep import Upkeep
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Synapse
from labkit.verbs.attaching import attach_lab
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler

COMMIT_INTERVAL_SECONDS, UPKEEP = 0.02, Upkeep(every_commits=10)
"""For freshness: each question opens all files of its day, so that small ones are made one more often than usual."""
PATIENCE_SECONDS = 60.0


@contextmanager
def command_side(lab: Lab, _: str) -> Iterator[str]:
    handler = CommandHandler(lab.container("write-model", "command"), WallClock())
    yield lab.serve(command_app(handler)).url


@contextmanager
def query_side(lab: Lab, tables: str) -> Iterator[str]:
    with Synapse(tables) as synapse:
        yield lab.serve(query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub)).url


@contextmanager
def relay(lab: Lab, _: str) -> Iterator[str]:
    worker = Relay(lab.container("write-model", "relay"), lab.producer("relay"), lab.container("relay-state", "relay"))
    worker.start()
    yield ""
    worker.stop()
    must_be_well(worker)


@contextmanager
def projector(lab: Lab, tables: str) -> Iterator[str]:
    lane = ParkingLane(lab.container("parked-events", "projector"))
    consumer = partial(lab.async_consumer, "projector")
    worker = Projector(
        consumer, ReadStore(tables), lane, commit_interval_seconds=COMMIT_INTERVAL_SECONDS, upkeep=UPKEEP
    )
    worker.start()
    yield ""
    worker.stop()
    must_be_well(worker)
    if worker.counters["parked"]:
        raise Missed(f"{worker.counters['parked']} events were parked")


@contextmanager
def monitor(lab: Lab, tables: str) -> Iterator[str]:
    """Watches as by default, and writes its samples to a table."""
    containers = [lab.container(name, "monitor") for name in ("write-model", "relay-state", "parked-events")]
    consumer = partial(lab.async_consumer, "monitor", "monitor")
    worker = LagMonitor(consumer, ReadStore(tables), *containers, history=LagHistory(tables))
    worker.start()
    began = time.monotonic()
    yield ""
    took_seconds = time.monotonic() - began
    worker.stop()
    must_be_well(worker)
    if worker.failures or len(worker.samples) < took_seconds / (3 * INTERVAL_SECONDS):
        raise Missed(f"the monitor took {len(worker.samples)} samples, and {worker.failures} failed")


def must_be_well(worker: Relay | Projector | LagMonitor) -> None:
    if worker.error is not None:
        raise Missed(f"a worker ended: {worker.error!r}")


ROLES: dict[str, Callable[[Lab, str], AbstractContextManager[str]]] = {
    "command side": command_side,
    "relay": relay,
    "projector": projector,
    "query side": query_side,
    "monitor": monitor,
}


def play(role: str, name: str, tables: str, pipe: Connection) -> None:
    """One role in a process of its own: tells where it listens, its CPU seconds when asked, at last how it ended."""
    lab = attach_lab(name)
    try:
        with ROLES[role](lab, tables) as url:
            pipe.send(url)
            while pipe.recv() != "stop":
                pipe.send(time.process_time())
        pipe.send("")
    except Exception as error:
        pipe.send(f"{role}: {error!r}")
    finally:
        lab.close()


class Cast:
    """All roles, each in a process of its own, as they would be deployed; on leaving `with` all have ended well."""

    def __init__(self, lab: Lab, tables: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: dict[str, Connection] = {}
        self._processes = []
        for role in ROLES:
            self._pipes[role], there = context.Pipe()
            self._processes.append(context.Process(target=play, args=(role, lab.name, tables, there)))
            self._processes[-1].start()
        self.urls = {role: self._hear(role) for role in ROLES}

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes.values():
            pipe.send("stop")
        ends = [self._hear(role) for role in ROLES]
        for process in self._processes:
            process.join()
        if any(ends):
            raise Missed("; ".join(filter(None, ends)))

    def cpu_seconds(self) -> dict[str, float]:
        for pipe in self._pipes.values():
            pipe.send("how much")
        return {role: self._hear(role) for role in ROLES}

    def _hear(self, role: str) -> Any:
        if not self._pipes[role].poll(PATIENCE_SECONDS):
            raise Missed(f"{role}: nothing was heard of it")
        return self._pipes[role].recv()
