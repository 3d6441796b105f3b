"""One look for all charts of the notebooks: colour-blind-safe, readable in black and white, never without words.

Owns the style (the Okabe-Ito colours, each with a line and a marker of its own; bars with hatches) and how a figure
enters a notebook: as one small PNG with alt text. Refuses a figure without a title, an axis without a label, and an
alt text too short to say what the picture shows.

No pyplot: a figure made here is shown once, by `show`, and leaves no state behind.
Source of the colours: Okabe and Ito, "Color Universal Design" (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

import io
import os
from base64 import b64encode
from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#56B4E9")
LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")
"""For bars, in the order of `COLOURS`."""

WIDTH_INCHES = 7.0
DOTS_PER_INCH = 96
MIN_ALT_WORDS = 6

OF_A_JUPYTER_SERVER = "JPY_SESSION_NAME"
"""Set for the kernels of a session. Source: jupyter_server, `SessionManager.get_kernel_env`."""

STYLE: Any = {  # matplotlib types rc names as one great Literal
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS, linestyle=LINES, marker=MARKERS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "grid.alpha": 0.35,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.0,
}


def canvas(
    title: str, *, x: str, y: str, height_inches: float = 3.2, panels: int = 1
) -> tuple[Figure, tuple[Axes, ...]]:
    """A figure in the lab's style with `panels` axes side by side; `title` states the finding, `x` and `y` have units.

    Several panels share the y label; give each its own title and x label if they differ.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
        axes = tuple(figure.subplots(1, panels, squeeze=False)[0])
    for one in axes:
        one.set_xlabel(x)
        one.set_ylabel(y)
    if panels == 1:
        axes[0].set_title(title, loc="left", size="medium", weight="bold")
    else:
        figure.suptitle(title, x=0.01, ha="left", size="medium", weight="bold")
    return figure, axes


def png(figure: Figure) -> bytes:
    """The picture; the same figure gives the same bytes with the same matplotlib."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def show(figure: Figure, alt: str) -> None:
    """Display the figure, with `alt` for who cannot see it. Raises: `ValueError` for a picture without words.

    JupyterLab passes over the words of a picture (4.6: its renderer of images knows a width and a height), but not over
    those of a picture in Markdown. So a kernel of a Jupyter server shows it as Markdown; whatever else runs a notebook
    gets a picture with its words in the output's metadata, where GitHub's view and nbconvert look for them.
    """
    from IPython.display import Image, Markdown, display  # only notebooks have it

    _has_words(figure, alt)
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)
    if OF_A_JUPYTER_SERVER in os.environ:
        display(Markdown(f"![{alt}](data:image/png;base64,{b64encode(png(figure)).decode()})"))  # type: ignore[no-untyped-call]
    else:
        display(Image(data=png(figure), format="png", alt=alt))  # type: ignore[no-untyped-call]


def _has_words(figure: Figure, alt: str) -> None:
    if len(alt.split()) < MIN_ALT_WORDS:
        raise ValueError("the alt text says what the picture shows, in a sentence")
    for axes in figure.axes:
        if not axes.get_xlabel() or not axes.get_ylabel():
            raise ValueError("each axis has a label with its unit")
        if not (axes.get_title("left") or axes.get_title() or figure.get_suptitle()):
            raise ValueError("the title states the finding")
