"""The picture of the path: one source; five files with one part lit in each, and one with none."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

FIGURES = Path(__file__).parents[2] / "notebooks" / "figures"
SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = ("01", "02", "03", "04", "05")


@pytest.fixture(scope="module")
def source() -> dict[str, object]:
    return runpy.run_path(str(FIGURES / "make_path.py"))


def test_the_committed_pictures_are_what_their_source_writes(source) -> None:
    written = {name: source["svg"](part) for name, part in source["files"]().items()}
    assert written == {path.name: path.read_text(encoding="utf-8") for path in FIGURES.glob("path*.svg")}


@pytest.mark.parametrize("number", NUMBERS)
def test_one_part_is_lit_and_the_picture_says_so_in_words(source, number: str) -> None:
    root = ElementTree.parse(FIGURES / f"path-{number}.svg").getroot()
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("rx") == "8"]
    lit = [box for box in boxes if box.get("fill") == source["LIT"]["box"]]
    assert (len(boxes), len(lit)) == (15, 3)
    assert len({box.get("y") for box in lit}) == 1
    words = root.find(f"{SVG}desc").text
    assert words == source["alt_text"](number)


def test_every_box_name_fits_its_box(source) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for part in source["PATH"]:
        for what, about in part.boxes:
            for text, size, weight in ((what, 17, "bold"), (about, 14.5, "normal")):
                width = (
                    TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans", weight=weight))
                    .get_extents()
                    .width
                )
                assert width < source["BOX_WIDTH"], f"{text!r} is {width:.0f} wide"


def test_the_readme_says_in_words_what_the_picture_of_the_whole_path_shows(source) -> None:
    readme = (FIGURES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"![{source['alt_text']('')}](notebooks/figures/path.svg)" in readme
