"""Records on disk in the order they came, before anything else is done with them.

Owns: files of `SEGMENT_BYTES`, written from the front and, once all their records are elsewhere, written over in place:
a flush has then nothing to say about the file's length, and takes a fraction of what a growing file's takes. Refuses to
know: what a record holds, threads: one call at a time, but for `release`.

How: a record is a head (mark, length, number, CRC-32 of the bytes, CRC-32 of all this) and its bytes. Numbers grow
within a file; the first record that does not hold what its head says, or has no greater number, is where a file ends.
What is written together is flushed once, and is whole or torn at its end. After a kill a file is cut off there.
What failed to be written is cut off at once, and its numbers are not used again: nothing of it can be taken for what
follows a record that was written in its place. A file that begins with another mark is another version's: it is refused
and left alone.

A write is made of whole blocks: the one in which the last record ended comes first, and the last one is filled up with
zeros. So it can go past the system's cache where there is a way (Linux, on most file systems).

Gaps: as SQLite does by default, macOS is asked for `fsync`, which does not empty the drive's own cache. A disk that
neither flushes what is written nor cuts it off may show it after a kill, though its sender was told that it failed.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from localazure.errors import DataDamaged

SEGMENT_BYTES = 4_194_304
BLOCK_BYTES = 4_096
"""What writes past the cache are to be made of: no less than any disk's sector."""
MOST_SEGMENTS = 8
_MARK = b"rec1"
_HEAD = struct.Struct("<4sIQI")
_CHECK = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _CHECK.size
_flush = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class Record:
    """What is to be written, in parts; the check is reckoned as they come."""

    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    check: int = 0

    @property
    def written_bytes(self) -> int:
        """On disk, with its head."""
        return _HEAD_BYTES + self.size_bytes

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.size_bytes += len(part)
        self.check = zlib.crc32(part, self.check)


class Full(Exception):
    """Every file still holds records that are nowhere else."""


@dataclass(slots=True)
class _Segment:
    path: Path
    file: FileIO
    end: int = 0
    last_number: int = 0

    def put(self, data: memoryview, position: int) -> None:
        """Have all of it on disk. Some file systems let a file be opened and then ask for more than whole blocks.

        Raises: `OSError`.
        """
        try:
            self._write(data, position)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            refusing, self.file = self.file, FileIO(self.path, "r+")
            refusing.close()
            self._write(data, position)
        _flush(self.file.fileno())

    def cut_off(self) -> None:
        """What is behind the end was not written, if the disk still takes that."""
        with suppress(OSError):
            os.ftruncate(self.file.fileno(), self.end)
            os.fsync(self.file.fileno())

    def _write(self, data: memoryview, position: int) -> None:
        self.file.seek(position)
        while data:
            data = data[self.file.write(data) :]


class WriteAhead:
    """The files `<path>0`, `<path>1`, ...; at most one caller at a time. Raises, at construction: `DataDamaged`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._released = 0
        self._segments: list[_Segment] = []
        self._current: _Segment | None = None
        self._room = memoryview(mmap.mmap(-1, SEGMENT_BYTES + 2 * BLOCK_BYTES))
        self._recovered: list[tuple[int, bytes]] = []
        for index in range(MOST_SEGMENTS):
            found = path.with_name(f"{path.name}{index}")
            if found.exists():
                self._segments.append(self._recover(found))
        self._recovered.sort()
        self._next_number = self._recovered[-1][0] + 1 if self._recovered else 1

    def recovered(self) -> list[tuple[int, bytes]]:
        """Number and bytes of each record that was there, in order; to be asked once."""
        found, self._recovered = self._recovered, []
        return found

    def write(self, records: Sequence[Record]) -> int:
        """Write and flush records, at most a segment in all; the number of the last.

        Raises: `Full`; `OSError`, after which none of them counts as written.
        """
        segment = self._room_for(sum(record.written_bytes for record in records))
        number = self._next_number
        begin = end = segment.end % BLOCK_BYTES
        for record in records:
            head = _HEAD.pack(_MARK, record.size_bytes, number, record.check)
            for part in (head, _CHECK.pack(zlib.crc32(head)), *record.parts):
                self._room[end : end + len(part)] = part
                end += len(part)
            number += 1
        self._next_number = number
        padding = -end % BLOCK_BYTES
        self._room[end : end + padding] = bytes(padding)
        try:
            segment.put(self._room[: end + padding], segment.end - begin)
        except OSError:
            segment.cut_off()
            raise
        rest = end % BLOCK_BYTES
        self._room[:rest] = self._room[end - rest : end]
        segment.end += end - begin
        segment.last_number = number - 1
        return number - 1

    @property
    def last_number(self) -> int:
        """The last number that was used, 0 before the first."""
        return self._next_number - 1

    def release(self, number: int) -> None:
        """The records up to `number` are elsewhere: their files may be written over."""
        self._released = max(self._released, number)

    def close(self) -> None:
        """Close the files, and delete those whose records are all released."""
        for segment in self._segments:
            segment.file.close()
            if segment.last_number <= self._released:
                segment.path.unlink(missing_ok=True)
        self._segments.clear()

    def _room_for(self, size_bytes: int) -> _Segment:
        current = self._current
        if current is not None and current.end + size_bytes <= SEGMENT_BYTES:
            return current
        free = [one for one in self._segments if one.last_number <= self._released]
        if free:
            segment = free[0]
            segment.end = 0
        elif len(self._segments) < MOST_SEGMENTS:
            segment = self._create()
        else:
            raise Full
        self._current = segment
        return segment

    def _create(self) -> _Segment:
        taken = {segment.path for segment in self._segments}
        names = (self._path.with_name(f"{self._path.name}{index}") for index in range(MOST_SEGMENTS))
        path = next(name for name in names if name not in taken)
        segment = _Segment(path, _open(path, "w+"))
        self._segments.append(segment)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return segment

    def _recover(self, path: Path) -> _Segment:
        """Take the records of a file that was there. Raises: `DataDamaged` for another version's."""
        data, end, number = path.read_bytes(), 0, 0
        if not _MARK.startswith(data[: len(_MARK)].rstrip(b"\0")):
            raise DataDamaged(path, "another version has written it")
        while end + _HEAD_BYTES <= len(data):
            mark, size_bytes, found, check = _HEAD.unpack_from(data, end)
            (head_check,) = _CHECK.unpack_from(data, end + _HEAD.size)
            if mark != _MARK or head_check != zlib.crc32(data[end : end + _HEAD.size]):
                break
            if found <= number:
                break
            start = end + _HEAD_BYTES
            record = data[start : start + size_bytes]
            if len(record) < size_bytes or zlib.crc32(record) != check:
                break
            number, end = found, start + size_bytes
            self._recovered.append((number, record))
        file = _open(path, "r+")
        file.truncate(end)
        os.fsync(file.fileno())
        return _Segment(path, file, end, number)


def _open(path: Path, mode: str) -> FileIO:
    """Past the system's cache, if there is a way: a flush then finds nothing that is still to be written."""
    with suppress(OSError, AttributeError):
        return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_DIRECT, 0o666))
    return FileIO(path, mode)
