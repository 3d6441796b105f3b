"""The pointer file: found or not, replaced in one step, the same in a folder and at a URL."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from labkit.errors import NotYet
from labkit.projections import pointer
from labkit.projections.pointer import Pointer, PointerDamaged
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.tables import ORDERS
from tests.unit.projections.read_store.orders import MONDAY, order


@pytest.fixture(params=["folder", "url"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"file://{tmp_path}"


def test_without_a_file_the_tables_lie_at_the_root(root: str) -> None:
    assert pointer.read(root) == Pointer("", None)
    assert pointer.folder_in_use(root) == ""
    assert ReadStore(root + "/").tables_url == root


def test_what_was_written_is_read(root: str) -> None:
    pointer.write(root, Pointer("rebuilt-1", ""))
    pointer.write(root, Pointer("rebuilt-2", "rebuilt-1"))
    assert pointer.read(root) == Pointer("rebuilt-2", "rebuilt-1")
    assert pointer.folder_url(root, "rebuilt-2") == f"{root}/rebuilt-2"


def test_folders_are_listed_and_deleted_with_all_that_is_in_them(root: str, tmp_path: Path) -> None:
    pointer.write(root, Pointer())
    for name in ("one", "two"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        (tmp_path / name / "deeper" / "file").write_text("x")
    assert sorted(pointer.folders(root)) == ["one", "two"]
    pointer.delete(root, "one")
    assert not (tmp_path / "one" / "deeper" / "file").exists()
    assert (tmp_path / "two" / "deeper" / "file").exists()


def test_a_store_stays_with_its_tables_and_tells_which_are_in_use_now(root: str) -> None:
    store = ReadStore(root)
    assert store.current() is store
    ReadStore(root, folder="rebuilt-1")
    pointer.write(root, Pointer("rebuilt-1", ""))
    assert store.url(ORDERS) == f"{root}/orders"
    moved = store.current()
    assert moved.url(ORDERS) == f"{root}/rebuilt-1/orders"
    assert moved.current() is moved
    assert store.current() is moved, "opened once, however often somebody looks"
    ReadStore(root, folder="rebuilt-2")
    pointer.write(root, Pointer("rebuilt-2", "rebuilt-1"))
    assert store.current().url(ORDERS) == moved.current().url(ORDERS) == f"{root}/rebuilt-2/orders"
    pointer.write(root, Pointer(""))
    assert store.current() is store
    assert ReadStore(root, folder="").url(ORDERS) == f"{root}/orders"


def test_tables_whose_folder_has_gone_answer_nothing_more_and_are_not_made_anew(root: str, tmp_path: Path) -> None:
    store, one = ReadStore(root), order("a")
    rebuilt = ReadStore(root, folder="rebuilt-1")
    rebuilt.commit(Batch("hub", {"0": 1}, [one], {MONDAY}))
    pointer.write(root, Pointer("rebuilt-1", ""))
    assert store.current().version_of(one.order_id) == rebuilt.current().version_of(one.order_id) == 1
    shutil.rmtree(tmp_path / "rebuilt-1")
    for looking in (store.current, rebuilt.current, lambda: ReadStore(root)):
        with pytest.raises(PointerDamaged, match="names 'rebuilt-1', which is no folder beside it"):
            looking()
    assert not (tmp_path / "rebuilt-1").exists()


def test_readers_never_find_half_a_pointer(tmp_path: Path) -> None:
    names = ["rebuilt-" + "a" * 5_000, "rebuilt-b"]
    pointer.write(str(tmp_path), Pointer(names[0]))
    done = threading.Event()

    def switch() -> None:
        for number in range(300):
            pointer.write(str(tmp_path), Pointer(names[number % 2]))
        done.set()

    switching = threading.Thread(target=switch)
    switching.start()
    while not done.is_set():
        assert pointer.read(str(tmp_path)).current in names
    switching.join()


def test_two_at_once_are_kept_apart_in_a_folder(tmp_path: Path) -> None:
    with (
        pointer.locked(str(tmp_path)),
        pytest.raises(NotYet, match="another one"),
        pointer.locked(str(tmp_path), timeout_seconds=0),
    ):
        pass
    with pointer.locked(str(tmp_path), timeout_seconds=0):
        pass


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"current": null}', b'{"current": 7}'])
def test_a_pointer_that_is_none_is_refused_in_a_sentence_that_says_what_to_write(
    tmp_path: Path, content: bytes
) -> None:
    store = ReadStore(str(tmp_path))
    (tmp_path / pointer.FILE).write_bytes(content)
    for opening in (store.current, lambda: ReadStore(str(tmp_path))):
        with pytest.raises(PointerDamaged, match=r"current.json cannot be read .* Folders there: customers, daily_"):
            opening()


@pytest.mark.parametrize("folder", ["rebuilt-gone", "../elsewhere", "/tmp"])
def test_tables_that_are_not_there_are_not_made_empty_because_the_pointer_names_them(
    tmp_path: Path, folder: str
) -> None:
    root = tmp_path / "tables"
    ReadStore(str(root))
    (tmp_path / "elsewhere").mkdir()
    pointer.write(str(root), Pointer(folder))
    with pytest.raises(PointerDamaged, match="which is no folder beside it"):
        ReadStore(str(root))
    assert not (root / "rebuilt-gone").exists()
    assert not list((tmp_path / "elsewhere").iterdir())
