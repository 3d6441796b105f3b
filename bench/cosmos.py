"""Cosmos DB: the embedded Azure beside a server that does nothing and beside npm's @vercel/cosmosdb-server.

The same SDK drives all three, each a process of its own. What the SDK itself costs is in both halves of a pair, so
the server's processor time per operation is told too. Documents have 1 KB. The large container is written into the
file before the server starts; everything measured goes over HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.utils import formatdate
from functools import partial
from pathlib import Path
from urllib.parse import quote

from azure.cosmos import ContainerProxy
from cosmos_servers import TEXT, Served, canned, embedded, peer, prepare, write_documents
from measure import Figure, Missed, interleaved, main

OPERATIONS = 160
WRITERS = 8
PEER_OPERATIONS = 16
WARM_UP = 600
RAW_READS = 1500
BATCHES, PAGES = 60, 60
LARGE, SMALL = 1_000_000, 1_000


class Load:
    """Creates and reads against one server; ids are never used twice."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container
        self._next = 0
        self._writers = ThreadPoolExecutor(WRITERS)

    def _create(self, index: int) -> None:
        self._container.create_item({"id": f"item-{index:06}", "pk": "a", "text": TEXT})

    def creates_per_second(self, count: int = OPERATIONS) -> float:
        """By `WRITERS` at once, as commands come in: they share commits to disk where there is a disk."""
        first, self._next = self._next + 1, self._next + count
        began = time.perf_counter()
        list(self._writers.map(self._create, range(first, first + count)))
        return count / (time.perf_counter() - began)

    def creates_alone_per_second(self, count: int = OPERATIONS) -> float:
        """One after the other: each waits for a commit of its own."""
        began = time.perf_counter()
        for _ in range(count):
            self._next += 1
            self._create(self._next)
        return count / (time.perf_counter() - began)

    def reads_per_second(self, count: int = OPERATIONS) -> float:
        began = time.perf_counter()
        for index in range(count):
            found = self._container.read_item(f"item-{1 + index % self._next:06}", "a")
            if len(found["text"]) != len(TEXT):
                raise Missed("a read gave something else than was written")
        return count / (time.perf_counter() - began)


def median_ms(act: Callable[[int], None], count: int) -> float:
    taken = []
    for index in range(count):
        began = time.perf_counter()
        act(index)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def shares(ours: Served, theirs: Served, what: str, count: int) -> Iterator[Figure]:
    """How much of `theirs` rate the embedded Azure reaches."""
    mine = Load(ours.container(f"beside-{what}", consistency_level="Eventual"))
    other = Load(theirs.container(consistency_level="Eventual"))
    mine.creates_per_second(WARM_UP)  # the write-ahead log grows to the size it keeps
    other.creates_per_second(min(WARM_UP, count))
    for name, act, clients in (
        ("create", Load.creates_per_second, f"{WRITERS} threads at once"),
        ("create_alone", Load.creates_alone_per_second, "one after the other, each with a commit of its own"),
        ("point_read", Load.reads_per_second, "one after the other"),
    ):
        pairs = interleaved(partial(act, other, count), partial(act, mine, count), title=f"{name}, {what}")
        method = f"median of {len(pairs.first)} paired ratios of {count} operations through the SDK, {clients}"
        yield Figure(f"{name}_share_of_{what}", pairs.ratio, "x", method)
        yield Figure(f"{name}_per_s_{what}", pairs.medians[0], "1/s", "the same pairs")
        yield Figure(f"{name}_per_s_beside_{what}", pairs.medians[1], "1/s", "the same pairs, the embedded Azure")


def processor_time(served: Served, container: str, suffix: str = "") -> Iterator[Figure]:
    """What an operation costs the server, whatever the SDK costs."""
    load = Load(served.container(container))
    load.creates_per_second(10)
    for name, act in (("create_alone", load.creates_alone_per_second), ("point_read", load.reads_per_second)):
        before = served.cpu_seconds()
        act(600)
        spent_ms = 1000 * (served.cpu_seconds() - before) / 600
        method = "processor time of the server per operation, 600 operations"
        yield Figure(f"{name}_server_cpu_ms{suffix}", spent_ms, "ms", method)


