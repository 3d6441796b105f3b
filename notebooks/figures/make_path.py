"""Writes path-01.svg ... path-05.svg beside itself: one picture of the whole path, each time with today's part lit; and
path.svg, with no part lit.

Run it after a change here and commit what it wrote; a test compares. The card is opaque, so it reads on white and on
dark; lit and unlit differ in darkness, so it reads in black and white; at 360 pixels no text is below 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH = 520
MARGIN = 20
BOX_WIDTH, BOX_HEIGHT, GAP = 144, 54, 24
HEADER, ROW = 24, 104
DOWN, LABEL = 14, 26
"""How far from the box's outer edge the way down lies, and how far labels keep clear of it."""
LIT = {"box": "#0072B2", "edge": "#003F63", "text": "#FFFFFF", "header": "#00507D"}
UNLIT = {"box": "#F1F1F1", "edge": "#8A8A8A", "text": "#333333", "header": "#555555"}


@dataclass(frozen=True)
class Part:
    """One notebook's row: its name, and its boxes (what, and what about it) in the order of the flow."""

    number: str
    name: str
    boxes: tuple[tuple[str, str], ...]
    says: str


PATH = (
    Part(
        "01",
        "Write model",
        (("command", "may be refused"), ("decide", "pure"), ("Cosmos DB", "state + outbox")),
        "a command is decided and written to Cosmos DB, state and outbox in one transaction",
    ),
    Part(
        "02",
        "Events",
        (("change feed", "in order"), ("relay", "at least once"), ("Event Hubs", "hub partitions")),
        "the change feed hands the events to the relay, which sends them to Event Hubs",
    ),
    Part(
        "03",
        "Projections",
        (("projector", "folds, or parks"), ("MERGE", "with positions"), ("Delta tables", "read models")),
        "the projector folds events to rows and merges them, with its positions, into Delta tables",
    ),
    Part(
        "04",
        "Read queries",
        (("T-SQL views", "over the files"), ("questions", "read-only"), ("you, BI", "answers")),
        "T-SQL views over the tables answer questions and BI",
    ),
    Part(
        "05",
        "Lag monitoring",
        (("lag measures", "outbox, hub, time"), ("heartbeats", "relay, projector"), ("alert", "above 60 s")),
        "lag measures and heartbeats, taken along the whole path, raise an alert",
    ),
)


def alt_text(lit: str) -> str:
    """The picture in words; `lit` is a part's number, or empty."""
    today = "".join(f" Lit today: {part.name.lower()}." for part in PATH if part.number == lit)
    return f"The path of an order: {'; '.join(part.says for part in PATH)}.{today}"


def left_of(row: int, column: int) -> int:
    """Rows run to the right and to the left by turns, so that the path is one line; the last runs to the right."""
    place = column if row % 2 == 0 else 2 - column
    return MARGIN + place * (BOX_WIDTH + GAP)


def box(row: int, column: int, part: Part, look: dict[str, str]) -> list[str]:
    x, y = left_of(row, column), top_of(row)
    title, about = (escape(text) for text in part.boxes[column])
    middle = x + BOX_WIDTH / 2
    shape = f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"'
    return [
        f'{shape} fill="{look["box"]}" stroke="{look["edge"]}" stroke-width="1.5"/>',
        f'<text x="{middle:g}" y="{y + 23}" class="what" fill="{look["text"]}">{title}</text>',
        f'<text x="{middle:g}" y="{y + 43}" class="about" fill="{look["text"]}">{about}</text>',
    ]


def top_of(row: int) -> int:
    return MARGIN + row * ROW + HEADER


def arrows(row: int) -> list[str]:
    """Two within the row, and one down to the next part of the path; the lag row is joined by a dashed tap."""
    lines = []
    y = top_of(row) + BOX_HEIGHT / 2
    for column in (0, 1):
        ahead = left_of(row, column + 1) > left_of(row, column)
        start = left_of(row, column) + (BOX_WIDTH if ahead else 0)
        end = start + (GAP - 3 if ahead else 3 - GAP)
        lines.append(f'<line x1="{start}" y1="{y:g}" x2="{end}" y2="{y:g}" class="flow"/>')
    if row < len(PATH) - 2:
        x = left_of(row, 2) + (BOX_WIDTH - DOWN if row % 2 == 0 else DOWN)
        start, end = top_of(row) + BOX_HEIGHT, top_of(row + 1) - 3
        lines.append(f'<line x1="{x:g}" y1="{start}" x2="{x:g}" y2="{end}" class="flow"/>')
    return lines


def tap() -> str:
    """From the outbox, the hub and the projector down to the measures, along the left edge."""
    x, first, last = MARGIN / 2, top_of(1) + BOX_HEIGHT / 2, top_of(4) + BOX_HEIGHT / 2
    ends = "".join(f" M {MARGIN} {top_of(row) + BOX_HEIGHT / 2:g} H {x:g}" for row in (1, 2))
    return f'<path d="{ends.strip()} M {x:g} {first:g} V {last:g} H {MARGIN - 3}" class="tap"/>'


def svg(lit: str) -> str:
    height = top_of(len(PATH) - 1) + BOX_HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title words">',
        f'<title id="title">{"Where we are" if lit else "The whole path"}</title>',
        f'<desc id="words">{escape(alt_text(lit))}</desc>',
        "<style>text{font-family:Verdana,'DejaVu Sans',Arial,sans-serif;text-anchor:middle}"
        ".what{font-size:17px;font-weight:bold}.about{font-size:14.5px}"
        ".part{font-size:15px;font-weight:bold;text-anchor:start}"
        ".flow{stroke:#222;stroke-width:2;marker-end:url(#head)}"
        ".tap{stroke:#222;stroke-width:1.5;stroke-dasharray:5 4;fill:none;marker-end:url(#head)}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
        ' markerUnits="userSpaceOnUse"><path d="M0 0 8 4 0 8z" fill="#222"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#FFFFFF" stroke="#BBBBBB"/>',
    ]
    for row, part in enumerate(PATH):
        look = LIT if part.number == lit else UNLIT
        here = " · you are here" if part.number == lit else ""
        label = escape(f"{part.number} {part.name}{here}")
        lines.append(
            f'<text x="{MARGIN + LABEL}" y="{top_of(row) - 7}" class="part" fill="{look["header"]}">{label}</text>'
        )
        for column in range(3):
            lines.extend(box(row, column, part, look))
        lines.extend(arrows(row))
    return "\n".join([*lines, tap(), "</svg>", ""])


def files() -> dict[str, str]:
    """The name of each picture -> the part that is lit in it."""
    return {"path.svg": ""} | {f"path-{part.number}.svg": part.number for part in PATH}


if __name__ == "__main__":
    for name, part in files().items():
        Path(__file__).with_name(name).write_text(svg(part), encoding="utf-8", newline="\n")
        print(f"{name}: {alt_text(part)}")
