"""Charts: refused without words, the same bytes for the same figure, alt text in the notebook's output."""

from __future__ import annotations

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from labkit.plots import COLOURS, HATCHES, LINES, MARKERS, OF_A_JUPYTER_SERVER, canvas, png, show

ALT = "One bar for each day, the second half as high as the first."


def test_the_same_figure_gives_the_same_picture() -> None:
    pictures = []
    for _ in range(2):
        figure, (axes,) = canvas("Mondays are busy", x="day", y="orders")
        axes.bar(["Mon", "Tue"], [4, 2], hatch=HATCHES[1])
        pictures.append(png(figure))
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 50_000


def test_each_series_differs_by_more_than_its_colour() -> None:
    assert len({*zip(LINES, MARKERS, strict=True)}) == len(set(HATCHES)) == len(COLOURS)


@pytest.mark.parametrize(
    ("title", "x", "alt"), [("", "day", ALT), ("Mondays are busy", "", ALT), ("Mondays are busy", "day", "a chart")]
)
def test_a_figure_without_words_is_refused(title: str, x: str, alt: str) -> None:
    figure, _ = canvas(title, x=x, y="orders")
    with pytest.raises(ValueError, match=r"alt text|label|title"):
        show(figure, alt)


def shown() -> RichOutput:
    figure, _ = canvas("Mondays are busy", x="day", y="orders")
    shell = InteractiveShell.instance()
    shell.display_pub = CapturingDisplayPublisher()
    with capture_output() as captured:
        show(figure, ALT)
    (output,) = captured.outputs
    return output


def test_the_alt_text_reaches_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OF_A_JUPYTER_SERVER, raising=False)
    assert shown().metadata["image/png"]["alt"] == ALT


def test_the_alt_text_reaches_jupyterlab_which_reads_only_that_of_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OF_A_JUPYTER_SERVER, "my_lab/01_write_model.ipynb")
    assert shown().data["text/markdown"].startswith(f"![{ALT}](data:image/png;base64,iVBORw0KGgo")
