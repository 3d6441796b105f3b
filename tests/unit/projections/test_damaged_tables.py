"""Tables whose files are gone or spoiled: refused in one line that says what to do, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.projections.read_store import LONGEST_WHY, ORDERS, Batch, ReadStore, TableDamaged, contents
from labkit.projections.rows import OrderRow
from tests.unit.projections.test_read_store import MONDAY, order


def log_of(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


def spoil(file: Path) -> None:
    file.write_bytes(b"\x00\x01")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "the last commit is cut": lambda table: cut(log_of(table)[-1]),
    "the last commit is no text": lambda table: spoil(log_of(table)[-1]),
    "a commit in the middle is gone": lambda table: log_of(table)[1].unlink(),
    "the first commit is gone": lambda table: log_of(table)[0].unlink(),
    "a data file is gone": lambda table: next(table.rglob("*.parquet")).unlink(),
    "a data file is cut": lambda table: cut(next(table.rglob("*.parquet"))),
}


def committed(store: ReadStore, *orders: OrderRow, number: int) -> None:
    store.commit(Batch("hub", {"0": number}, orders, {MONDAY}))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_table_is_told_by_its_place_in_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = ReadStore(str(tmp_path))
    committed(store, order("a"), number=1)
    committed(store, order("b"), number=2)
    damage(tmp_path / "orders")
    with pytest.raises(TableDamaged) as refused:
        contents(ReadStore(str(tmp_path)).table(ORDERS), ORDERS)
    (line,) = str(refused.value).splitlines()
    assert f"{tmp_path}/orders" in line
    assert "lab.py rebuild" in line
    assert len(line) < LONGEST_WHY + len(str(tmp_path)) + 150
    with pytest.raises(TableDamaged):
        ReadStore(str(tmp_path)).orders(["order-20260105-a"], {MONDAY})


def test_a_table_whose_folder_was_moved_away_is_made_anew_and_asks_for_all_events(tmp_path: Path) -> None:
    store = ReadStore(str(tmp_path))
    committed(store, order("a"), number=5)
    cut(log_of(tmp_path / "orders")[-1])
    (tmp_path / "orders").rename(tmp_path / "damaged")
    again = ReadStore(str(tmp_path))
    assert again.lowest("hub", ["0"], {}) == {"0": -1}
    assert again.positions("hub", ["0"])["customers"] == {"0": 5}
