"""Notebooks of one exercise, a reader's work in them, and how to look at what is in a folder."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import v4

BOOK = "01_short.ipynb"
WORK = b'{"cells": [], "metadata": {"mine": "a night of work"}, "nbformat": 4, "nbformat_minor": 5}'


def write(path: Path, answer: str = "return 2") -> Path:
    def code(source: str, name: str, *tags: str) -> nbformat.NotebookNode:
        output = v4.new_output("stream", text="right\n")
        cell = v4.new_code_cell(source, id=name, execution_count=7, outputs=[output])
        cell.metadata["tags"] = list(tags)
        return cell

    words = (
        '![A path.](figures/path.svg) <img src="figures/more.svg"> [word](../docs/words.md#one) [next](02_more.ipynb)'
    )
    cells = [
        v4.new_markdown_cell(f"# 01 · Short\n\n{words} [far](https://example.com/a)", id="title"),
        code("def f(): ...", "exercise-1", "exercise"),
        code(f"def f(): {answer}", "exercise-1-solution", "solution"),
        code("check(f)", "exercise-1-check", "check"),
    ]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def everything_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def ids(path: Path) -> list[str]:
    return [cell.id for cell in nbformat.read(path, as_version=4).cells]
