"""The site as files: every link leads somewhere, every picture has words, nothing is loaded from elsewhere."""

from __future__ import annotations

import errno
import html
import os
import re
import runpy
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup, SoupStrainer, Tag

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "docs" / "site" / "build.py"
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
LOADED_BY_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
MIN_ALT_WORDS = 6
"""As for the figures of notebooks, `labkit.plots`."""


pytestmark = pytest.mark.filterwarnings("ignore:'myst_parser.*is deprecated")  # Sphinx's word to myst-parser


@cache
def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def tags(page: Path) -> list[Tag]:
    """Only the tags that lead somewhere or load something: a page with its thousands of words takes much longer."""
    only = SoupStrainer(["a", *LOADED])
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser", parse_only=only).find_all(True)


@cache
def anchors(page: Path) -> set[str]:
    return set(map(html.unescape, re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))))


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def is_dead(target: Path, anchor: str) -> bool:
    return not target.is_file() or (bool(anchor) and target.suffix == ".html" and anchor not in anchors(target))


def dead_links(site: Path, page: Path) -> list[str]:
    """Links of a page to files, or to places in pages, that are not there."""
    found = []
    for link in (tag for tag in tags(page) if tag.name == "a" and tag.get("href")):
        address = urlsplit(str(link["href"]))
        target = (page.parent / unquote(address.path)).resolve() if address.path else page
        if not is_elsewhere(address.geturl()) and is_dead(target, unquote(address.fragment)):
            found.append(f"{page.relative_to(site)}: {link['href']}")
    return found


