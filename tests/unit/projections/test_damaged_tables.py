"""Tables whose files are gone or spoiled, and a disk without room: refused in one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError

from labkit.projections import read_store, tables
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import OrderRow
from labkit.projections.tables import LONGEST_WHY, NO_ROOM, ORDERS, DiskFull, TableDamaged, contents
from tests.unit.projections.read_store.orders import MONDAY, order


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


NO_SPACE_LEFT = f"Unable to copy data to file: No space left on device {NO_ROOM}"
FULL = {
    "as a MERGE tells it": DeltaError(
        f"Failed to parse parquet: External: Generic LocalFileSystem error: {NO_SPACE_LEFT}"
    ),
    "as a new table, a compaction or a checkpoint tells it": OSError(
        f"Generic LocalFileSystem error\n  \x1b[31m\u21b3\x1b[0m {NO_SPACE_LEFT}\n"
    ),
}
"""What deltalake 1.6.6 said on a file system of 300 kB."""


@pytest.mark.parametrize("said", FULL.values(), ids=FULL.keys())
@pytest.mark.parametrize("work", ["put", "merge", "create"])
def test_a_full_disk_is_one_line_and_what_was_refused_succeeds_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str, said: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise said

    store = ReadStore(str(tmp_path))
    works: dict[str, tuple[object, str, Callable[[], object]]] = {
        "put": (tables, "put", lambda: committed(store, order("a"), number=1)),
        "merge": (tables, "merge", lambda: committed(store, number=1)),
        "create": (read_store.DeltaTable, "create", lambda: ReadStore(str(tmp_path))),
    }
    owner, name, doing = works[work]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, full)
        with pytest.raises(DiskFull) as refused:
            doing()
    (line,) = str(refused.value).splitlines()
    assert line.startswith("the disk is full")
    assert f"{tmp_path}/orders" in line
    assert "free some space" in line
    doing()


def test_another_failure_of_a_commit_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise DeltaError("Permission denied (os error 13)")

    monkeypatch.setattr(tables, "merge", refused)
    with pytest.raises(DeltaError, match="Permission denied"):
        committed(ReadStore(str(tmp_path)), order("a"), number=1)
