"""A rebuild beside the tables in use: readers, the projector and the shop go on, and nothing is left behind."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.errors import NotYet
from labkit.events.envelope import to_json
from labkit.lab import open_lab
from labkit.projections import folds, pointer
from labkit.projections.folds import CannotApply
from labkit.projections.pointer import Pointer
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.projections.rebuild import Rebuild, RebuildRefused, Sources
from labkit.projections.replay import replay
from labkit.projections.tables import CUSTOMERS, ORDERS, TableDamaged
from labkit.read_queries.synapse import Synapse
from labkit.settings import embedded
from labkit.write_model.handler import history
from labkit.write_model.orders import CancelOrder, PayOrder, RegisterCustomer, ShipOrder
from localazure.handle import LocalAzure
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, folded, opened


@pytest.fixture
def shop(azure: LocalAzure, tmp_path: Path) -> Iterator[Shop]:
    """A lab for each test: a rebuild takes in the whole history."""
    target = embedded(azure, tmp_path / "unused")
    with open_lab("03", partitions=2, target=target) as lab, opened(Side(lab), tmp_path / "tables") as one:
        yield one


def rebuild(shop: Shop, *, back: bool = False) -> Rebuild:
    open_consumer = functools.partial(shop.lab.async_consumer, "projector", "lessons")
    write_model = shop.lab.container("write-model", "projector")
    sources = Sources(shop.lab.hub, shop.lab.start_positions, write_model, open_consumer)
    return Rebuild(sources, shop.store, shop.parking, back=back)


def rebuilt(shop: Shop, *, back: bool = False) -> None:
    with rebuild(shop, back=back) as run:
        run.scan()
        run.compare()
        run.switch()


def some_orders(shop: Shop) -> str:
    return shop.does(
        RegisterCustomer("customer-1", "Ada"),
        *(shop.created(number) for number in range(12)),
        *(PayOrder(shop.order(number)) for number in range(6)),
        *(CancelOrder(shop.order(number), "too late") for number in range(3)),
    )


def projected(shop: Shop) -> Projector:
    """A running projector that has applied them."""
    some_orders(shop)
    projector = shop.projector()
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    return projector


def table_folders(shop: Shop) -> list[str]:
    return sorted(path.name for path in Path(shop.store.root_url).iterdir() if path.is_dir())


def test_a_rebuild_while_the_shop_the_projector_and_the_queries_go_on(shop: Shop) -> None:
    projector = projected(shop)
    answers: list[int] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def keep_asking() -> None:
        try:
            with Synapse(shop.store.root_url) as synapse:
                while not done.is_set():
                    answers.append(len(synapse.query("SELECT order_id FROM dbo.vw_order_summary")))
        except BaseException as error:
            failures.append(error)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    seen: list[int] = []
    with rebuild(shop) as run:
        assert run.events() == 22
        run.scan(seen.append)
        shop.does(*(PayOrder(shop.order(number)) for number in range(6, 9)), shop.created(20))
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
        found = run.compare()
        token = shop.does(shop.created(21))
        run.switch()
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    done.set()
    asking.join(PATIENCE_SECONDS)
    assert (sum(seen), list(found.differences), found.unchecked) == (22, [], 0)
    assert not failures
    assert set(answers) <= {12, 13, 14}
    assert shop.store.current().tables_url != shop.store.tables_url
    assert shop.tables() == folded(shop.history())
    projector.wait_until_visible(shop.does(ShipOrder(shop.order(8))), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())
    assert projector.error is None


def test_what_the_projector_applies_to_the_old_tables_just_before_the_switch_is_in_the_new_ones(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = projected(shop)
    write = pointer.write
    tokens: list[str] = []

    def late(root: str, to: Pointer, options: pointer.Options = None) -> None:
        tokens.append(shop.does(shop.created(30), PayOrder(shop.order(30))))
        projector.wait_until_visible(tokens[0], PATIENCE_SECONDS)
        assert shop.store.version_of(shop.order(30)) == 2
        write(root, to, options)

    monkeypatch.setattr(pointer, "write", late)
    rebuilt(shop)
    projector.wait_until_visible(tokens[0], PATIENCE_SECONDS)
    assert shop.store.current().version_of(shop.order(30)) == 2
    assert shop.tables() == folded(shop.history())


def test_rows_that_differ_are_told_and_mended(shop: Shop) -> None:
    projected(shop)
    spoilt, lost = shop.order(4), shop.order(11)
    where = "created_day = DATE '2026-01-05' AND order_id = "
    shop.store.table(ORDERS).update({"status": "'Shipped'"}, predicate=f"{where}'{spoilt}'")
    shop.store.table(ORDERS).delete(f"{where}'{lost}'")
    shop.store.table(CUSTOMERS).update({"name": "'Eve'"}, predicate="customer_id = 'customer-1'")
    with rebuild(shop) as run:
        run.scan()
        found = run.compare()
        run.switch()
    told = [str(difference) for difference in found.differences]
    assert f"orders {spoilt}: status Shipped -> Paid" in told
    assert "customers customer-1: name Eve -> Ada" in told
    assert any(text.startswith("daily_order_metrics 2026-01-05: orders 12 -> 11") for text in told)
    assert (len(told), found.ahead) == (3, 1)
    assert shop.tables() == folded(shop.history())


def test_rows_ahead_are_compared_at_the_version_in_use(shop: Shop) -> None:
    """The projector has stopped; the history went on. A wrong row is found although the rebuilt one is newer."""
    projector = projected(shop)
    projector.stop()
    shop.store.table(ORDERS).update({"item_count": "7"}, predicate=f"order_id = '{shop.order(7)}'")
    noted = shop.ends()
    shop.does(PayOrder(shop.order(7)), PayOrder(shop.order(8)), shop.created(40))
    with rebuild(shop) as run:
        run.scan()
        assert run.new.lowest(shop.lab.hub, noted, {}) == noted
        found = run.compare()
        run.switch()
    assert [str(difference) for difference in found.differences] == [f"orders {shop.order(7)}: item_count 7 -> 1"]
    assert found.ahead == 3
    assert shop.tables() == folded(shop.history())
    shop.projector().wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())


def test_a_roll_back_brings_the_earlier_tables_up_to_date_and_the_projector_follows(shop: Shop) -> None:
    projector = projected(shop)
    rebuilt(shop)
    projector.wait_until_visible(shop.does(shop.created(20), PayOrder(shop.order(10))), PATIENCE_SECONDS)
    rebuilt(shop, back=True)
    assert shop.store.current() is shop.store
    projector.wait_until_visible(shop.does(PayOrder(shop.order(20))), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())
    rebuilt(shop, back=True)
    projector.wait_until_visible(shop.does(ShipOrder(shop.order(20))), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())


def test_without_earlier_tables_there_is_no_way_back(shop: Shop) -> None:
    with pytest.raises(RebuildRefused, match="no earlier tables"), rebuild(shop, back=True):
        pass


def test_one_version_before_is_kept_and_no_other(shop: Shop) -> None:
    some_orders(shop)
    (Path(shop.store.root_url) / "rebuilt-halfmade").mkdir()
    (Path(shop.store.root_url) / "naive").mkdir()
    rebuilt(shop)
    (first,) = [name for name in table_folders(shop) if name.startswith("rebuilt-")]
    assert table_folders(shop) == ["customers", "daily_order_metrics", "naive", "orders", first]
    rebuilt(shop)
    second = pointer.read(shop.store.root_url).current
    assert table_folders(shop) == sorted(["naive", first, second])
    assert pointer.read(shop.store.root_url).previous == first
    assert shop.tables() == folded(shop.history())


def test_a_rebuild_that_is_given_up_leaves_nothing(shop: Shop) -> None:
    some_orders(shop)
    before = table_folders(shop)
    with rebuild(shop) as run:
        run.scan()
    assert table_folders(shop) == before
    assert pointer.read(shop.store.root_url) == Pointer()


def test_one_rebuild_at_a_time(shop: Shop) -> None:
    with rebuild(shop), pytest.raises(NotYet, match="another one works"), rebuild(shop):
        pass


def broken_for(event_type: str) -> Callable[[folds.Row | None, folds.EventEnvelope], folds.Row]:
    apply = folds.apply

    def broken(row: folds.Row | None, event: folds.EventEnvelope) -> folds.Row:
        if event.event_type == event_type:
            raise CannotApply("nobody thought of it")
        return apply(row, event)

    return broken


def test_code_that_cannot_apply_what_the_tables_in_use_hold_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    projected(shop)
    before = shop.tables()
    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", broken_for("OrderCancelled"))
        with rebuild(shop) as run:
            run.scan()
            found = run.compare()
            with pytest.raises(RebuildRefused, match="nobody thought of it; and 2 more"):
                run.switch()
    assert len([one for one in found.differences if one.table == "orders"]) == 3
    assert pointer.read(shop.store.root_url) == Pointer()
    assert shop.tables() == before == folded(shop.history())


def test_what_is_parked_in_the_tables_in_use_comes_from_the_history_and_leaves_the_lane(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = shop.projector()
    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", broken_for("OrderPaid"))
        some_orders(shop)
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert len(shop.parking.held(shop.lab.hub)) == 6
    with rebuild(shop) as run:
        run.scan()
        found = run.compare()
        run.switch()
    assert (list(found.differences), found.ahead) == ([], 6)
    assert shop.parking.held(shop.lab.hub) == []
    projector.wait_until_visible(shop.does(ShipOrder(shop.order(5))), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())


def test_a_replay_during_a_rebuild_loses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    projector = shop.projector()
    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", broken_for("OrderPaid"))
        some_orders(shop)
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    with rebuild(shop) as run:
        run.scan()
        token = shop.does(ShipOrder(shop.order(5)))
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
        assert replay(shop.parking, shop.store, shop.lab.hub, shop.order(5)).applied == 2
        run.compare()
        run.switch()
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())


def test_events_sent_again_during_a_rebuild_count_once(shop: Shop) -> None:
    projector = projected(shop)
    with rebuild(shop) as run:
        run.scan()
        for number in range(12):
            again = map(to_json, history(shop.side.write_model, shop.order(number)))
            shop.send(shop.order(number), *again)
        assert not run.compare().differences
        run.switch()
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())
    assert shop.parking.held(shop.lab.hub) == []


def test_a_table_that_is_damaged_beyond_reading_is_rebuilt_once_its_folder_is_away(shop: Shop) -> None:
    projected(shop).stop()
    orders = Path(shop.store.root_url) / "orders"
    next(orders.rglob("*.parquet")).write_bytes(b"spoiled")
    shop.does(ShipOrder(shop.order(4)))
    projector = shop.projector()
    with pytest.raises(TableDamaged, match=r"orders/? cannot be read .*; if that lasts, move its folder away"):
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    orders.rename(orders.with_name("damaged"))
    shop.store = ReadStore(shop.store.root_url)
    rebuilt(shop)
    assert shop.tables() == folded(shop.history())
    projector = shop.projector()
    projector.wait_until_visible(shop.does(ShipOrder(shop.order(5))), PATIENCE_SECONDS)
    assert shop.tables() == folded(shop.history())
