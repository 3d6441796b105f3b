"""A message cut while it arrives gives what it gives cut whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localazure.amqp import encode
from localazure.eventhubs.messages import BATCH_FORMAT, Cutter, split
from localazure.eventhubs.refusals import BadMessage

KEY = encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.string("key"))]))


def event(size: int, *, keyed: bool = False) -> bytes:
    body = (KEY if keyed else b"") + encode.described(0x75, encode.binary(b"x" * size))
    return encode.described(0x75, encode.binary(body))


def in_parts(payload: bytes, sizes: list[int], message_format: int) -> Cutter:
    cutter = Cutter(message_format)
    for size in sizes:
        part, payload = payload[:size], payload[size:]
        cutter.add(part)
    cutter.add(payload)
    cutter.finish()
    return cutter


BATCHES = st.lists(st.builds(event, st.integers(0, 700), keyed=st.booleans()), min_size=1, max_size=8)


@given(BATCHES, st.sampled_from([b"", KEY]), st.booleans(), st.lists(st.integers(0, 900), max_size=12))
def test_in_whatever_parts_a_batch_comes_its_events_are_the_same(
    events: list[bytes], key: bytes, key_is_last: bool, sizes: list[int]
) -> None:
    payload = b"".join([*events, key] if key_is_last else [key, *events])
    cutter = in_parts(payload, sizes, BATCH_FORMAT)
    assert cutter.events() == split(payload, BATCH_FORMAT)
    assert cutter.count == len(events)
    assert cutter.partition_key == cutter.events()[0].partition_key
    assert [len(one.tail) for one in cutter.events()] == [len(split(one, BATCH_FORMAT)[0].tail) for one in events]


@pytest.mark.parametrize("size", range(1, 40))
def test_byte_by_byte_or_nearly_so_it_is_the_same_and_work_does_not_grow_with_the_parts(size: int) -> None:
    payload = event(600) + event(3) + KEY + event(600)
    sizes = [size] * (len(payload) // size)
    assert in_parts(payload, sizes, BATCH_FORMAT).events() == split(payload, BATCH_FORMAT)
    assert in_parts(event(600), sizes, 0).events() == split(event(600), 0)


def test_many_small_parts_of_a_large_event_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    cut = Cutter._cut

    def counted(self: Cutter, *, is_whole: bool) -> None:
        nonlocal looked
        looked += 1
        cut(self, is_whole=is_whole)

    monkeypatch.setattr(Cutter, "_cut", counted)
    in_parts(event(100_000) + event(3) + event(100_000), [500] * 400, BATCH_FORMAT)
    assert looked <= 4


@pytest.mark.parametrize("cut_off", [1, 10, 500, 620])
def test_a_batch_that_is_cut_off_is_refused_however_it_came(cut_off: int) -> None:
    payload = (event(600) + event(600))[:-cut_off]
    for sizes in ([], [300], [700], [100] * 20):
        with pytest.raises(BadMessage):
            in_parts(payload, sizes, BATCH_FORMAT)
