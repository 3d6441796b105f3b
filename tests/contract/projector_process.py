"""A projector in a process of its own, for tests that kill it: reads from its input's first line where to work.

Prints `active` once it is, and runs until its input ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient
from azure.eventhub.aio import EventHubConsumerClient

from labkit.events.ownership import OwnershipStore
from labkit.lab import Lab
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector, out_of_reach
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.projections.seat import Seat
from labkit.projections.upkeep import Upkeep
from labkit.settings import Role, Target

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.contract.projector_process"]
LEASE_SECONDS = 1.0


def settings_of(lab: Lab, target: Target, tables_url: str, **options: Any) -> dict[str, Any]:
    """What another process needs to project this lab's hub into these tables."""
    return {
        "listen": target.listen,
        "hub": lab.hub,
        "cosmos": target.cosmos,
        "database": lab.database(Role.PROJECTOR).id,
        "tables": tables_url,
        "options": options,
    }


def start(settings: dict[str, Any]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings) + "\n")
    process.stdin.flush()
    return process


def reached(connection: str) -> CosmosClient:
    """A client, which asks for its account when it is made: again while that is away."""
    while True:
        try:
            return CosmosClient.from_connection_string(connection)
        except AzureError as error:
            if not out_of_reach(error):
                raise
            threading.Event().wait(0.05)


def projector_of(settings: dict[str, Any]) -> Projector:
    """With a seat, upkeep, and the query container."""
    database = reached(settings["cosmos"]).get_database_client(settings["database"])

    def consumer(**options: Any) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(
            settings["listen"], "$Default", eventhub_name=settings["hub"], **options
        )

    return Projector(
        consumer,
        ReadStore(settings["tables"]),
        ParkingLane(database.get_container_client("parked-events")),
        seat=Seat(
            OwnershipStore(database.get_container_client("ownership")),
            lease_seconds=settings.get("lease_seconds", LEASE_SECONDS),
        ),
        upkeep=Upkeep(every_commits=5, retention_seconds=30),
        query_container=QueryContainer(database.get_container_client("query-model")),
        **settings["options"],
    )


def main() -> None:
    projector = projector_of(json.loads(sys.stdin.readline()))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    projector.start()
    while not projector.active and projector.running and not ended.wait(0.02):
        pass
    if projector.active:
        sys.stdout.write("active\n")
        sys.stdout.flush()
    while projector.running and not ended.wait(0.1):
        pass
    projector.stop()
    sys.exit(1 if projector.error else 0)


if __name__ == "__main__":
    main()
