"""Who has a lab open: one locked file per open lab, so that what a killed process left can be told from the rest.

Owns the folder of these files (`<lab's name>.lock`). The operating system gives a lock back when its process ends,
however it ends: a lab whose lock can be taken belongs to nobody. Refuses to know what a lab is made of.

Files are made, locked, looked through and deleted under one more lock: nobody finds a file that is just being made or
deleted, so several notebooks may open and close at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".lock"
ALL = "all"


class Owned:
    """One lab's lock, held since it was made. Any thread may give it back."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """After an error something is left, which the next lab deletes."""
        self.end(forget=error is None)

    def end(self, *, forget: bool) -> None:
        """Give the lock back; `forget` says that nothing is left of the lab. Twice is as good as once."""
        path = Path(self._lock.lock_file)
        with FileLock(path.with_name(ALL)):
            self._lock.release()
            if forget:
                path.unlink(missing_ok=True)


def own(folder: Path, name: str) -> Owned:
    """Mark the lab as owned by this process, before anything of it is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ALL):
        return Owned(_lock(folder, name))


def sweep(folder: Path, delete: Callable[[str], bool]) -> list[str]:
    """Give every lab that nobody owns to `delete`, which says whether nothing is left of it; the owned ones' names."""
    folder.mkdir(parents=True, exist_ok=True)
    left: list[tuple[str, Owned]] = []
    owned: list[str] = []
    with FileLock(folder / ALL):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                left.append((path.stem, Owned(_lock(folder, path.stem))))
            except Timeout:
                owned.append(path.stem)
    for name, lab in left:
        gone = False
        try:
            gone = delete(name)
        finally:
            lab.end(forget=gone)
    return owned


def _lock(folder: Path, name: str) -> FileLock:
    """Raises: `Timeout` if another process, or another lab of this one, holds it."""
    lock = FileLock(folder / f"{name}{SUFFIX}", timeout=0, thread_local=False)
    lock.acquire()
    return lock
