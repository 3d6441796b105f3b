"""Feed ranges shared by leases on Cosmos DB: races, deaths, thefts and splits lose nothing and invent nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.cosmos import ContainerProxy

import localazure
from labkit.errors import NotYet
from labkit.events import leases
from labkit.events.envelope import from_json
from labkit.events.leases import Leases, read_leases
from labkit.events.reading import HubReader
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.lag_monitoring.sources import outbox_lag
from labkit.settings import embedded
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item
from localazure.handle import LocalAzure

RANGES = 4


@pytest.fixture(scope="module")
def wide_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """Every container in it has four feed ranges."""
    with localazure.start(tmp_path_factory.mktemp("azure"), ranges=RANGES) as running:
        yield running


@pytest.fixture
def lab(wide_azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("00", partitions=1, target=embedded(wide_azure, tmp_path)) as opened:
        yield opened
        opened.faults.clear()


@pytest.fixture
def write_model(lab: Lab) -> ContainerProxy:
    return lab.container("write-model", "relay")


@pytest.fixture
def state(lab: Lab) -> ContainerProxy:
    return lab.container("relay-state", "relay")


@pytest.fixture
def leases_of(state: ContainerProxy, write_model: ContainerProxy) -> Callable[..., Leases]:
    def make(owner: str, lease_seconds: float = 60.0) -> Leases:
        return Leases(state, write_model, owner, lease_seconds)

    return make


def orders(lab: Lab, count: int, first: int = 0) -> list[str]:
    """New orders' tokens."""
    handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
    tokens = []
    for number in range(first, first + count):
        command = CreateOrder(f"order-20260105-{number:04}", "customer-1", (Item("tea", 1, Decimal("4.50")),))
        outcome = handler.handle(command, Context(f"k-{number}"))
        assert isinstance(outcome, Accepted)
        tokens.append(str(outcome.token))
    return tokens


def in_the_hub(lab: Lab) -> list[str]:
    """Tokens in the order of arrival."""
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        envelopes = [from_json(one.body) for one in reader.read_to_end()]
    return [f"{envelope.aggregate_id}@{envelope.version}" for envelope in envelopes]


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look again and again, but not for ever."""
    never = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        never.wait(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Turns the clock of all who look at leases on, by so many seconds."""
    ahead = [0.0]

    def turn(seconds: float) -> None:
        ahead[0] += seconds

    monkeypatch.setattr(leases, "time", SimpleNamespace(time=lambda: time.time() + ahead[0]))
    return turn


def owners(state: ContainerProxy, write_model: ContainerProxy) -> list[str]:
    return [lease.owner if lease.is_held else "" for lease in read_leases(state, write_model)]


def test_several_that_start_at_once_on_nothing_share_the_ranges_without_an_error(
    leases_of: Callable[..., Leases], state: ContainerProxy, write_model: ContainerProxy
) -> None:
    relays = [leases_of(f"relay-{number}") for number in range(4)]
    together = threading.Barrier(len(relays))

    def start(one: Leases) -> None:
        together.wait(60)
        one.balance()

    with ThreadPoolExecutor(len(relays)) as pool:
        list(pool.map(start, relays))
    assert "" not in owners(state, write_model)
    for one in relays * RANGES:
        one.balance()
    assert sorted(owners(state, write_model)) == [f"relay-{number}" for number in range(4)]
    assert [len(one.held) for one in relays] == [1, 1, 1, 1]


def test_one_that_comes_later_gets_its_share_and_one_that_leaves_gives_it_back(
    leases_of: Callable[..., Leases],
) -> None:
    first, second = leases_of("first"), leases_of("second")
    first.balance()
    assert len(first.held) == RANGES
    for _ in range(RANGES):
        second.balance()
        first.balance()
    assert (len(first.held), len(second.held)) == (2, 2)
    second.release()
    first.balance()
    assert (len(first.held), second.held) == (RANGES, [])


def test_the_ranges_of_one_that_died_are_taken_when_its_leases_have_ended(
    leases_of: Callable[..., Leases], later: Callable[[float], None]
) -> None:
    dead, other = leases_of("dead", lease_seconds=600.0), leases_of("other")
    dead.balance()
    other.take_free()
    assert other.held == []
    later(601)
    other.take_free()
    assert len(other.held) == RANGES


def test_one_that_lost_its_lease_cannot_overwrite_a_newer_continuation(
    leases_of: Callable[..., Leases], later: Callable[[float], None], state: ContainerProxy, write_model: ContainerProxy
) -> None:
    late, other = leases_of("late", lease_seconds=0.0), leases_of("other")
    late.balance()
    (old, *_) = late.held
    later(2)
    other.take_free()
    (taken,) = [lease for lease in other.held if lease.id == old.id]
    assert other.save(taken, "newer")
    assert not late.save(old, "older")
    assert old.id not in {lease.id for lease in late.held}
    assert next(read_leases(state, write_model)).continuation == "newer"
    assert other.save(taken, "newest")


def test_the_continuation_travels_with_the_lease(
    leases_of: Callable[..., Leases], state: ContainerProxy, write_model: ContainerProxy
) -> None:
    first, second = leases_of("first"), leases_of("second")
    first.balance()
    for lease in first.held:
        assert first.save(lease, f"read to {lease.id}")
    first.release()
    second.balance()
    assert [lease.continuation for lease in second.held] == [f"read to {lease.id}" for lease in second.held]
    assert len(second.held) == RANGES


