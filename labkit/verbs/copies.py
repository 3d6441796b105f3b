"""Copies of the notebooks that a reader works in: a student's, without solutions, and a solved one. Files, no kernels.

Owns: what is in a copy, the folders they lie in, and the promise that a reader's work is never overwritten. A copy is
written beside its place and put there in one step, only where nothing is; an old one is moved aside before. So
whatever interrupts, and however often it is run at once, each file is there whole, under its name or in `backups`.

A copy carries the hash of the source cells that it was made of, in its own metadata: JupyterLab keeps what it does not
know, so the copy still tells after a hundred saves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labkit.errors import LabError
from labkit.verbs import noted, places

if TYPE_CHECKING:
    from nbformat import NotebookNode

STUDENT: Final = noted.STUDENT
BACKUPS: Final = "backups"
LOCK_SECONDS: Final = 30.0
NOTE_ID: Final = "your-copy"
STUDENT_NOTE: Final = """> **This is your copy.** Work in it: write, run, save. Nothing overwrites it. *Run All Cells* \
stops at the first exercise that is not solved yet. What a cell has made is still there when it runs again: to repeat \
one, choose *Kernel > Restart Kernel and Run up to Selected Cell*. The original is [here](../notebooks/{name}); \
`python3 lab.py lab --fresh {number}` gives you a new copy and keeps this one in `my_lab/backups`, and \
`python3 lab.py lab --solved` opens the solutions."""
SOLVED_NOTE: Final = """> **This copy shows the solutions.** It is made again each time it is opened, so what you \
write here is lost: work in `my_lab`, which `python3 lab.py lab` opens."""
LINK: Final = re.compile(r"""(?:\]\(|\b(?:src|href)=["'])([^)"'#:\s]+)(?=[)"'#\s])""")
"""A link or a picture, in Markdown or HTML, that is a file beside the notebook: no scheme."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a reader's copies, by the names of notebooks."""

    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """The notebook in notebooks/ is no longer what the copy was made of."""
    unreadable: tuple[str, ...] = ()
    backup: Path | None = None
    """Where the old copies are; None: none was replaced."""


def student(source: NotebookNode, name: str) -> NotebookNode:
    """The notebook without its solutions and outputs, saying whose copy it is."""
    return _copy(source, leave_out="solution", note=STUDENT_NOTE.format(name=name, number=name[:2]))


def solved(source: NotebookNode) -> NotebookNode:
    """The notebook with each solution in the place of its exercise cell, without outputs."""
    return _copy(source, leave_out="exercise", note=SOLVED_NOTE)


def _copy(source: NotebookNode, *, leave_out: str, note: str) -> NotebookNode:
    from nbformat import from_dict, v4

    copy: NotebookNode = from_dict(source)
    copy.cells = [cell for cell in copy.cells if leave_out not in cell.metadata.get("tags", [])]
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    copy.cells.insert(1, v4.new_markdown_cell(note, id=NOTE_ID))
    copy.metadata["labkit"] = {"source": fingerprint(source)}
    return copy


def fingerprint(source: NotebookNode) -> str:
    """What a reader would notice of a change: the cells, not their outputs."""
    cells = [[cell.id, cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in source.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def bring(folder: Path, sources: Sequence[Path], *, fresh: Iterable[Path] = ()) -> Told:
    """Make the copies that are missing, and new ones of `fresh`, whose old ones go to a dated folder of `backups`.

    Raises: `LabError` if `folder` is no folder, or another process has been at it for long; `OSError`, naming the
    file, for a disk that is full or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise LabError(f"{folder} is a file; your copies go into a folder of that name: move the file away")
    replaced = {path.name for path in fresh}
    told = _look(folder, sources)
    missing = [path for path in sources if not (folder / path.name).exists() or path.name in replaced]
    pictures = [(there, to) for there, to in _linked(sources) if to.parts[0] != ".." and not (folder / to).exists()]
    if not missing and not pictures:
        return told
    backup = None
    with _alone(folder):
        for there, to in pictures:
            _put(folder / to, there.read_bytes())
        for path in missing:
            content = _written(student(_read(path), path.name))
            beside = _beside(folder / path.name, content)
            if path.name in replaced and (folder / path.name).exists():
                backup = backup or _dated(folder / BACKUPS)
                (folder / path.name).rename(backup / path.name)
            _put_there(beside, folder / path.name)
    made = tuple(path.name for path in missing)
    return Told(
        made,
        tuple(name for name in told.changed if name not in made),
        tuple(name for name in told.unreadable if name not in made),
        backup,
    )


def bring_solved(folder: Path, sources: Sequence[Path]) -> Path:
    """Make the solved copies and all that they link to, in a folder of notebooks laid out as in the repository."""
    books = folder / places.NOTEBOOKS.name
    books.mkdir(parents=True, exist_ok=True)
    for there, to in _linked(sources):
        _put(Path(os.path.normpath(books / to)), there.read_bytes())
    for path in sources:
        os.replace(_beside(books / path.name, _written(solved(_read(path)))), books / path.name)
    return books


def _look(folder: Path, sources: Sequence[Path]) -> Told:
    changed, unreadable = [], []
    for path in sources:
        copy = folder / path.name
        if not copy.exists():
            continue
        try:
            made_of = json.loads(copy.read_text(encoding="utf-8"))["metadata"].get("labkit", {}).get("source")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            unreadable.append(path.name)
        else:
            if made_of not in (None, fingerprint(_read(path))):
                changed.append(path.name)
    return Told(changed=tuple(changed), unreadable=tuple(unreadable))


def _read(path: Path) -> NotebookNode:
    import nbformat

    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def _written(notebook: NotebookNode) -> bytes:
    import nbformat

    text: str = nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    return text.encode()


def _linked(sources: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Files that the notebooks link to, but for notebooks: where each is, and its path as the links say it."""
    found = {}
    for path in sources:
        for cell in _read(path).cells:
            for target in LINK.findall(cell.source) if cell.cell_type == "markdown" else []:
                there = path.parent / target
                if there.is_file() and there.suffix != ".ipynb":
                    found[target] = (there, Path(target))
    return [found[target] for target in sorted(found)]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else makes copies here meanwhile; what a killed run left half-written goes."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            for left in folder.rglob(".*.new"):
                left.unlink()
            yield
    except Timeout:
        raise LabError(f"another `lab.py lab` has been making copies in {folder} for long; end it first") from None


def _dated(backups: Path) -> Path:
    """A new folder named for now."""
    for number in range(1, 1000):
        path = backups / f"{datetime.now():%Y-%m-%d_%H%M%S}{f'_{number}' if number > 1 else ''}"  # noqa: DTZ005 (read by a person)
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise LabError(f"{backups} is full of backups of this very second; try again")


def _beside(path: Path, content: bytes) -> Path:
    """The content in a hidden file next to `path`, on the disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise
    return beside


def _put(path: Path, content: bytes) -> None:
    """A file of ours, such as a picture: written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(_beside(path, content), path)


def _put_there(beside: Path, path: Path) -> None:
    """Give `beside` its name, unless something has come to be there: then that stays, for it may be somebody's work."""
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            shutil.move(beside, path)
            return
    beside.unlink()
