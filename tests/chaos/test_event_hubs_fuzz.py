"""Malformed, truncated and bit-flipped frames against a whole Event Hubs: no exception, no hang, no leak.

Whole conversations of a client are broken in one to three places and fed to a connection. Whatever arrives, the
connection answers in well-formed frames or closes; afterwards nothing of it is left in the service, and an honest
client is served as before. CHAOS_FRAMES sets how many frames (1,000,000 for the long run); a short run by default.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import threading
import time
import tracemalloc
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from localazure.amqp import encode
from localazure.amqp.records import Attach, Begin, Detach, Disposition, End, Flow, Transfer

from ..protocol.conftest import (
    AMQP,
    BEGIN,
    CLOSE,
    OPEN,
    SASL,
    SASL_INIT,
    Namespace,
    Peer,
    answers,
    frame,
    put_token,
    terminus,
)

FRAMES = int(os.environ.get("CHAOS_FRAMES", "20000"))
BATCH_FORMAT = 0x80013700
SECONDS_PER_CONVERSATION = 5.0
"""Of the processor."""
WAITED_AT_MOST_SECONDS = 30.0
"""For a conversation to end, which waits for the journal: longer than a machine pauses, and a hang is longer still."""
DATA = encode.described(0x75, encode.binary(b"an event"))
READER = "orders/ConsumerGroups/$Default/Partitions/0"

pytestmark = pytest.mark.chaos


def _attach(handle: int, address: str, *, is_receiver: bool) -> bytes:
    mine = terminus(address, 0x28 if is_receiver else 0x29)
    here = terminus("here", 0x29 if is_receiver else 0x28)
    ends = (mine, here) if is_receiver else (here, mine)
    count = None if is_receiver else 0
    return frame(Attach(f"link-{handle}", handle, is_receiver, 0, 0, *ends, initial_delivery_count=count))


def _transfer(handle: int, number: int, payload: bytes, message_format: int = 0, *, more: bool = False) -> bytes:
    return frame(Transfer(handle, number, b"tag", message_format, False, more, payload=payload))


def conversation() -> list[bytes]:
    """What an honest client says, frame by frame: tokens, both kinds of links, batches, parts, flows, endings."""
    batch = encode.described(0x75, encode.binary(DATA)) * 3
    annotations = encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.string("key"))]))
    return [
        SASL,
        SASL_INIT,
        AMQP,
        OPEN,
        BEGIN,
        _attach(1, "$cbs", is_receiver=False),
        _attach(2, "$cbs", is_receiver=True),
        frame(Flow(0, 2_048, 0, 2_048, 2, 0, 10)),
        _transfer(1, 0, put_token("")),
        _attach(3, "orders", is_receiver=False),
        _attach(4, READER, is_receiver=True),
        frame(Flow(0, 2_048, 0, 2_048, 4, 0, 3)),
        _transfer(3, 1, annotations + DATA),
        _transfer(3, 2, batch, BATCH_FORMAT),
        _transfer(3, 3, DATA[:4], more=True),
        _transfer(3, 3, DATA[4:]),
        frame(Disposition(True, 0, 2, True)),
        frame(Flow(3, 2_048, 4, 2_048, 4, 3, 5, drain=True, echo=True)),
        frame(Detach(4, closed=True)),
        frame(End()),
        frame(Begin(None, 9, 10, 10)),
        CLOSE,
    ]


def broken(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """The conversation with one to three things wrong."""
    frames = list(frames)
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(len(frames))
        data = bytearray(frames[index])
        match chance.randrange(8):
            case 0 | 1 | 2 if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 3:
                del data[chance.randrange(len(data) + 1) :]
            case 4 if len(data) >= 4:
                data[0:4] = chance.choice([b"\0\0\0\0", b"\0\0\0\x07", b"\xff\xff\xff\xff", b"\0\1\0\0", b"\0\0\0\x09"])
            case 5:
                position = chance.randrange(len(data) + 1)
                data[position:position] = chance.randbytes(chance.randint(1, 9))
            case 6:
                frames.insert(chance.randrange(len(frames) + 1), frames[index])
            case _:
                body = chance.randbytes(chance.randint(0, 40))
                data = bytearray(
                    (len(body) + 12).to_bytes(4, "big") + b"\x02\0\0\0\0\x53" + bytes([chance.randint(15, 25)])
                )
                data += chance.choice([b"\xc0", b"\xd0", b"\x45"]) + body
        frames[index] = bytes(data)
    return frames


def _talk(namespace: Namespace, frames: list[bytes], chance: random.Random) -> None:
    connection = namespace.service.connect(lambda: None)
    data = b"".join(frames)
    size = chance.choice([len(data) or 1, 97, 1_000])
    for start in range(0, len(data), size):
        connection.receive_bytes(data[start : start + size])
        answers(connection.data_to_send())
        if connection.closed:
            break
    connection.tick(namespace.time)
    namespace.run_all_posted()
    answers(connection.data_to_send())
    connection.connection_lost()


def _talking(namespace: Namespace, frames: list[bytes], chance: random.Random) -> Future[float]:
    """The conversation on a thread of its own, so that one that hangs can be left; its seconds of the processor."""
    spent: Future[float] = Future()

    def talk() -> None:
        try:
            _talk(namespace, frames, chance)
            spent.set_result(time.thread_time())
        except BaseException as error:
            spent.set_exception(error)

    threading.Thread(target=talk, daemon=True).start()
    return spent


def test_whatever_arrives_is_answered_and_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = Namespace(tmp_path)
    namespace.service.create_hub("orders", 1, retention_bytes=100_000)
    honest = conversation()
    seed = int(os.environ.get("CHAOS_SEED", "20260105"))
    chance = random.Random(seed)
    said = conversations = 0
    memory = 0
    tracemalloc.start()
    try:
        with caplog.at_level(logging.WARNING):
            while said < FRAMES:
                frames = broken(honest, chance)
                spent = _talking(namespace, frames, chance)
                assert wait([spent], WAITED_AT_MOST_SECONDS).done, (seed, conversations, frames)
                assert spent.result() < SECONDS_PER_CONVERSATION, (seed, conversations, frames)
                said += len(frames)
                conversations += 1
                namespace.time += 0.1
                if conversations == 200:
                    gc.collect()
                    memory = tracemalloc.get_traced_memory()[0]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()
    assert grown < 2_000_000, f"{grown} bytes after {conversations} conversations"
    assert namespace.service.counters()["connections_open"] == 0
    assert [record for record in caplog.records if record.name.startswith("localazure")] == []
    hub = namespace.service.hubs()[0]
    assert [receiver for group in hub.partitions[0].receivers.values() for receiver in group] == []
    assert hub.partitions[0].waiting == set()
    peer = Peer(namespace)
    assert peer.authorise("orders") == 202
    sender, _ = peer.attach("orders", is_receiver=False)
    (outcome,) = peer.send(sender, DATA)
    assert outcome.state.descriptor == 0x24
    namespace.service.close()


def test_the_unbroken_conversation_is_served(tmp_path: Path) -> None:
    """Otherwise the other test would break what is broken already."""
    namespace = Namespace(tmp_path)
    namespace.service.create_hub("orders", 1)
    _talk(namespace, conversation(), random.Random(1))
    counters = namespace.service.counters()
    assert (counters["batches_in"], counters["events_in"]) == (3, 5)
    namespace.service.close()