def batch_and_page(ours: Served) -> Iterator[Figure]:
    container = ours.container("batches")

    def batch(index: int) -> None:
        documents = [{"id": f"{index}-{part}", "pk": f"p{index}", "text": TEXT} for part in range(10)]
        container.execute_item_batch([("create", (document,)) for document in documents], partition_key=f"p{index}")

    yield Figure(
        "batch10_ms", median_ms(batch, BATCHES), "ms", f"median of {BATCHES}: ten creates of 1 KB in one batch"
    )
    pages = container.query_items_change_feed(start_time="Beginning", max_item_count=100).by_page()
    first = next(pages)
    if len(list(first)) != 100:
        raise Missed("a change feed page did not hold 100 documents")

    def page(_: int) -> None:
        found = container.query_items_change_feed(start_time="Beginning", max_item_count=100).by_page()
        if len(list(next(found))) != 100:
            raise Missed("a change feed page did not hold 100 documents")

    yield Figure(
        "change_feed_page_ms", median_ms(page, PAGES), "ms", f"median of {PAGES}: 100 documents of 1 KB, SDK included"
    )


def seed(folder: Path, sizes: dict[str, int]) -> None:
    for name, count in sizes.items():
        documents = ({"id": str(index), "pk": f"p{index}", "text": TEXT} for index in range(count))
        write_documents(folder, name, "pk", documents)


def raw_reads_ms(served: Served, name: str, count: int, chooser: random.Random) -> float:
    """Milliseconds per point read of a random document over one plain HTTP connection, without the SDK."""
    connection = http.client.HTTPConnection("127.0.0.1", int(served.endpoint.rstrip("/").rpartition(":")[2]))
    date = formatdate(usegmt=True)
    requests = []
    for _ in range(RAW_READS):
        index = chooser.randrange(count)
        link = f"dbs/d/colls/{name}/docs/{index}"
        text = f"get\ndocs\n{link}\n{date.lower()}\n\n".encode()
        signature = base64.b64encode(hmac.digest(base64.b64decode(served.key), text, hashlib.sha256)).decode()
        headers = {
            "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
            "x-ms-date": date,
            "x-ms-documentdb-partitionkey": f'["p{index}"]',
        }
        requests.append((f"/{link}", headers))
    began = time.perf_counter()
    for path, headers in requests:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if len(response.read()) < len(TEXT) or response.status != 200:
            raise Missed(f"a read of {path} was answered with {response.status}")
    taken = 1000 * (time.perf_counter() - began) / RAW_READS
    connection.close()
    return taken


def growth(folder: Path) -> Iterator[Figure]:
    """The same reads where there is a thousand times as much."""
    with embedded(folder) as served:
        prepare(served, "large", "small")
    seed(folder, {"small": SMALL, "large": LARGE})
    began = time.perf_counter()
    with embedded(folder) as served:
        yield Figure(
            "ready_seconds_1m",
            time.perf_counter() - began,
            "s",
            "from process start to ready line, 1 million documents in the file",
        )
        chooser = random.Random(7)
        raw_reads_ms(served, "small", SMALL, chooser)
        at_rest = served.rss_mb()
        raw_reads_ms(served, "large", LARGE, chooser)
        pairs = interleaved(
            lambda: raw_reads_ms(served, "small", SMALL, chooser),
            lambda: raw_reads_ms(served, "large", LARGE, chooser),
            title="point reads, 1 thousand and 1 million documents",
        )
        method = f"median of {len(pairs.first)} paired ratios of {RAW_READS} random reads over one connection, no SDK"
        yield Figure("point_read_growth_1m", pairs.ratio, "x", method)
        yield Figure("point_read_ms_1m", pairs.medians[1], "ms", "the same pairs")
        read = sum(len(list(page)) for page in served.container("large").read_all_items(max_item_count=1000).by_page())
        if read != LARGE:
            raise Missed(f"{read} of {LARGE} documents were read")
        yield Figure(
            "rss_growth_mb_1m",
            served.rss_mb() - at_rest,
            "MB",
            "resident memory after reading all of 1 million documents, beyond that after reading a thousand",
        )


def measure() -> Iterator[Figure]:
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as servers:
        ours = servers.enter_context(embedded(Path(scratch) / "azure"))
        nothing = servers.enter_context(canned())
        prepare(ours, "beside-canned", "beside-vercel", "cpu", "batches")
        yield from shares(ours, nothing, "canned", OPERATIONS)
        yield from processor_time(ours, "cpu")
        yield from processor_time(nothing, "items", "_canned")
        yield from batch_and_page(ours)
        vercel = servers.enter_context(peer(Path(scratch) / "npm"))
        prepare(vercel, "items")
        yield from shares(ours, vercel, "vercel", PEER_OPERATIONS)
    with tempfile.TemporaryDirectory() as scratch:
        yield from growth(Path(scratch) / "azure")


if __name__ == "__main__":
    sys.exit(main(measure))
