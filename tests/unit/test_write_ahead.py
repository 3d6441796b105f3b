"""Records written ahead: what was written is there after a kill, what is torn is not, and room is used again."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

import pytest

from localazure import write_ahead
from localazure.errors import DataDamaged
from localazure.write_ahead import Full, Record, WriteAhead
from tests.unit.failing_disk import no_flush


def record(*parts: bytes) -> Record:
    made = Record()
    for part in parts:
        made.add(part)
    return made


def there(path: Path) -> list[tuple[int, bytes]]:
    """What a start after a kill finds; the files are left as they are."""
    return WriteAhead(path).recovered()


def written(*records: bytes) -> int:
    """The bytes that these records take in a file."""
    return sum(write_ahead._HEAD_BYTES + len(one) for one in records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ahead"


def test_what_was_written_is_there_after_a_kill_in_its_order(path: Path) -> None:
    ahead = WriteAhead(path)
    assert ahead.write([record(b"one"), record(b"tw", b"o"), record(b"")]) == 3
    assert ahead.write([record(b"four")]) == 4
    assert there(path) == [(1, b"one"), (2, b"two"), (3, b""), (4, b"four")]


@pytest.mark.parametrize("position", [0, 5, 12, 20, 24, 26])
def test_a_torn_record_is_none_and_nothing_behind_it_is_one(path: Path, position: int) -> None:
    ahead = WriteAhead(path)
    ahead.write([record(b"whole")])
    end = written(b"whole")
    ahead.write([record(b"torn"), record(b"behind")])
    with (path.parent / "ahead0").open("r+b") as file:
        file.seek(end + position)
        byte = file.read(1)[0]
        file.seek(end + position)
        file.write(bytes((byte ^ 0x10,)))
    again = WriteAhead(path)
    assert again.recovered() == [(1, b"whole")]
    again.write([record(b"next")])
    assert there(path) == [(1, b"whole"), (2, b"next")]


def test_every_length_that_a_kill_can_leave_ends_with_a_whole_record(path: Path) -> None:
    WriteAhead(path).write([record(b"one"), record(b"two")])
    whole = (path.parent / "ahead0").read_bytes()[: written(b"one", b"two")]
    for length in range(len(whole)):
        (path.parent / "ahead0").write_bytes(whole[:length])
        assert there(path) == [(1, b"one")] * (length >= len(whole) // 2)


def test_a_file_is_written_over_when_its_records_are_elsewhere_and_what_lies_behind_is_not_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 200)
    ahead = WriteAhead(path)
    for _ in range(4):
        ahead.write([record(b"x" * 20)])
    for _ in range(4):
        ahead.write([record(b"y" * 20)])
    ahead.release(4)
    ahead.write([record(b"z" * 20)])
    assert sorted(one.name for one in path.parent.iterdir()) == ["ahead0", "ahead1"]
    assert there(path) == [(number, b"y" * 20) for number in range(5, 9)] + [(9, b"z" * 20)]


def test_there_are_so_many_files_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead, "SEGMENT_BYTES", 100)
    ahead = WriteAhead(path)
    for _ in range(write_ahead.MOST_SEGMENTS):
        last = ahead.write([record(b"x" * 70)])
    with pytest.raises(Full):
        ahead.write([record(b"x" * 70)])
    ahead.release(1)
    assert ahead.write([record(b"x" * 70)]) == last + 1
    assert len(list(path.parent.iterdir())) == write_ahead.MOST_SEGMENTS


def test_what_was_not_flushed_does_not_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = WriteAhead(path)
    ahead.write([record(b"one")])
    with no_flush(monkeypatch, errno.ENOSPC), pytest.raises(OSError, match="No space"):
        ahead.write([record(b"never"), record(b"nor this")])
    ahead.write([record(b"two")])
    assert [bytes for _, bytes in there(path)] == [b"one", b"two"]


def test_what_failed_is_not_there_after_a_kill_nor_behind_what_was_written_in_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = WriteAhead(path)
    ahead.write([record(b"one")])
    with no_flush(monkeypatch, errno.EIO), pytest.raises(OSError, match="Input/output"):
        ahead.write([record(b"never"), record(b"nor this")])
    assert there(path) == [(1, b"one")], "its sender was told that it is not stored"
    ahead.write([record(b"first")])
    assert [bytes for _, bytes in there(path)] == [b"one", b"first"]


def test_what_failed_is_told_from_what_follows_even_if_it_cannot_be_cut_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_cut(_: int, __: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    ahead = WriteAhead(path)
    with no_flush(monkeypatch, errno.EIO) as patch:
        patch.setattr(write_ahead.os, "ftruncate", not_cut)
        with pytest.raises(OSError, match="Input/output"):
            ahead.write([record(b"never"), record(b"nor this")])
    last = ahead.write([record(b"first")])
    assert there(path) == [(last, b"first")]


def test_a_file_that_another_version_wrote_is_left_alone_and_said(path: Path) -> None:
    ahead = WriteAhead(path)
    ahead.write([record(b"one")])
    file = path.parent / "ahead0"
    other = b"rec9" + file.read_bytes()[4:]
    file.write_bytes(other)
    with pytest.raises(DataDamaged, match=r"ahead0.*another version"):
        WriteAhead(path)
    assert file.read_bytes() == other


def test_a_file_that_was_made_and_not_yet_written_is_none_of_another_version(path: Path) -> None:
    for content in (b"", b"re", bytes(100)):
        (path.parent / "ahead0").write_bytes(content)
        assert there(path) == []


@pytest.mark.parametrize("size_bytes", [1, 100, 4_071, 4_072, 4_073, 5_000, 8_168, 20_000])
def test_records_follow_each_other_without_a_gap_over_the_borders_of_blocks(path: Path, size_bytes: int) -> None:
    ahead, bodies = WriteAhead(path), [bytes((number,)) * size_bytes for number in range(1, 8)]
    for body in bodies[:5]:
        ahead.write([record(body)])
    ahead.write([record(bodies[5]), record(bodies[6][: size_bytes // 2], bodies[6][size_bytes // 2 :])])
    assert [body for _, body in there(path)] == bodies
    assert (path.parent / "ahead0").stat().st_size == written(*bodies), "a start cuts a file off behind its last record"


def test_behind_the_last_record_nothing_is_left_of_a_longer_write_before(path: Path) -> None:
    ahead = WriteAhead(path)
    ahead.write([record(b"x" * 20_000)])
    ahead.write([record(b"y" * 2_000)])
    content = (path.parent / "ahead0").read_bytes()
    assert content[written(b"x" * 20_000, b"y" * 2_000) :].strip(b"\0") == b""


@pytest.mark.parametrize("refuses", ["to open", "to write"])
def test_where_the_cache_cannot_be_passed_by_it_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    real_open, direct = os.open, 1 << 30

    class Misaligned(FileIO):
        def write(self, data: object) -> int:
            raise OSError(22, os.strerror(22))

    def opened(name: str, flags: int, mode: int = 0o777) -> int:
        if flags & direct and refuses == "to open":
            raise OSError(22, os.strerror(22))
        return real_open(name, flags & ~direct, mode)

    def file(name: Path, mode: str, **options: object) -> FileIO:
        return (Misaligned if options and refuses == "to write" else FileIO)(name, mode, **options)

    monkeypatch.setattr(write_ahead.os, "O_DIRECT", direct, raising=False)
    monkeypatch.setattr(write_ahead.os, "open", opened)
    monkeypatch.setattr(write_ahead, "FileIO", file)
    ahead = WriteAhead(path)
    ahead.write([record(b"one")])
    ahead.write([record(b"two")])
    assert there(path) == [(1, b"one"), (2, b"two")]


def test_closed_it_leaves_only_what_is_nowhere_else(path: Path) -> None:
    ahead = WriteAhead(path)
    last = ahead.write([record(b"one")])
    ahead.close()
    assert there(path) == [(1, b"one")]
    again = WriteAhead(path)
    again.release(last)
    again.close()
    assert list(path.parent.iterdir()) == []