def test_every_text_and_every_notebook_has_a_page(site: Path) -> None:
    texts = [path.with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    books = [path.with_suffix("") for path in (ROOT / "notebooks").glob("*.ipynb")]
    missing = [path for path in (*texts, *books) if not (site / path.relative_to(ROOT)).with_suffix(".html").exists()]
    assert not missing
    assert len(books) == 5


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    assert [link for page in pages(site) for link in dead_links(site, page)] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = [
        f"{page.relative_to(site)}: {address}"
        for page in pages(site)
        for tag in tags(page)
        if (address := str(tag.get(LOADED.get(tag.name, ""), ""))) and is_elsewhere(address)
        if not address.startswith("data:")
    ]
    by_style = [path.name for path in site.rglob("*.css") if LOADED_BY_STYLE.search(path.read_text(encoding="utf-8"))]
    assert (loaded, by_style) == ([], [])


def test_every_picture_says_in_words_what_it_shows(site: Path) -> None:
    pictures = [(page, tag) for page in pages(site) for tag in tags(page) if tag.name == "img"]
    silent = [f"{page.name}: {tag['src']}" for page, tag in pictures if len(tag.get("alt", "").split()) < MIN_ALT_WORDS]
    assert silent == []
    assert len(pictures) >= 15, "each notebook has the picture of the path and figures"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_output_of_a_notebook_is_shown(site: Path, path: Path) -> None:
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    kinds = [output.get("data", {}) for output in outputs]
    page = parsed(site / "notebooks" / f"{path.stem}.html")

    figures = [" ".join(output.metadata["image/png"]["alt"].split()) for output in outputs if is_figure(output)]
    assert [tag["alt"] for tag in page.find_all("img", class_="figure")] == figures
    tables = [kind["text/html"].count("<table") for kind in kinds if "text/html" in kind]
    assert len(page.select("div.output table.dataframe")) == sum(tables) > 0
    texts = [output for output in outputs if not is_figure(output) and "text/html" not in output.get("data", {})]
    assert len(page.select("div.output.highlight-text")) == len(texts) > 0


def is_figure(output: nbformat.NotebookNode) -> bool:
    return "image/png" in output.get("data", {})


def test_solutions_are_folded_until_somebody_asks(site: Path) -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        solutions = [cell for cell in nbformat.read(path, 4).cells if "solution" in cell.metadata.get("tags", [])]
        folded = parsed(site / "notebooks" / f"{path.stem}.html").find_all("details", class_="solution")
        assert len(folded) == len(solutions) >= 4
        for cell, one in zip(solutions, folded, strict=True):
            assert "open" not in one.attrs
            assert cell.source.splitlines()[0] in one.get_text()


def test_the_reference_has_what_the_notebooks_import(site: Path) -> None:
    text = parsed(site / "reference" / "projections.html").get_text()
    assert "class Projector" in text
    assert "wait_until_visible" in text


def test_the_search_finds_a_word_of_the_glossary_and_one_of_a_notebook(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert '"docs/glossary"' in index
    assert '"stale' in index
    assert '"idempot' in index


SMALL = {"README.md": "# Small\n\n[the words](docs/glossary.md)\n", "docs/glossary.md": "# Words\n"}


@pytest.fixture(scope="module")
def make() -> Callable[[list[str]], int]:
    """The builder, in this process: what it imports is imported once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BUILD.parent)
        return runpy.run_path(str(BUILD))["main"]


def build(make: Callable[[list[str]], int], folder: Path, files: dict[str, str], target: Path | None = None) -> int:
    for name, text in files.items():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name).write_text(text, encoding="utf-8")
    return make([str(target or folder / "site"), "--of", str(folder / "tree")])


def test_a_link_that_leads_nowhere_ends_the_build_and_is_named(make, tmp_path: Path, capsys) -> None:
    assert build(make, tmp_path, {**SMALL, "README.md": "# Small\n\n[the words](docs/glosary.md)\n"}) == 1
    assert "docs/glosary.md" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_figure_without_words_ends_the_build_and_is_named(make, tmp_path: Path, capsys) -> None:
    picture = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    cell = nbformat.v4.new_code_cell("show()", id="the-chart", outputs=[picture])
    text = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))

    assert build(make, tmp_path, {**SMALL, "notebooks/01_small.ipynb": text}) == 1
    assert capsys.readouterr().err == "01_small.ipynb: the figure of cell the-chart has no alt text\n"


def test_a_folder_with_something_else_in_it_is_left_alone(make, tmp_path: Path, capsys) -> None:
    kept = tmp_path / "home" / "letter.txt"
    kept.parent.mkdir()
    kept.write_text("dear", encoding="utf-8")

    assert build(make, tmp_path, SMALL, kept.parent) == 1
    assert "holds something that is no site" in capsys.readouterr().err
    assert kept.read_text(encoding="utf-8") == "dear"


def test_a_site_is_made_again_in_its_place(make, tmp_path: Path) -> None:
    assert build(make, tmp_path, SMALL) == 0
    assert build(make, tmp_path, {"docs/glossary.md": "# Other words\n"}) == 0
    assert "Other words" in (tmp_path / "site" / "docs" / "glossary.html").read_text(encoding="utf-8")


def test_while_the_disk_is_full_the_site_before_stays_and_one_line_says_why(
    make, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(make, tmp_path, SMALL) == 0

    def fill(source: Path, target: Path) -> None:
        target.mkdir()
        full = str(OSError(errno.ENOSPC, "No space left on device"))
        raise shutil.Error([(str(source / "index.html"), str(target / "index.html"), full)])

    monkeypatch.setattr(shutil, "copytree", fill)
    assert build(make, tmp_path, {"docs/glossary.md": "# Other words\n"}) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{tmp_path / 'site'} cannot be written (No space left on device); what was there is as it was."
    )
    assert "Other words" not in (tmp_path / "site" / "docs" / "glossary.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "tree"]


@pytest.fixture
def swap(make: Callable[[list[str]], int], tmp_path: Path) -> Callable[[], int]:
    """Put a new site of one page where an older one of two is."""
    for name, words in (("site/index.html", "older"), ("site/words.html", "older"), ("built/index.html", "newer")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(words, encoding="utf-8")
    put_in_place = make.__globals__["put_in_place"]
    return lambda: put_in_place(tmp_path / "built", tmp_path / "site")


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


OLDER = {"index.html": "older", "words.html": "older"}


def test_a_page_of_the_site_before_that_cannot_be_deleted_is_told_and_the_new_site_is_whole(
    swap, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = os.unlink

    def held_open(path: str, **options: int) -> None:
        if str(path).endswith("words.html"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        delete(path, **options)

    monkeypatch.setattr(os, "unlink", held_open)
    assert swap() == 0
    assert files(tmp_path / "site") == {"index.html": "newer"}
    assert f"{tmp_path / '.site.old'} cannot be deleted (" in capsys.readouterr().err

    assert swap() == 1  # it would be in the way
    assert files(tmp_path / "site") == {"index.html": "newer"}
    assert capsys.readouterr().err.endswith(": Permission denied); what was there is as it was.\n")


@pytest.mark.parametrize("last", [0, 1], ids=["it can be put back", "it cannot be put back"])
def test_a_new_site_that_cannot_be_moved_into_its_place_leaves_the_one_before(
    last: int, swap, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, moved = os.replace, []

    def refused(source: Path, target: Path) -> None:
        moved.append(source.name)
        if source.name == ".site.new" or (last and source.name == ".site.old"):
            raise PermissionError(errno.EACCES, "Permission denied", str(source))
        move(source, target)

    monkeypatch.setattr(os, "replace", refused)
    assert swap() == 1
    assert moved == ["site", ".site.new", ".site.old"]
    there = tmp_path / (".site.old" if last else "site")
    assert files(there) == OLDER
    told = f"Permission denied); what was there is {f'in {there}' if last else 'as it was'}.\n"
    assert capsys.readouterr().err.endswith(told)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([there.name, "built"])

    monkeypatch.setattr(os, "replace", move)
    shutil.move(tmp_path / "built", tmp_path / "away")
    assert swap() == 1  # there is nothing to put in its place
    assert files(tmp_path / "site") == OLDER


@pytest.mark.parametrize("wrong", ["[gone](nowhere.html)", "[gone](#nowhere)"])
def test_the_check_of_links_sees_a_dead_one(tmp_path: Path, wrong: str) -> None:
    address = wrong.split("(")[1].rstrip(")")
    page = tmp_path / "index.html"
    page.write_text(f'<a href="{address}">gone</a>', encoding="utf-8")

    assert dead_links(tmp_path, page) == [f"index.html: {address}"]
