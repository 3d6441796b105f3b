"""`kill -9` under load: every acknowledged event is there once per acknowledgement, in sequence, and none is invented.

Each round starts the server on the same folder and port, sends batches from several threads, kills the process in the
midst of it, starts it again and reads everything. CHAOS_ROUNDS sets how many rounds; a few run by default.
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
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

from localazure import keys

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "2"))
SENDERS = 3
BATCH_EVENTS = 20
LOAD_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
HUB, PARTITIONS = "orders", 2

pytestmark = pytest.mark.chaos


@contextmanager
def served(folder: Path, port: int, *hubs: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server process and its port; killed at the end."""
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder), "--eventhubs-port", str(port)]
    for hub in hubs:
        command += ["--hub", hub]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["eventhubs_port"]
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def connection_string(folder: Path, port: int) -> str:
    found = keys.load(folder)
    assert found is not None
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=manage;SharedAccessKey={found.event_hubs['manage']};"
        "UseDevelopmentEmulator=true"
    )


@dataclass
class Ledger:
    """What was sent and what was acknowledged, by all rounds together: one name per event."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)


def send_until_it_breaks(text: str, name: str, ledger: Ledger, begun: threading.Event) -> None:
    """Batches one after the other, none of them sent again: a failed one may be stored or not."""
    producer = EventHubProducerClient.from_connection_string(
        text, eventhub_name=HUB, retry_total=0, socket_timeout=0.05
    )
    number = 0
    try:
        while True:
            batch = [f"{name}-{number}-{one}" for one in range(BATCH_EVENTS)]
            ledger.sent.update(batch)
            producer.send_batch([EventData(event) for event in batch], partition_id=str(number % PARTITIONS))
            ledger.acknowledged.update(batch)
            begun.set()
            number += 1
    except EventHubError:
        return
    finally:
        producer.close()


def everything(text: str) -> list[list[EventData]]:
    """All events, by partition."""
    client = EventHubConsumerClient.from_connection_string(
        text, consumer_group="$Default", eventhub_name=HUB, prefetch=3_000, socket_timeout=0.05
    )
    found = []
    for partition in range(PARTITIONS):
        events: list[EventData] = []
        wanted = client.get_partition_properties(str(partition))["last_enqueued_sequence_number"] + 1
        done = threading.Event()

        def collect(_: object, batch: list[EventData], events: list[EventData] = events) -> None:
            events.extend(batch)
            if len(events) >= wanted:  # noqa: B023 (joined before the next turn)
                done.set()  # noqa: B023

        if wanted:
            reader = threading.Thread(
                target=client.receive_batch,
                args=(collect,),
                kwargs={"partition_id": str(partition), "starting_position": "-1", "max_wait_time": 0.1},
            )
            reader.start()
            assert done.wait(PATIENCE_SECONDS), f"{len(events)} of {wanted}"
            client.close()
            reader.join(PATIENCE_SECONDS)
            client = EventHubConsumerClient.from_connection_string(
                text, consumer_group="$Default", eventhub_name=HUB, prefetch=3_000, socket_timeout=0.05
            )
        found.append(events)
    client.close()
    return found


def test_killed_under_load_nothing_acknowledged_is_lost_doubled_or_out_of_order(tmp_path: Path) -> None:
    ledger = Ledger()
    with served(tmp_path, 0, f"{HUB}:{PARTITIONS}") as (_, port):
        pass
    for turn in range(ROUNDS):
        with served(tmp_path, port) as (process, _):
            text = connection_string(tmp_path, port)
            begun = [threading.Event() for _ in range(SENDERS)]
            senders = [
                threading.Thread(target=send_until_it_breaks, args=(text, f"{turn}-{one}", ledger, begun[one]))
                for one in range(SENDERS)
            ]
            for sender in senders:
                sender.start()
            assert all(event.wait(PATIENCE_SECONDS) for event in begun)
            time.sleep(LOAD_SECONDS)
            process.kill()
            for sender in senders:
                sender.join(PATIENCE_SECONDS)
        with served(tmp_path, port):
            partitions = everything(connection_string(tmp_path, port))
        stored: Counter[str] = Counter()
        for events in partitions:
            assert [event.sequence_number for event in events] == list(range(len(events)))
            stored.update(event.body_as_str() for event in events)
            for sender in (f"{turn}-{one}" for one in range(SENDERS)):
                mine = [
                    tuple(map(int, body.split("-")[2:]))
                    for body in map(EventData.body_as_str, events)
                    if body.startswith(f"{sender}-")
                ]
                assert mine == sorted(mine)
        assert ledger.acknowledged <= set(stored), "an acknowledged event is lost"
        assert set(stored) <= ledger.sent, "an event is stored that nobody sent"
        assert max(stored.values()) == 1, "an event is stored twice"
    assert len(ledger.acknowledged) > ROUNDS * SENDERS * BATCH_EVENTS
