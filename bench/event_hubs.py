"""Event Hubs: the embedded service beside a server that stores nothing, and by itself.

The Azure SDK, unmodified, drives both in turns of twenty batches: 100 JSON events of 1,000 bytes each, made anew for
each send. The sink answers from what was prepared, so it is the ceiling of the SDK; the embedded service stores each
batch durably before it answers. What the disk alone takes off that ceiling is told by a second sink, which has the
bytes on disk in the service's own way before it answers, and looks at none; and by what such a flush takes alone.
A pipelining client tells what the service does without the SDK in the way.
The log of five million events is written into the file before its server starts.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from measure import Figure, Missed, interleaved, main
from peers.amqp_client import Client
from process import Process, started
from tqdm import tqdm

from localazure.amqp import encode
from localazure.amqp.records import Transfer
from localazure.eventhubs.chunks import SEQUENCE_BITS
from localazure.eventhubs.messages import BATCH_FORMAT, split, stamp
from localazure.eventhubs.service import FILE_NAME
from localazure.write_ahead import Record, WriteAhead

POLICY, KEY = "RootManageSharedAccessKey", "a2V5"
HUB, WIDE, LONG = "orders", "wide", "long"
BATCH_EVENTS = 100
SENT_BATCHES, SENDING_ROUNDS = 20, 35
FLUSHES, REST_SECONDS = 400, 0.004
RECEIVED_EVENTS, PREFETCH = 12_000, 3_000
RAW_BATCHES, UNDER_WAY = 400, 32
GROUPS, PARTITIONS = 20, 32
LONG_EVENTS, LONG_CHUNK_EVENTS, LONG_BODY = 5_000_000, 500, b"x" * 60
BODY = json.dumps({"filler": "x" * 984}).encode()
EVENT = encode.described(0x75, encode.binary(BODY))
BATCH = encode.described(0x75, encode.binary(EVENT)) * BATCH_EVENTS


@dataclass(frozen=True, slots=True)
class Served(Process):
    """A server process on a port."""

    port: int

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={POLICY};SharedAccessKey={KEY};"
            "UseDevelopmentEmulator=true"
        )


@contextmanager
def sink(file: Path | None = None) -> Iterator[Served]:
    """The ceiling; with a file, the ceiling of what is durable."""
    command = [sys.executable, str(Path(__file__).parent / "peers" / "event_hubs_sink.py")]
    with started(command + [str(file)] * (file is not None)) as (process, line):
        yield Served(process, int(line))


@contextmanager
def embedded(folder: Path, *hubs: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder), "--eventhubs-key", KEY]
    for hub in hubs:
        command += ["--hub", hub]
    with started(command) as (process, line):
        yield Served(process, int(json.loads(line)["eventhubs_port"]))


def producer_of(server: Served) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name=HUB)


def sent_per_s(producer: EventHubProducerClient) -> float:
    """Events per second: batches built and sent, each acknowledged before the next is built."""
    began = time.perf_counter()
    for _ in range(SENT_BATCHES):
        batch = producer.create_batch(partition_id="0")
        for _ in range(BATCH_EVENTS):
            batch.add(EventData(BODY))
        producer.send_batch(batch)
    return SENT_BATCHES * BATCH_EVENTS / (time.perf_counter() - began)


def received_per_s(server: Served) -> float:
    """Events per second from the first callback on, which does nothing but count."""
    client = EventHubConsumerClient.from_connection_string(
        server.connection_string, consumer_group="$Default", eventhub_name=HUB, prefetch=PREFETCH
    )
    counted: list[tuple[float, int]] = []
    total = 0

    def count(_: object, events: list[EventData]) -> None:
        nonlocal total
        total += len(events)
        counted.append((time.perf_counter(), len(events)))
        if total >= RECEIVED_EVENTS:
            client.close()

    thread = threading.Thread(
        target=client.receive_batch,
        args=(count,),
        kwargs={"partition_id": "0", "starting_position": "-1", "max_batch_size": 300},
    )
    thread.start()
    thread.join(120)
    if total < RECEIVED_EVENTS:
        client.close()
        raise Missed(f"{total} of {RECEIVED_EVENTS} events were received")
    return (total - counted[0][1]) / (counted[-1][0] - counted[0][0])


def flushed_ms(folder: Path) -> float:
    """What it takes to have a batch's bytes on disk in the service's way, after a rest as long as the SDK gives it."""
    ahead, batch, taken = WriteAhead(folder / "flushed"), Record([BATCH], len(BATCH)), []
    for _ in range(FLUSHES):
        time.sleep(REST_SECONDS)
        began = time.perf_counter()
        ahead.release(ahead.write([batch]))
        taken.append((time.perf_counter() - began) * 1000)
    ahead.close()
    return statistics.median(taken[FLUSHES // 4 :])


def sends(server: Served, ceiling: Served, durable: Served, flush_ms: float) -> Iterator[Figure]:
    """What the SDK sends to the embedded service, as a share of what it sends to the sinks."""
    with producer_of(server) as mine, producer_of(ceiling) as theirs, producer_of(durable) as flushed:
        for one in (mine, theirs, flushed):
            sent_per_s(one)
        before = server.cpu_seconds()
        turns = partial(interleaved, pairs=SENDING_ROUNDS)
        pairs = turns(partial(sent_per_s, theirs), partial(sent_per_s, mine), title="sends")
        cpu_us = (server.cpu_seconds() - before) / (len(pairs.first) * SENT_BATCHES * BATCH_EVENTS) * 1e6
        disk = turns(partial(sent_per_s, theirs), partial(sent_per_s, flushed), title="sends to the disk")
        share = turns(partial(sent_per_s, flushed), partial(sent_per_s, mine), title="sends beside the disk")
    method = f"median of {len(pairs.first)} paired ratios, batches of {BATCH_EVENTS}, against "
    yield Figure("send_share_of_sdk_ceiling", pairs.ratio, "ratio", method + "a sink")
    yield Figure("send_share_of_durable_ceiling", share.ratio, "ratio", method + "a sink that stores the bytes")
    yield Figure("durable_share_of_sdk_ceiling", disk.ratio, "ratio", "as above, the one sink against the other")
    sink_ms = BATCH_EVENTS / pairs.medians[0] * 1000
    alone = f"of a server that costs nothing but a flush of {flush_ms:.3f} ms, where the sink takes {sink_ms:.2f} ms"
    yield Figure("flush_share_of_sdk_ceiling", sink_ms / (sink_ms + flush_ms), "ratio", alone)
    method = f"median of {FLUSHES}: {len(BATCH):,} bytes on disk in place, {REST_SECONDS * 1000:.0f} ms after the last"
    yield Figure("flush_p50_ms", flush_ms, "ms", method)
    yield Figure("sdk_send_events_per_s", pairs.medians[1], "1/s", f"median; against the sink {pairs.medians[0]:,.0f}")
    yield Figure("server_cpu_us_per_event_in_by_sdk", cpu_us, "us", "processor time of the server, SDK sending")


def receives(server: Served, ceiling: Served) -> Iterator[Figure]:
    """What the SDK receives from the embedded service, as a share of what it receives from the sink."""
    pairs = interleaved(partial(received_per_s, ceiling), partial(received_per_s, server), title="receives")
    method = f"median of {len(pairs.first)} paired ratios, prefetch {PREFETCH}, null callback, against canned frames"
    yield Figure("receive_share_of_sdk_ceiling", pairs.ratio, "ratio", method)
    yield Figure(
        "sdk_receive_events_per_s", pairs.medians[1], "1/s", f"median; against the sink {pairs.medians[0]:,.0f}"
    )


def raw(server: Served) -> Iterator[Figure]:
    """What the service takes in and gives out when the client is no limit."""
    events = RAW_BATCHES * BATCH_EVENTS
    with Client(server.port, POLICY, KEY) as client:
        client.attach(1, f"{HUB}/Partitions/1", is_receiver=False)
        client.send_all(1, BATCH, BATCH_FORMAT, 50, UNDER_WAY)
        rates, cpu_us = [], []
        for _ in tqdm(range(7), desc="raw sends", leave=False, disable=not sys.stderr.isatty()):
            before = server.cpu_seconds()
            rates.append(events / client.send_all(1, BATCH, BATCH_FORMAT, RAW_BATCHES, UNDER_WAY))
            cpu_us.append((server.cpu_seconds() - before) / events * 1e6)
        method = f"median of 7 runs of {events:,} events, {UNDER_WAY} batches under way, durable"
        yield Figure("raw_events_per_s", statistics.median(rates), "1/s", method)
        yield Figure(
            "server_cpu_us_per_event_in", statistics.median(cpu_us), "us", "processor time of the server, same runs"
        )
        client.attach(2, f"{HUB}/ConsumerGroups/$Default/Partitions/1", is_receiver=True)
        before, began = server.cpu_seconds(), time.perf_counter()
        client.give_credit(2, 5 * events)
        client.drop_bytes(5 * events * len(EVENT))
        seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - before
    yield Figure("raw_events_out_per_s", 5 * events / seconds, "1/s", f"{5 * events:,} events read from the start")
    yield Figure(
        "server_cpu_us_per_event_out", cpu / (5 * events) * 1e6, "us", "processor time of the server, same run"
    )


def idle(server: Served) -> Iterator[Figure]:
    """Every partition read by every group, nothing to deliver."""
    with ExitStack() as stack:
        for group in range(GROUPS):
            client = stack.enter_context(Client(server.port, POLICY, KEY))
            name = "$Default" if group == 0 else f"group-{group}"
            for partition in range(PARTITIONS):
                address = f"{WIDE}/ConsumerGroups/{name}/Partitions/{partition}"
                client.attach(partition + 1, address, is_receiver=True)
                client.give_credit(partition + 1, 300)
        method = f"resident, {PARTITIONS} partitions x {GROUPS} consumer groups attached with credit"
        yield Figure("idle_rss_mb", server.rss_mb(), "MB", method)


def seed(folder: Path) -> None:
    """Five million events and the hub with twenty groups, written as the service writes them."""
    file = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    (partition,) = file.execute(
        "SELECT partitions.id FROM hubs JOIN partitions ON hub = hubs.id WHERE name = ?", (LONG,)
    ).fetchone()
    events = split(encode.described(0x75, encode.binary(LONG_BODY)), 0) * LONG_CHUNK_EVENTS
    now_ms, offset, sizes = int(time.time() * 1000), 0, [0]
    file.execute("PRAGMA synchronous=OFF")
    file.execute("BEGIN")
    for first in tqdm(
        range(0, LONG_EVENTS, LONG_CHUNK_EVENTS), desc="seeding", leave=False, disable=not sys.stderr.isatty()
    ):
        stamped, sizes = stamp(events, first, offset, now_ms)
        row = (partition << SEQUENCE_BITS | first, offset, now_ms, struct.pack(f"<{len(sizes)}I", *sizes), stamped)
        file.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", row)
        offset += len(stamped)
    file.execute(
        "UPDATE partitions SET next_sequence = ?, next_offset = ?, last_offset = ?, last_enqueued_ms = ? WHERE id = ?",
        (LONG_EVENTS, offset, offset - sizes[-1], now_ms, partition),
    )
    wide = file.execute("SELECT id FROM hubs WHERE name = ?", (WIDE,)).fetchone()[0]
    file.executemany("INSERT INTO consumer_groups VALUES (?, ?)", [(wide, f"group-{one}") for one in range(1, GROUPS)])
    file.execute("COMMIT")
    file.close()


def long_log(server: Served) -> Iterator[Figure]:
    """The first event of a log of five million, and the memory that reading on takes."""
    address = f"{LONG}/ConsumerGroups/$Default/Partitions/0"
    starts = []
    for _ in range(7):
        with Client(server.port, POLICY, KEY) as client:
            began = time.perf_counter()
            client.attach(1, address, is_receiver=True)
            client.give_credit(1, 1)
            client.until(Transfer)
            starts.append((time.perf_counter() - began) * 1000)
    yield Figure("first_of_5m_events_ms", statistics.median(starts), "ms", "median of 7: attach to first transfer")
    before = server.rss_mb()
    with Client(server.port, POLICY, KEY) as client:
        client.attach(1, address, is_receiver=True)
        client.give_credit(1, LONG_EVENTS)
        client.drop_bytes(200_000_000)
    yield Figure("rss_growth_mb", server.rss_mb() - before, "MB", "after 200 MB of that log were read on one link")


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with embedded(folder, f"{HUB}:2", f"{WIDE}:{PARTITIONS}", f"{LONG}:1"):
            pass
        seed(folder)
        with embedded(folder) as server:
            yield from idle(server)
            yield from long_log(server)
            yield from raw(server)
            with sink() as ceiling, sink(folder / "disk") as durable:
                yield from sends(server, ceiling, durable, flushed_ms(folder))
                yield from receives(server, ceiling)


if __name__ == "__main__":
    sys.exit(main(measure))
