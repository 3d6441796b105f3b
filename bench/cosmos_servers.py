"""Servers of Cosmos DB for the benchmarks, each a process of its own: ours, one that does nothing, npm's.

Documents have 1 KB. What is to be large is written into the file of ours before it starts.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from measure import Missed
from process import Process, started
from tqdm import tqdm

from localazure import keys
from localazure.cosmos.documents import Address, Draft, Place
from localazure.cosmos.drafts import stored_text
from localazure.cosmos.partitioning import KeyDefinition, canonical
from localazure.cosmos.writes import Turn, create

PEER = "@vercel/cosmosdb-server@1.0.1"
TEXT = "x" * 900
ANY_KEY = base64.b64encode(b"any" * 20).decode()


@dataclass(frozen=True, slots=True)
class Served(Process):
    """A server process and how to reach it."""

    endpoint: str
    key: str

    def container(self, name: str = "items", **options: str) -> ContainerProxy:
        client = CosmosClient(self.endpoint, self.key, **options)
        return client.get_database_client("d").get_container_client(name)


@contextmanager
def embedded(folder: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder)]
    with started(command) as (process, line):
        found = keys.load(folder)
        assert found is not None
        yield Served(process, json.loads(line)["cosmos_endpoint"], found.cosmos_read_write)


@contextmanager
def canned() -> Iterator[Served]:
    with started([sys.executable, str(Path(__file__).parent / "peers" / "canned_cosmos.py")]) as (process, port):
        yield Served(process, f"http://127.0.0.1:{int(port)}/", ANY_KEY)


@contextmanager
def peer(folder: Path) -> Iterator[Served]:
    """npm's server. It speaks TLS only to this SDK, with a certificate that nobody signed."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise Missed("the peer needs node and npm")
    folder.mkdir()
    subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", PEER],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    command = [node, "node_modules/@vercel/cosmosdb-server/lib/cli.js", "--host", "127.0.0.1", "-p", "0"]
    with started(command, folder) as (process, line):
        yield Served(process, f"https://127.0.0.1:{int(line.rpartition(':')[2])}/", ANY_KEY)


def prepare(served: Served, *names: str) -> None:
    client = CosmosClient(served.endpoint, served.key, consistency_level="Eventual")
    database = client.create_database_if_not_exists("d")
    for name in names:
        database.create_container_if_not_exists(name, PartitionKey("/pk"))


def write_documents(folder: Path, name: str, key_field: str, documents: Iterable[dict[str, Any]]) -> None:
    """Write documents straight into the file, as the server's writer would, while no server runs."""
    connection = sqlite3.connect(folder / "cosmos.sqlite", isolation_level=None)
    key = KeyDefinition.from_json({"paths": [f"/{key_field}"], "kind": "Hash", "version": 2})
    number, database = connection.execute("SELECT number, database FROM containers WHERE name = ?", (name,)).fetchone()
    place = Place(number, "AAAAAQAAAAE=", f"dbs/{database}/colls/{number}/", None)
    connection.execute("BEGIN")
    turn = Turn.take(connection, place, time.time())
    bar = tqdm(documents, desc=f"seeding {name}", unit="doc", leave=False, disable=not sys.stderr.isatty())
    for document in bar:
        values = (document[key_field],)
        address = Address(key.effective_key(values), canonical(values), document["id"])
        create(turn, Draft(address, stored_text(document), None))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
