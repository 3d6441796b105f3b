"""`python docs/site/build.py TARGET`: the site as static HTML in TARGET, from the committed notebooks and the texts.

Owns which texts are on the site and in what order. It lays them out in a folder that is deleted afterwards, in the
places that they have in the repository, so that their links hold: a notebook becomes Markdown with its outputs, the
README the first page, each part of labkit a page made of its docstrings. Sphinx does the rest. A link that leads
nowhere, a picture without words or a text that is on no page ends the build. Nothing is executed or fetched.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import reference as pages_of
from nbconvert import MarkdownExporter
from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).resolve().parent
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "sql/README.md", "deploy/**/README.md")
BESIDE = ("LICENSE", "environment.yml", "notebooks/figures/*.svg", "docs/pictures/*.png")
"""What the texts show or offer without its being a page."""

SEARCH = "searchindex.js"
"""What the search looks in, and by which an older site is known, which may be replaced."""

PARTS = {
    "write_model": "Write model",
    "events": "Events",
    "projections": "Projections",
    "read_queries": "Read queries",
    "lag_monitoring": "Lag monitoring",
}
"""The folders of labkit, each with a page in the reference; the modules beside them share one."""

ORDER = (
    ("Notebooks", ("notebooks/[0-9]*",)),
    ("Reading", ("docs/decide", "docs/trainer", "docs/architecture", "docs/glossary", "docs/support")),
    ("Decisions", ("docs/decisions/README", "docs/decisions/[0-9]*")),
    ("On Azure", ("sql/README", "deploy/**/README")),
    ("Reference", (*(f"reference/{part}" for part in PARTS), "reference/shared")),
    ("The project", ("CONTRIBUTING", "CHANGELOG")),
)
"""The headings of the list at the side, and the pages below each."""


def main(given: list[str] | None = None) -> int:
    """Build, and say what was wrong by the exit code; Sphinx says it in words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--of", type=Path, default=ROOT, help="the repository that the site is of")
    arguments = parser.parse_args(given)
    if arguments.target.exists() and any(arguments.target.iterdir()) and not (arguments.target / SEARCH).exists():
        sys.stderr.write(f"{arguments.target} holds something that is no site; name another folder.\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        try:
            lay_out(arguments.of, source)
        except WithoutWords as refusal:
            sys.stderr.write(f"{refusal}\n")
            return 1
        options = ["-b", "html", "-c", str(SITE), "-d", str(Path(folder) / "trees"), "-q", "-W", "--keep-going"]
        if code := sphinx([*options, str(source), str(built)]):
            return code
        (built / ".buildinfo").unlink(missing_ok=True)
        return put_in_place(built, arguments.target)


def put_in_place(built: Path, target: Path) -> int:
    """Whole or not at all: while it cannot be written, the site before stays. An exit code."""
    beside, before = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    try:
        make_room(target, beside, before)
        shutil.copytree(built, beside)
        swap(target, beside, before)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
        why = os.strerror(errno.ENOSPC) if "Errno 28" in str(error) else why
        where = f"in {before}" if before.exists() and not target.exists() else "as it was"
        sys.stderr.write(f"{target} cannot be written ({why}); what was there is {where}.\n")
        return 1
    try:
        make_room(target, before)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        sys.stderr.write(f"{before} cannot be deleted ({why}); delete it by hand.\n")
    return 0


def make_room(target: Path, *besides: Path) -> None:
    """Delete what calls that were killed, or this one, have left beside the target; the last may be all there is."""
    if besides[-1].exists() and not target.exists():
        os.replace(besides[-1], target)
    for path in besides:
        if path.exists():
            shutil.rmtree(path)


def swap(target: Path, new: Path, before: Path) -> None:
    """Nothing is deleted: where one page cannot be, the others would be. Raises: `OSError`, and all is as it was."""
    if target.exists():
        os.replace(target, before)
    try:
        os.replace(new, target)
    except OSError:
        if before.exists():
            os.replace(before, target)
        raise


class WithoutWords(Exception):
    """A figure that says nothing to those who cannot see it."""


def lay_out(root: Path, source: Path) -> None:
    """Every page and what it shows, as Sphinx will read it. Raises: `WithoutWords`."""
    for pattern in (*TEXTS, *BESIDE):
        for path in sorted(root.glob(pattern)):
            put(source, path.relative_to(root), path.read_bytes())
    for path in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        notebook(path, source)
    for name, text in reference(root / "labkit"):
        put(source, Path("reference") / f"{name}.md", text.encode())
    with (source / "index.md").open("a", encoding="utf-8") as first:
        first.writelines(contents(source))


def put(source: Path, name: Path, content: bytes) -> None:
    """A file in its place; the README becomes the first page."""
    path = source / ("index.md" if name == Path("README.md") else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(linked(content.decode("utf-8"), name).encode("utf-8") if name.suffix == ".md" else content)


def linked(text: str, name: Path) -> str:
    """The text with links to notebooks leading to their pages, and links to the README to the first page."""
    text = re.sub(r"(\]\([^)\s]*?)\.ipynb(?=[)#])", r"\1.md", text)
    to_first = "../" * (len(name.parts) - 1) + "README.md"
    return re.sub(rf"(?<=\]\(){re.escape(to_first)}(?=[)#])", to_first.replace("README", "index"), text)


def notebook(path: Path, source: Path) -> None:
    """A notebook as Markdown, and its figures beside it. Raises: `WithoutWords`."""
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}) and not output.metadata.get("image/png", {}).get("alt"):
                raise WithoutWords(f"{path.name}: the figure of cell {cell.id} has no alt text")
    exporter = MarkdownExporter(template_file=str(SITE / "notebook.md.j2"))
    text, resources = exporter.from_notebook_node(book, {"unique_key": path.stem, "output_files_dir": "outputs"})
    put(source, Path("notebooks") / f"{path.stem}.md", text.encode())
    for name, picture in resources["outputs"].items():
        put(source, Path("notebooks") / name, picture)


def reference(labkit: Path) -> Iterator[tuple[str, str]]:
    """A page for each part of labkit, and one for the modules beside them."""
    for part, title in PARTS.items():
        modules = {f"labkit.{part}.{path.stem}": path for path in sorted((labkit / part).glob("[a-z]*.py"))}
        about = f"What the notebook *{title}* teaches, as later notebooks import it."
        yield part, pages_of.page(f"labkit.{part}", about, modules)
    shared = {f"labkit.{path.stem}": path for path in sorted(labkit.glob("[a-z]*.py"))}
    yield "shared", pages_of.page("labkit", "What all parts share, and what a notebook needs around them.", shared)


def contents(source: Path) -> Iterator[str]:
    """The list of all pages, for the side of each page."""
    for heading, patterns in ORDER:
        pages = [path.relative_to(source) for one in patterns for path in sorted(source.glob(f"{one}.md"))]
        if pages:
            names = "\n".join(path.with_suffix("").as_posix() for path in pages)
            yield f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n:maxdepth: 1\n\n{names}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
