"""Cosmos DB queries: beside npm's @vercel/cosmosdb-server, over one large partition, right after a start, and grown.

The same SDK asks both servers, each a process of its own. Large containers are written into the file before the server
starts; everything measured goes over HTTP.
"""

from __future__ import annotations

import base64
import compileall
import hashlib
import hmac
import http.client
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from azure.cosmos import ContainerProxy
from cosmos_servers import Served, embedded, peer, prepare
from measure import Figure, Missed, interleaved, main
from tqdm import tqdm

import localazure
from localazure.cosmos.documents import Address, Draft, Place
from localazure.cosmos.drafts import stored_text
from localazure.cosmos.partitioning import KeyDefinition, canonical
from localazure.cosmos.writes import Turn, create

DOCUMENTS, PARTITIONS = 1_000, 10
PEER_QUERIES = 20
ONE_PARTITION = 50_000
PER_KEY = 10
LARGE, SMALL = 1_000_000, 1_000
RAW_QUERIES, RAW_PAIRS = 100, 31
STARTS = 7
STATUSES = ("Created", "Paid", "Shipped")
SCANS = {
    "filter": ("SELECT VALUE c.id FROM c WHERE c.status = 'Paid' AND c.total > 990", 145),
    "filter_by_function": ("SELECT VALUE c.id FROM c WHERE ENDSWITH(c.id, '99') AND c.items[0].quantity > 0", 500),
    "group_by": ("SELECT c.status, COUNT(1) AS n, SUM(c.total) AS total FROM c GROUP BY c.status", 3),
    "order_by_top": ("SELECT TOP 10 c.id, c.total FROM c ORDER BY c.total DESC", 10),
}


def order(index: int, key: str) -> dict[str, Any]:
    return {
        "id": f"order-{index:07}",
        "pk": key,
        "status": STATUSES[index % 3],
        "total": index * 1.25 % 1000,
        "items": [{"productId": f"p{index % 50}", "quantity": 1 + index % 5, "unitPrice": "12.50"}],
        "note": "x" * 100,
    }


def seed(folder: Path, name: str, orders: Iterator[dict[str, Any]], count: int) -> None:
    """Write documents straight into the file, as the server's writer would, while no server runs."""
    connection = sqlite3.connect(folder / "cosmos.sqlite", isolation_level=None)
    key = KeyDefinition.from_json({"paths": ["/pk"], "kind": "Hash", "version": 2})
    found = connection.execute("SELECT number, database FROM containers WHERE name = ?", (name,)).fetchone()
    place = Place(found[0], "AAAAAQAAAAE=", f"dbs/{found[1]}/colls/{found[0]}/", None)
    connection.execute("BEGIN")
    for document in tqdm(
        orders, total=count, desc=f"seeding {name}", unit="doc", leave=False, disable=not sys.stderr.isatty()
    ):
        values = (document["pk"],)
        address = Address(key.effective_key(values), canonical(values), document["id"])
        create(Turn.take(connection, place, time.time()), Draft(address, stored_text(document), None))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def by_tens(count: int) -> Iterator[dict[str, Any]]:
    return (order(index, f"key-{index // PER_KEY}") for index in range(count))


# Beside the peer


def queries_per_second(container: ContainerProxy, count: int = PEER_QUERIES) -> float:
    wanted = DOCUMENTS // PARTITIONS // 2
    began = time.perf_counter()
    for turn in range(count):
        key = f"key-{turn % PARTITIONS}"
        found = list(
            container.query_items(
                "SELECT c.id, c.total FROM c WHERE c.pk = @key AND c.half = 1",
                parameters=[{"name": "@key", "value": key}],
                partition_key=key,
            )
        )
        if len(found) != wanted:
            raise Missed(f"a query gave {len(found)} results, not {wanted}")
    return count / (time.perf_counter() - began)


