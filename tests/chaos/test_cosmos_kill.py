"""`kill -9` under load: what was acknowledged is there afterwards, and no batch is half there.

Each round starts the server on the same folder, writes from several threads, kills the process in the midst of it,
starts it again and counts. CHAOS_ROUNDS sets how many rounds; a few run by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey

from localazure import keys

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
WRITERS = 4
BATCH_SIZE = 5
LOAD_SECONDS = 0.7
PATIENCE_SECONDS = 60.0


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server process of its own and its connection string; killed at the end."""
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["cosmos_endpoint"]
        found = keys.load(folder)
        assert found is not None
        yield process, f"AccountEndpoint={endpoint};AccountKey={found.cosmos_read_write};"
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


@dataclass
class Ledger:
    """What was acknowledged, by all rounds together."""

    items: dict[str, int] = field(default_factory=dict)
    """The version of each that was acknowledged last; without those whose deletion was begun."""
    gone: set[str] = field(default_factory=set)
    batches: set[str] = field(default_factory=set)


def write_until_it_breaks(
    connection: str, name: str, ledger: Ledger, begun: threading.Event, broken: threading.Event
) -> None:
    """Items and batches in turn, items also changed and some of them deleted; the ledger has what is acknowledged.

    It has begun when one of each is."""
    client = CosmosClient.from_connection_string(connection, retry_total=0, retry_connect=0, retry_read=0)
    container = client.get_database_client("d").get_container_client("items")
    index = 0
    while not broken.is_set():
        id = f"{name}-{index}"
        index += 1
        try:
            if index % 2:
                document = {"id": id, "pk": id, "kind": "item"}
                for version, write in enumerate((container.create_item, container.upsert_item)):
                    write({**document, "version": version})
                    ledger.items[id] = version
                if index % 3 == 0:
                    del ledger.items[id]
                    container.delete_item(id, id)
                    ledger.gone.add(id)
                    begun.set()
            else:
                parts = [{"id": f"{id}-{part}", "pk": id, "kind": "batch"} for part in range(BATCH_SIZE)]
                container.execute_item_batch([("create", (part,)) for part in parts], partition_key=id)
                ledger.batches.add(id)
        except AzureError:
            return


def check(container: ContainerProxy, ledger: Ledger) -> None:
    found = list(container.query_items_change_feed(start_time="Beginning"))
    items = {item["id"]: item["version"] for item in found if item["kind"] == "item"}
    batches = Counter(item["pk"] for item in found if item["kind"] == "batch")
    lost = [id for id, version in ledger.items.items() if items.get(id, -1) < version]
    assert not lost, f"lost, or an older version: {sorted(lost)[:5]}"
    assert not ledger.gone & set(items), f"deleted and there: {sorted(ledger.gone & set(items))[:5]}"
    assert ledger.batches <= set(batches), f"lost: {sorted(ledger.batches - set(batches))[:5]}"
    assert set(batches.values()) <= {BATCH_SIZE}, "a batch is half there"
    assert [item["_lsn"] for item in found] == sorted(item["_lsn"] for item in found)


@pytest.mark.chaos
def test_a_kill_under_load_loses_nothing_acknowledged_and_tears_no_batch(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "azure", Ledger()
    with served(folder) as (_, connection):
        database = CosmosClient.from_connection_string(connection).create_database("d")
        database.create_container("items", PartitionKey("/pk"))
    for round in range(ROUNDS):
        acknowledged = len(ledger.items) + len(ledger.batches)
        with served(folder) as (process, connection):
            broken, begun = threading.Event(), [threading.Event() for _ in range(WRITERS)]
            writers = [
                threading.Thread(
                    target=write_until_it_breaks, args=(connection, f"{round}-{index}", ledger, begun[index], broken)
                )
                for index in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            assert all(event.wait(PATIENCE_SECONDS) for event in begun)
            time.sleep(LOAD_SECONDS + 0.05 * round)
            process.kill()
            broken.set()
            for writer in writers:
                writer.join()
        assert len(ledger.items) + len(ledger.batches) > acknowledged, "nothing was written before the kill"
        with served(folder) as (_, connection):
            container = (
                CosmosClient.from_connection_string(connection).get_database_client("d").get_container_client("items")
            )
            check(container, ledger)
