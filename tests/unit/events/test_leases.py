"""Who should take which lease: shares become fair whoever moves first, and then nobody moves any more."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from labkit.events.leases import Lease, due, lease_from

OWNERS = ("", "a", "b", "c", "d")


def lease(number: int, owner: str, age_seconds: float = 0.0) -> Lease:
    return Lease(f"continuation-{number}", {}, None, owner, 10.0, etag='"1"', age_seconds=age_seconds)


def shares(leases: list[Lease]) -> Counter[str]:
    return Counter(one.owner for one in leases if one.is_held)


def taken(leases: list[Lease], me: str) -> list[Lease]:
    mine = {one.id for one in due(leases, me)}
    return [replace(one, owner=me, age_seconds=0.0) if one.id in mine else one for one in leases]


def test_a_relay_alone_takes_everything() -> None:
    leases = [lease(0, ""), lease(1, "dead", 10.1), lease(2, "")]
    assert due(leases, "a") == leases


def test_a_lease_is_held_until_its_own_time_is_over() -> None:
    assert lease(0, "a", 10.0).is_held
    assert not lease(0, "a", 10.1).is_held
    assert not lease(0, "").is_held
    assert not Lease("continuation-0", {}).is_held


def test_what_is_free_is_taken_up_to_a_fair_share() -> None:
    leases = [lease(0, "b"), lease(1, "b"), lease(2, ""), lease(3, ""), lease(4, "")]
    assert [one.id for one in due(leases, "a")] == ["continuation-2", "continuation-3", "continuation-4"]
    assert [one.id for one in due(leases, "b")] == ["continuation-2", "continuation-3", "continuation-4"]
    shared = [*leases[:2], lease(2, "a"), *leases[3:]]
    assert [one.id for one in due(shared, "b")] == ["continuation-3"]


def test_one_lease_is_taken_from_the_one_with_two_more_and_none_otherwise() -> None:
    assert [one.owner for one in due([lease(0, "b"), lease(1, "b"), lease(2, "c")], "a")] == ["b"]
    assert due([lease(0, "b"), lease(1, "c")], "a") == []
    assert due([lease(0, "b"), lease(1, "b"), lease(2, "a")], "a") == []
    assert due([], "a") == []


@given(st.lists(st.sampled_from(OWNERS), max_size=12), st.lists(st.sampled_from(OWNERS[1:]), min_size=1, max_size=4))
def test_whoever_moves_first_the_shares_become_fair_and_stay(owners: list[str], order: list[str]) -> None:
    leases = [lease(number, owner) for number, owner in enumerate(owners)]
    relays = sorted(
        {*order, *owners} - {""}, key=lambda name: (name not in order, order.index(name) if name in order else 0)
    )
    for _ in range(len(leases) + 1):
        for relay in relays:
            leases = taken(leases, relay)
    held = shares(leases)
    assert sum(held.values()) == len(leases)
    assert max((held[name] for name in relays), default=0) - min((held[name] for name in relays), default=0) <= 1
    assert all(due(leases, relay) == [] for relay in relays)


def test_a_state_written_before_there_were_leases_is_free_and_keeps_its_continuation() -> None:
    old = {"id": "continuation-0", "continuation": "far", "_etag": '"1"', "_ts": 0}
    found = lease_from(old, "continuation-0", {"Range": {}})
    assert (found.continuation, found.is_held, found.feed_range) == ("far", False, {"Range": {}})
