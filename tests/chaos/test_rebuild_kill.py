"""`kill -9` at each step of a rebuild, of a roll-back and of a replay, with the shop and the projector going on.

Whatever the step: the tables that the pointer names answer all the time, doing it again works, and in the end they are
the fold of the history. CHAOS_ROUNDS asks for every step, and for so many kills at random moments; by default every
few steps and one moment are tried.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import settings
from labkit.lab import open_lab
from labkit.projections import folds
from labkit.projections.folds import CannotApply
from labkit.projections.pointer import read
from labkit.write_model.orders import CancelOrder, PayOrder, ShipOrder
from localazure import daemon
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, folded, opened

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "0"))
EACH = 1 if ROUNDS else 4
MOST_STEPS = 80
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform == "win32", reason="only on systems that know kill -9"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A lab that other processes can attach to."""
    target = settings.target({settings.DATA_DIR: str(tmp_path)})
    try:
        with open_lab("03", partitions=2, target=target) as lab, opened(Side(lab), Path(lab.tables_url)) as one:
            yield one
    finally:
        daemon.stop(tmp_path)


def labkit(tmp_path: Path, shop: Shop, step: int, *verb: str) -> subprocess.Popen[bytes]:
    """The verb in a process that dies before this step (0: it does not)."""
    command = [sys.executable, "-m", "tests.chaos.dying", str(step), *verb, "--lab", shop.lab.name]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, settings.DATA_DIR: str(tmp_path)})


def killed_at_each_step(tmp_path: Path, shop: Shop, *verb: str) -> int:
    """How many times it was killed before it came to its end; the shop sells something each time."""
    for kills, step in enumerate(range(1, MOST_STEPS, EACH)):
        ended = labkit(tmp_path, shop, step, *verb).wait(60)
        go_on(shop)
        if ended == 0:
            return kills
        assert ended == -signal.SIGKILL
    raise AssertionError("it never came to its end")


def go_on(shop: Shop) -> None:
    """One more order, paid; and all tables in use are the fold of the history."""
    number = len(shop.aggregates)
    (projector,) = shop.started
    projector.wait_until_visible(shop.does(shop.created(number), PayOrder(shop.order(number))), PATIENCE_SECONDS)
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    if not shop.parking.held(shop.lab.hub):
        assert shop.tables() == folded(shop.history())


def opened_shop(shop: Shop) -> None:
    shop.does(*(shop.created(number) for number in range(8)), *(PayOrder(shop.order(number)) for number in range(4)))
    shop.projector().wait_until_applied(shop.ends(), PATIENCE_SECONDS)


def test_a_rebuild_killed_at_any_step_can_be_done_again(tmp_path: Path, shop: Shop) -> None:
    opened_shop(shop)
    assert killed_at_each_step(tmp_path, shop, "rebuild", "--yes") > 1
    assert read(shop.store.root_url).current.startswith("rebuilt-")
    assert len([path for path in Path(shop.store.root_url).iterdir() if path.name.startswith("rebuilt-")]) <= 2
    assert shop.tables() == folded(shop.history())


def test_a_roll_back_killed_at_any_step_can_be_done_again(tmp_path: Path, shop: Shop) -> None:
    opened_shop(shop)
    assert labkit(tmp_path, shop, 0, "rebuild", "--yes").wait(60) == 0
    go_on(shop)
    assert killed_at_each_step(tmp_path, shop, "rebuild", "--rollback") > 1
    assert shop.tables() == folded(shop.history())


def test_a_replay_killed_at_any_step_can_be_done_again(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = folds.apply

    def broken(row: folds.Row | None, event: folds.EventEnvelope) -> folds.Row:
        if event.aggregate_id in (shop.order(1), shop.order(2)) and event.event_type != "OrderCreated":
            raise CannotApply("nobody thought of it")
        return apply(row, event)

    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", broken)
        opened_shop(shop)
        shop.does(ShipOrder(shop.order(1)), CancelOrder(shop.order(2), "too late"))
        shop.started[0].wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert len(shop.parking.held(shop.lab.hub)) == 2
    assert killed_at_each_step(tmp_path, shop, "parked", "replay", "--all") > 1
    assert shop.parking.held(shop.lab.hub) == []
    assert shop.tables() == folded(shop.history())


def test_rebuilds_killed_at_random_moments_under_traffic(tmp_path: Path, shop: Shop) -> None:
    chance = random.Random(7)
    opened_shop(shop)
    for _ in range(ROUNDS or 1):
        running = labkit(tmp_path, shop, 0, "rebuild", "--yes")
        try:
            running.wait(chance.uniform(1.0, 6.0))
        except subprocess.TimeoutExpired:
            running.kill()
        running.wait(60)
        go_on(shop)
    assert labkit(tmp_path, shop, 0, "rebuild", "--yes").wait(60) == 0
    go_on(shop)
    assert shop.tables() == folded(shop.history())
