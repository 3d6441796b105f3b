"""Which tables are in use: one small file beside them that every reader follows.

Owns `current.json` at the root of a read store, the lock under which it is written, and which folders lie there.
Refuses to know what the tables hold. Without the file the tables lie at the root itself, as they do until the first
rebuild.

The file is replaced in one step, so a reader finds the old name or the new one: in a folder by `os.replace`, at a URL
by one put of the whole object, through delta-rs, which knows the same stores as the tables.
Known gap: at a URL there is no lock. A rebuild and another one, or a replay, at the same moment are then not kept
apart; a rebuild looks whether the pointer is still the one it began with, and stops if not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from deltalake._internal import DeltaFileSystemHandler  # deltalake.fs's own writer takes no bytes
from filelock import FileLock, Timeout
from pyarrow.fs import FileType

from labkit.errors import LabError, NotYet

FILE = "current.json"
LOCK = "current.lock"

Options = Mapping[str, str] | None
"""Of the object store, as deltalake takes them."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Folder names below the root; "" is the root itself. `previous` is what a roll-back goes to, if there is one."""

    current: str = ""
    previous: str | None = None


class PointerDamaged(LabError):
    """The file names no tables that there are. Nothing is guessed: empty tables would be taken for the right ones."""


def read(root: str, options: Options = None) -> Pointer:
    """The pointer as it is now. Raises: `PointerDamaged`."""
    try:
        if is_url(root):
            file = object_store(root, options).open_input_file(FILE)
            return msgspec.json.decode(file.read(file.size()), type=Pointer)
        return msgspec.json.decode(Path(root, FILE).read_bytes(), type=Pointer)
    except FileNotFoundError:
        return Pointer()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(root, options, f"cannot be read ({error})") from None


def folder_in_use(root: str, options: Options = None) -> str:
    """The folder that the pointer names, which is there: at a URL one more request. Raises: `PointerDamaged`."""
    name = read(root, options).current
    if name and name not in folders(root, options):
        raise _damaged(root, options, f"names {name!r}, which is no folder beside it")
    return name


def _damaged(root: str, options: Options, why: str) -> PointerDamaged:
    return PointerDamaged(
        f'{root}/{FILE} {why}; have it name the folder of the tables to use, as {{"current": "FOLDER"}} '
        f'("" for those at the root). Folders there: {", ".join(sorted(folders(root, options))) or "none"}'
    )


def write(root: str, pointer: Pointer, options: Options = None) -> None:
    """Replace the pointer in one step. Hold `locked` meanwhile."""
    content = msgspec.json.encode(pointer)
    if is_url(root):
        stream = object_store(root, options).open_output_stream(FILE)
        stream.write(content)
        stream.close()  # type: ignore[attr-defined]  # missing in deltalake's stub
        return
    half = Path(root, f"{FILE}.new")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, Path(root, FILE))


def folder_url(root: str, folder: str) -> str:
    root = root.rstrip("/")
    return f"{root}/{folder}" if folder else root


def folders(root: str, options: Options = None) -> list[str]:
    """The folders at the root."""
    if not is_url(root):
        return next(os.walk(root), ("", list[str](), ()))[1]
    found = object_store(root, options).get_file_info_selector("", True, False)
    return [str(entry.base_name) for entry in found if entry.type is FileType.Directory]


def delete(root: str, folder: str, options: Options = None) -> None:
    """Delete a folder at the root with all that is in it."""
    if is_url(root):
        object_store(root, options).delete_dir(folder)
    else:
        shutil.rmtree(Path(root, folder))


@contextlib.contextmanager
def locked(root: str, name: str = LOCK, timeout_seconds: float = 60.0) -> Iterator[None]:
    """Alone below this root: nobody switches while events of the lane are applied. Given back when a process dies.

    Raises: `NotYet` while another one works here.
    """
    if is_url(root):
        yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(Path(root, name), timeout=timeout_seconds).acquire()
    except Timeout:
        raise NotYet(f"another one works on the tables below {root}; try again when it has ended") from None
    with held:
        yield


def is_url(root: str) -> bool:
    return "://" in root


def object_store(root: str, options: Options) -> DeltaFileSystemHandler:
    """What lies there, as delta-rs reaches it: in a folder or at a URL."""
    return DeltaFileSystemHandler(root, dict(options) if options else None)
