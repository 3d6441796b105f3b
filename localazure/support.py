"""What the embedded Azure serves and what it refuses: a row an operation, each with the test that proves it.

`docs/support.md` is written from these rows by `python -m localazure.support`; a test keeps rows, tests and page in
step. The rows themselves stand with their service, in `eventhubs/support.py`, `eventgrid/support.py`,
`cosmos/support.py` and `cosmos/sql/support.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """`proof` is the pytest id of a contract test (`tests/contract/test_x.py::test_y`) for a supported operation.

    For a refused operation it is the test that sees the refusal, and `note` says how the service words it. A bound of
    Azure that is not kept has no proof, and `note` says what happens instead.
    """

    operation: str
    supported: bool
    proof: str
    note: str = ""


def sections() -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Title and rows of each service. Imported here, since the services know `Row`."""
    from localazure.cosmos import support as cosmos
    from localazure.cosmos.sql import support as queries
    from localazure.eventgrid import support as event_grid
    from localazure.eventhubs import support as event_hubs

    yield "Event Hubs", event_hubs.ROWS
    yield "Cosmos DB", cosmos.ROWS
    yield "Cosmos DB: queries", queries.ROWS
    yield "Event Grid", event_grid.ROWS


def page() -> str:
    """The text of `docs/support.md`."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterable[str]:
    yield "# What the embedded Azure serves"
    yield ""
    yield "Written by `python -m localazure.support`; do not edit. *Proven by* names the test that sees it through the"
    yield "official SDK. What is refused is answered with the service's own error, never with a guess;"
    yield "*not kept* is a bound of Azure's that nothing enforces here."
    for title, rows in sections():
        yield ""
        yield f"## {title}"
        yield ""
        yield "| operation | | proven by | note |"
        yield "|---|---|---|---|"
        for row in rows:
            answer = "supported" if row.supported else "**refused**" if row.proof else "**not kept**"
            proof = f"`{row.proof.removeprefix('tests/')}`" if row.proof else ""
            yield f"| {_cell(row.operation)} | {answer} | {proof} | {_cell(row.note)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / "docs" / "support.md").write_text(page(), encoding="utf-8", newline="\n")