def beside_the_peer(scratch: Path) -> Iterator[Figure]:
    with embedded(scratch / "azure") as ours, peer(scratch / "npm") as theirs:
        containers = []
        for served in (ours, theirs):
            prepare(served, "items")
            container = served.container(consistency_level="Eventual")
            for index in range(DOCUMENTS):
                document = order(index, f"key-{index % PARTITIONS}")
                container.create_item({**document, "half": index // PARTITIONS % 2})
            queries_per_second(container, 5)
            containers.append(container)
        mine, other = (partial(queries_per_second, container) for container in containers)
        pairs = interleaved(other, mine, title="queries beside the npm peer")
    method = (
        f"median of {len(pairs.first)} paired ratios of {PEER_QUERIES} queries through the SDK, {DOCUMENTS} documents "
        f"in {PARTITIONS} partitions, partition key in WHERE and in the header"
    )
    yield Figure("query_ratio_to_npm_peer", pairs.ratio, "x", method)
    yield Figure("queries_per_s_npm_peer", pairs.medians[0], "1/s", "the same pairs")
    yield Figure("queries_per_s", pairs.medians[1], "1/s", "the same pairs, the embedded Azure")


# One large partition


def scans(folder: Path) -> Iterator[Figure]:
    with embedded(folder) as served:
        container = served.container("one-partition")
        slowest = 0.0
        for name, (query, wanted) in SCANS.items():
            taken = []
            for _ in range(5):
                began = time.perf_counter()
                found = list(container.query_items(query, partition_key="one"))
                taken.append(time.perf_counter() - began)
                if len(found) != wanted:
                    raise Missed(f"{query} gave {len(found)} results, not {wanted}")
            slowest = max(slowest, statistics.median(taken))
            method = f"median of 5 through the SDK, {ONE_PARTITION} documents in one logical partition: {query}"
            yield Figure(f"scan_50k_seconds_{name}", statistics.median(taken), "s", method)
        yield Figure("scan_50k_seconds", slowest, "s", "the slowest of these")


# Without the SDK


class RawQuery:
    """One query over one plain HTTP connection."""

    def __init__(self, served: Served, name: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", int(served.endpoint.rstrip("/").rpartition(":")[2]))
        self._link = f"dbs/d/colls/{name}"
        self._key = served.key

    def ask(self, query: str, key: str) -> list[Any]:
        date = formatdate(usegmt=True)
        text = f"post\ndocs\n{self._link}\n{date.lower()}\n\n".encode()
        signature = base64.b64encode(hmac.digest(base64.b64decode(self._key), text, hashlib.sha256)).decode()
        headers = {
            "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
            "content-type": "application/query+json",
            "x-ms-date": date,
            "x-ms-documentdb-isquery": "true",
            "x-ms-documentdb-partitionkey": json.dumps([key]),
        }
        self._connection.request("POST", f"/{self._link}/docs", json.dumps({"query": query}), headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Missed(f"a query was answered with {response.status}: {body[:200]!r}")
        documents: list[Any] = json.loads(body)["Documents"]
        return documents


def first_query(folder: Path) -> Iterator[Figure]:
    compileall.compile_dir(Path(localazure.__file__).parent, quiet=1)
    taken = []
    for _ in range(STARTS):
        with embedded(folder) as served:
            query = RawQuery(served, "small")
            began = time.perf_counter()
            found = query.ask("SELECT TOP 5 c.id, c.total FROM c WHERE c.total >= 0 ORDER BY c.total DESC", "key-7")
            taken.append(1000 * (time.perf_counter() - began))
            if len(found) != 5:
                raise Missed(f"the first query gave {len(found)} results")
    method = (
        f"median of {STARTS} starts with the byte code an earlier start leaves: the first request of all is a query, "
        "over plain HTTP"
    )
    yield Figure("first_query_ms", statistics.median(taken), "ms", method)


def raw_queries_ms(query: RawQuery, count: int, chooser: random.Random) -> float:
    began = time.perf_counter()
    for _ in range(RAW_QUERIES):
        key = f"key-{chooser.randrange(count // PER_KEY)}"
        if len(query.ask("SELECT c.id, c.total FROM c WHERE c.total >= 0", key)) != PER_KEY:
            raise Missed(f"{key} has not {PER_KEY} documents")
    return 1000 * (time.perf_counter() - began) / RAW_QUERIES


def growth(folder: Path) -> Iterator[Figure]:
    with embedded(folder) as served:
        chooser = random.Random(7)
        small, large = RawQuery(served, "small"), RawQuery(served, "large")
        raw_queries_ms(large, LARGE, chooser)
        pairs = interleaved(
            lambda: raw_queries_ms(small, SMALL, chooser),
            lambda: raw_queries_ms(large, LARGE, chooser),
            pairs=RAW_PAIRS,
            title="queries of one partition, 1 thousand and 1 million documents",
        )
    method = (
        f"median of {len(pairs.first)} paired ratios of {RAW_QUERIES} queries over {PER_KEY} documents each, no SDK"
    )
    yield Figure("partition_query_growth_1m", pairs.ratio, "x", method)
    yield Figure("partition_query_ms_1m", pairs.medians[1], "ms", "the same pairs")


def measure() -> Iterator[Figure]:
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    with tempfile.TemporaryDirectory() as scratch:
        yield from beside_the_peer(Path(scratch))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "azure"
        with embedded(folder) as served:
            prepare(served, "one-partition", "small", "large")
        seed(folder, "one-partition", (order(index, "one") for index in range(ONE_PARTITION)), ONE_PARTITION)
        seed(folder, "small", by_tens(SMALL), SMALL)
        yield from scans(folder)
        yield from first_query(folder)
        seed(folder, "large", by_tens(LARGE), LARGE)
        yield from growth(folder)


if __name__ == "__main__":
    sys.exit(main(measure))
