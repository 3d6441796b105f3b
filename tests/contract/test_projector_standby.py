"""Several projectors on the same tables: one is active, another takes over, and two at once do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.events.ownership import OwnershipStore
from labkit.lab import open_lab
from labkit.projections.projector import Projector
from labkit.projections.seat import Seat
from labkit.settings import Target, embedded
from labkit.write_model.orders import PayOrder
from localazure.handle import LocalAzure
from tests.contract import projector_process
from tests.contract.daemon.processes import eventually
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, folded, opened


@pytest.fixture(scope="module")
def target(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Target:
    return embedded(azure, tmp_path_factory.mktemp("tables"))


@pytest.fixture
def shop(target: Target, tmp_path: Path) -> Iterator[Shop]:
    with open_lab("03", partitions=1, target=target) as lab, opened(Side(lab), tmp_path) as one:
        yield one


class Watch:
    """A clock that is turned by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


LEASE_SECONDS = 6.0
"""Three times as long as a candidate waits between two looks."""


def with_seat(shop: Shop, watch: Watch | None = None, lease_seconds: float = LEASE_SECONDS) -> Projector:
    """By whose clock nobody is late to renew, until it is turned."""
    ownerships = OwnershipStore(shop.lab.container("ownership", "projector"))
    seat = Seat(ownerships, lease_seconds=lease_seconds, monotonic=watch or Watch())
    return shop.projector(seat=seat)  # type: ignore[arg-type]


def test_of_two_one_is_active_and_the_other_takes_over_when_it_stops(shop: Shop) -> None:
    first, second = with_seat(shop), with_seat(shop)
    token = shop.does(shop.created(1))
    second.wait_until_visible(token, PATIENCE_SECONDS)
    assert (first.active, second.active) == (True, False)
    assert second.counters["received"] == 0
    first.stop()
    second.wait_until_visible(shop.does(PayOrder(shop.order(1))), PATIENCE_SECONDS)
    assert (first.active, second.active) == (False, True)
    assert second.counters["applied"] == 1


def test_a_standby_takes_over_from_a_process_that_was_killed(shop: Shop, target: Target) -> None:
    settings = projector_process.settings_of(shop.lab, target, shop.store.tables_url)
    victim = projector_process.start({**settings, "lease_seconds": LEASE_SECONDS})
    watch = Watch()

    def has_taken_over() -> bool:
        watch.now += LEASE_SECONDS
        return standby.active

    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "active\n"
        standby = with_seat(shop, watch)
        standby.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
        assert not standby.active
        victim.kill()
        token = shop.does(PayOrder(shop.order(1)), shop.created(2))
        assert eventually(has_taken_over)
        standby.wait_until_visible(token, PATIENCE_SECONDS)
        standby.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
        assert shop.tables() == folded(shop.history())
    finally:
        victim.kill()
        victim.communicate(timeout=PATIENCE_SECONDS)


def test_a_process_that_is_told_to_stop_commits_and_leaves_the_seat(shop: Shop, target: Target) -> None:
    settings = projector_process.settings_of(shop.lab, target, shop.store.tables_url, commit_interval_seconds=30.0)
    process = projector_process.start({**settings, "lease_seconds": LEASE_SECONDS})
    assert process.stdout is not None
    assert process.stdout.readline() == "active\n"
    shop.does(shop.created(1))
    process.communicate(timeout=PATIENCE_SECONDS)  # its standard input ends
    assert process.returncode == 0
    ownerships = OwnershipStore(shop.lab.container("ownership", "projector"))
    assert Seat(ownerships, lease_seconds=3600).take(shop.lab.hub, "$Default")


def test_two_at_once_do_the_tables_no_harm(shop: Shop) -> None:
    both = [shop.projector(commit_events=3, commit_interval_seconds=0.01) for _ in range(2)]
    for number in range(1, 16):
        token = shop.does(shop.created(number), PayOrder(shop.order(number)))
    for projector in both:
        projector.wait_until_visible(token, PATIENCE_SECONDS)
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert [projector.error for projector in both] == [None, None]
    assert shop.tables() == folded(shop.history())


def test_a_holder_that_cannot_renew_its_seat_gives_it_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_seat(shop, lease_seconds=1.0)
    assert eventually(lambda: first.active)
    with monkeypatch.context() as patch:
        patch.setattr(first._seat, "take", lambda hub, group: False)
        assert eventually(lambda: not first.active)
        standby = with_seat(shop)
        standby.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
        assert standby.active
    assert first.running


def test_the_seat_is_one_candidates_until_it_has_not_been_renewed_for_its_lease(shop: Shop) -> None:
    ownerships, watch = OwnershipStore(shop.lab.container("ownership", "projector")), Watch()
    holder = Seat(ownerships, lease_seconds=10, monotonic=watch)
    other = Seat(ownerships, lease_seconds=10, monotonic=watch)
    assert holder.take("h", "g")
    assert not other.take("h", "g")  # seen for the first time
    watch.now = 9.0
    assert not other.take("h", "g")
    assert holder.take("h", "g")  # renewed
    watch.now = 18.0
    assert not other.take("h", "g")  # changed since
    watch.now = 29.0
    assert other.take("h", "g")
    assert not holder.take("h", "g")
    holder.leave("h", "g")  # not its own any more
    assert not Seat(ownerships, lease_seconds=10, monotonic=watch).take("h", "g")
    other.leave("h", "g")
    assert holder.take("h", "g")
