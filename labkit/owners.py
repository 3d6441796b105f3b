"""Who has a lab open: one locked file per open lab, so that what a killed process left can be told from the rest.

Owns the folder of these files (`<lab's name>.lock`). The operating system gives a lock back when its process ends,
however it ends: a lab whose lock can be taken belongs to nobody. Who deletes what is left of such a lab holds another
file meanwhile (`<lab's name>.left`): nobody takes it for open, and no two delete it. Refuses to know what a lab is made
of.

Files are made, locked, looked through and deleted under one more lock: nobody finds a file that is just being made,
tried or deleted, so several notebooks may open and close at once. On Windows filelock deletes a file with its lock,
unless it is told to preserve it: whoever looked at a killed lab would have forgotten it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".lock"
LEFT = ".left"
ALL = "all"


class Owned:
    """One lab's lock, held since it was made. Any thread may give it back."""

    def __init__(self, path: Path) -> None:
        """Raises: `Timeout` if another process, or another lab of this one, holds it."""
        self._lock = FileLock(path, timeout=0, thread_local=False, preserve_lock_file=True)
        self._lock.acquire()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """After an error something is left, which the next lab deletes."""
        self.end(forget=error is None)

    def end(self, *, forget: bool) -> None:
        """Give the lock back; `forget` says that nothing is left of the lab. Twice is as good as once."""
        path = Path(self._lock.lock_file)
        with FileLock(path.with_name(ALL)):
            self._lock.release()
            for suffix in (LEFT, SUFFIX) if forget else ():
                path.with_suffix(suffix).unlink(missing_ok=True)


def own(folder: Path, name: str) -> Owned:
    """Mark the lab as owned by this process, before anything of it is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ALL):
        return Owned(folder / f"{name}{SUFFIX}")


def owned(folder: Path) -> list[str]:
    """The names of the labs that somebody has open."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ALL):
        return [path.stem for path in sorted(folder.glob(f"*{SUFFIX}")) if not _is_left(path)]


def sweep(folder: Path, delete: Callable[[str], bool]) -> None:
    """Give every lab that nobody owns to `delete`, which says whether nothing is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    left: list[tuple[str, Owned]] = []
    with FileLock(folder / ALL):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            with suppress(Timeout):  # somebody deletes it already
                if _is_left(path):
                    left.append((path.stem, Owned(path.with_suffix(LEFT))))
    for name, lab in left:
        gone = False
        try:
            gone = delete(name)
        finally:
            lab.end(forget=gone)


def _is_left(path: Path) -> bool:
    """Whether nobody holds the lock of this path, which it is tried for: ask under the lock of all."""
    with suppress(Timeout), FileLock(path, timeout=0, preserve_lock_file=True):
        return True
    return False