def test_a_lease_is_renewed_before_it_ends_and_not_each_time(
    leases_of: Callable[..., Leases], later: Callable[[float], None]
) -> None:
    relay = leases_of("relay", lease_seconds=600.0)
    relay.balance()
    written = {lease.etag for lease in relay.held}
    relay.balance()
    assert {lease.etag for lease in relay.held} == written
    later(201)
    relay.balance()
    assert len({lease.etag for lease in relay.held} - written) == RANGES


def test_after_an_error_a_relay_finds_its_own_leases_again(leases_of: Callable[..., Leases]) -> None:
    relay = leases_of("relay")
    relay.balance()
    etags = {lease.id: lease.etag for lease in relay.held}
    relay.forget()
    relay.balance()
    assert {lease.id: lease.etag for lease in relay.held} == etags


def test_a_relay_that_stops_after_an_error_gives_back_what_it_had(
    leases_of: Callable[..., Leases], state: ContainerProxy, write_model: ContainerProxy
) -> None:
    relay = leases_of("relay")
    relay.balance()
    relay.forget()
    relay.release()
    assert owners(state, write_model) == [""] * RANGES


def test_two_relays_share_the_work_and_whoever_waits_at_one_is_told_of_what_the_other_sent(
    lab: Lab, state: ContainerProxy, write_model: ContainerProxy
) -> None:
    relays = [Relay(write_model, lab.producer(), state, lease_seconds=60.0, name=name) for name in ("left", "right")]
    for relay in relays:
        relay._balance_seconds = 0.5
        relay.start()
    try:
        eventually(lambda: sorted(owners(state, write_model)) == ["left", "left", "right", "right"])
        tokens = orders(lab, 20)
        for relay in relays:
            for token in tokens:
                relay.wait_until_published(token, timeout_seconds=60)
        assert all(relay.published_events > 0 for relay in relays)
        relays[0].stop()
        tokens += orders(lab, 10, first=20)
        for token in tokens:
            relays[0].wait_until_published(token, timeout_seconds=60)
        eventually(lambda: bool(state.read_item("heartbeat", "heartbeat")["relay"] == "right"))
    finally:
        for relay in relays:
            relay.stop()
    assert [relay.error for relay in relays] == [None, None]
    assert set(in_the_hub(lab)) == set(tokens)


def test_a_round_leaves_alone_what_another_relay_holds(
    lab: Lab, state: ContainerProxy, write_model: ContainerProxy, leases_of: Callable[..., Leases]
) -> None:
    tokens = orders(lab, 12)
    other = leases_of("other")
    other.balance()
    relay = Relay(write_model, lab.producer(), state)
    assert relay.run_once() == 0
    with pytest.raises(NotYet, match="was not published within"):
        relay.wait_until_published(tokens[0], timeout_seconds=0.2)
    other.release()
    with pytest.raises(NotYet, match="the relay is not running"):
        relay.wait_until_published(tokens[0], timeout_seconds=0.2)
    assert relay.run_once() == 12
    assert owners(state, write_model) == [""] * RANGES


def test_the_outbox_is_counted_behind_the_continuations_of_all_ranges(
    lab: Lab, state: ContainerProxy, write_model: ContainerProxy
) -> None:
    watched = lab.container("write-model", "monitor"), lab.container("relay-state", "monitor")
    orders(lab, 9)
    assert outbox_lag(*watched)[0].events == 9
    Relay(write_model, lab.producer(), state).run_once()
    assert outbox_lag(*watched)[0].events == 0
    orders(lab, 3, first=9)
    assert outbox_lag(*watched)[0].events == 3


def test_a_range_that_was_split_stays_one_lease_and_is_published_on_each_event_once(tmp_path: Path) -> None:
    with (
        localazure.start(tmp_path / "azure") as azure,
        open_lab("00", partitions=1, target=embedded(azure, tmp_path)) as lab,
    ):
        write_model, state = lab.container("write-model", "relay"), lab.container("relay-state", "relay")
        tokens = orders(lab, 10)
        relay = Relay(write_model, lab.producer(), state, page_documents=7)
        assert relay.run_once() == 10
        tokens += orders(lab, 10, first=10)
        split(lab)
        tokens += orders(lab, 10, first=20)
        assert outbox_lag(write_model, state)[0].events == 20
        assert relay.run_once() == 20
        relay.wait_until_published(tokens[-1], timeout_seconds=0)
        following = Relay(write_model, lab.producer(), state)
        following.start()
        tokens += orders(lab, 20, first=30)
        for token in tokens:
            following.wait_until_published(token, timeout_seconds=60)
        following.stop()
        assert [lease.id for lease in read_leases(state, write_model)] == ["continuation-0"]
        assert sorted(in_the_hub(lab)) == sorted(tokens)


def split(lab: Lab) -> None:
    container = lab.container("write-model", "command")
    container.replace_throughput(25_000)
    assert len(list(container.read_feed_ranges(force_refresh=True))) > 1


def test_a_range_that_is_split_while_a_relay_runs_is_published_on(tmp_path: Path) -> None:
    with (
        localazure.start(tmp_path / "azure") as azure,
        open_lab("00", partitions=1, target=embedded(azure, tmp_path)) as lab,
    ):
        relay = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
        relay.start()
        tokens = orders(lab, 10)
        relay.wait_until_published(tokens[-1], timeout_seconds=60)
        split(lab)
        tokens += orders(lab, 10, first=10)
        for token in tokens:
            relay.wait_until_published(token, timeout_seconds=60)
        relay.stop()
        assert (relay.error, relay.failures) == (None, 0)
        assert sorted(in_the_hub(lab)) == sorted(tokens)
