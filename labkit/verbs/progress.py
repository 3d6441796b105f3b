"""`progress`: which exercises of the notebooks the reader has solved, and which comes next.

What there is to solve is read from the notebooks: the heading and the check of each exercise. What was solved is what
checks have noted in `my_lab` (`labkit.verbs.noted`): an exercise is done once its check has said "right".
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from labkit.verbs import noted, places

if TYPE_CHECKING:
    from nbformat import NotebookNode

CHECKED: Final = re.compile(r"checks\.exercise\((\d+), \"([^\"]+)\"\)")
TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Exercise:
    number: int
    title: str
    tries: int
    right: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the reader is in one notebook."""

    notebook: str
    title: str
    exercises: tuple[Exercise, ...]

    @property
    def done(self) -> int:
        return sum(one.right for one in self.exercises)

    @property
    def next(self) -> Exercise | None:
        """The first that is not solved."""
        return next((one for one in self.exercises if not one.right), None)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a script: one JSON object.")
def progress(as_json: bool) -> None:
    """Say which exercises you have solved, notebook by notebook, and which comes next."""
    standings = standing(places.notebooks(), noted.STUDENT)
    click.echo(json.dumps([asdict(one) for one in standings], indent=1) if as_json else told(standings))


def standing(notebooks: Iterable[Path], folder: Path) -> list[Standing]:
    """How far the checks noted in this folder say the reader is."""
    import nbformat

    runs = list(noted.all_in(folder))
    found = []
    for path in notebooks:
        number, notebook = path.name[:2], nbformat.read(path, as_version=4)
        exercises = []
        for one, title in asked(notebook):
            tries = [run.right for run in runs if (run.notebook, run.exercise) == (number, one)]
            exercises.append(Exercise(one, title, len(tries), any(tries)))
        heading = TITLE.search(notebook.cells[0].source)
        found.append(Standing(number, heading[1] if heading else path.stem, tuple(exercises)))
    return found


def asked(notebook: NotebookNode) -> list[tuple[int, str]]:
    """Number and title of each exercise that has a check."""
    checks = [cell.source for cell in notebook.cells if "check" in cell.metadata.get("tags", [])]
    return [(int(number), title) for source in checks for number, title in CHECKED.findall(source)]


def told(standings: list[Standing]) -> str:
    """A line for each notebook: a mark for each exercise (done, tried, not begun), and what is next there."""
    done, tried, untouched = ("■", "◪", "□") if _can_show("■◪□") else ("#", "+", ".")
    lines = []
    for one in standings:
        marks = "".join(done if each.right else tried if each.tries else untouched for each in one.exercises)
        ahead = "all done" if one.next is None else f"next: exercise {one.next.number} · {one.next.title}"
        lines.append(f"{one.title:<22} {marks:<6} {one.done} of {len(one.exercises)}   {ahead}")
    begun = next((one for one in standings if one.next and one.done), None)
    ahead_of_all = begun or next((one for one in standings if one.next), None)
    lines.append(f"{done} right   {tried} tried, not yet right   {untouched} not tried")
    if ahead_of_all is None or ahead_of_all.next is None:
        return "\n".join([*lines, "All exercises are done."])
    following = ahead_of_all.next
    where = f"my_lab/{ahead_of_all.notebook}_*.ipynb"
    return "\n".join([*lines, f"Next: {where}, exercise {following.number} · {following.title}."])


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
