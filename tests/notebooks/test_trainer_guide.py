"""docs/trainer.md says how long each section takes and which are the core path: read here from the notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.verbs import places

GUIDE = places.ROOT / "docs" / "trainer.md"
WORDS_PER_MINUTE, LINES_PER_MINUTE, PREDICTION_MINUTES = 180, 25, 1.5
MARK = " (core path)"
FRAME = ("You will be able to", "Where we are", "What we learned")
"""Sections that belong to every path."""


def minutes(notebook: NotebookNode) -> dict[str, float]:
    """Section -> minutes: words read, lines of code read and run, a number committed to and compared. No exercises."""
    found: dict[str, float] = {}
    name = ""
    for cell in notebook.cells:
        markdown = cell.cell_type == "markdown"
        for part in re.split(r"(?m)^(?=## )", cell.source) if markdown else [cell.source]:
            heading = re.match(r"## (.+)", part) if markdown else None
            name = heading[1].strip().removesuffix(MARK) if heading else name
            if not name or name in ("Exercises", "Next"):
                continue
            reading = len(part.split()) / WORDS_PER_MINUTE + part.count("**Predict.**") * PREDICTION_MINUTES
            coding = sum(bool(line.strip()) for line in part.splitlines()) / LINES_PER_MINUTE
            found[name] = found.get(name, 0.0) + (reading if markdown else coding)
    return found


def core_sections(notebook: NotebookNode) -> list[str]:
    """What the notebook's own sentence calls the core path: "Sections 1 to 4 and 8 are the core path"."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    sentence = re.search(r"Sections (.+?) are the core path \(25 minutes\)", text)
    assert sentence is not None
    numbers: set[int] = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", sentence[1]):
        numbers |= set(range(int(first), int(last or first) + 1))
    return [name for name in minutes(notebook) if name in FRAME or any(name.startswith(f"{n} · ") for n in numbers)]


def told(title: str) -> dict[str, tuple[int, bool]]:
    """Section -> (minutes, whether it is of the core path), as the guide's table of this notebook says."""
    section = GUIDE.read_text(encoding="utf-8").split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (core)? ?\|$", section, re.MULTILINE)
    return {name: (int(number), mark == "core") for name, number, mark in rows}


@pytest.mark.parametrize("path", places.notebooks(), ids=lambda path: path.stem)
def test_the_guide_names_each_section_with_its_minutes_and_the_core_path(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    title = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)
    assert title is not None
    taken, rows, core = minutes(notebook), told(title[1]), core_sections(notebook)

    headings = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    marked = [line[3:].removesuffix(MARK) for line in headings if line.startswith("## ") and line.endswith(MARK)]

    assert list(rows) == list(taken)
    assert marked == [name for name in core if name not in FRAME], "the headings say what the sentence says"
    assert [name for name, (_, is_core) in rows.items() if is_core] == core
    assert {name: number for name, (number, _) in rows.items() if abs(number - taken[name]) > 1.5} == {}
    assert 32 <= sum(number for number, _ in rows.values()) <= 46, "about 40 minutes, as the notebook says"
    assert 15 <= sum(rows[name][0] for name in core) <= 26, "25 minutes, as the notebook says"
