"""How every benchmark of this folder measures, prints and writes.

Two things are compared by pairs, interleaved (a b, b a, a b, ...), at least `PAIRS_AT_LEAST` of them, and by the
median of the ratios within pairs: a machine that slows down slows both halves of a pair. A figure is a value, its unit
and the method in a sentence; `--json FILE` writes them all. A measurement that had errors, or did not get through its
load, raises `Missed`: exit code 1, after the figures that it had given before.
"""

from __future__ import annotations

import argparse
import inspect
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

PAIRS_AT_LEAST = 7


class Missed(Exception):
    """The load was not carried, or not without errors: what was to follow has no figures."""


@dataclass(frozen=True, slots=True)
class Figure:
    figure: str
    value: float
    unit: str
    method: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two things gave, pair by pair."""

    first: Sequence[float]
    second: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median over the pairs of second / first."""
        return statistics.median(b / a for a, b in zip(self.first, self.second, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        return statistics.median(self.first), statistics.median(self.second)


def interleaved(
    first: Callable[[], float], second: Callable[[], float], *, pairs: int = PAIRS_AT_LEAST, title: str = "pairs"
) -> Pairs:
    """Measure both, in turns, changing which goes first. Raises: `ValueError` for fewer pairs than `PAIRS_AT_LEAST`."""
    if pairs < PAIRS_AT_LEAST:
        raise ValueError(f"{pairs} pairs are too few to trust a median; take {PAIRS_AT_LEAST}")
    measured: tuple[list[float], list[float]] = ([], [])
    for turn in tqdm(range(pairs), desc=title, unit="pair", leave=False, disable=not sys.stderr.isatty()):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            measured[which].append((first, second)[which]())
    return Pairs(*measured)


def report(figures: Iterable[Figure], file: Path | None) -> None:
    """Print the table; write the JSON where asked."""
    rows = list(figures)
    width = max(len(row.figure) for row in rows)
    for row in rows:
        print(f"{row.figure:<{width}}  {row.value:>12,.3f} {row.unit:<8} {row.method}")
    if file is not None:
        text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
        try:
            file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            sys.exit(f"{file} cannot be written ({error.strerror}): the figures are those above.")


def main(measure: Callable[..., Iterable[Figure]], *, parts: Sequence[str] = ()) -> int:
    """The command line of one benchmark; `parts` can be measured alone, each by its name."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    if "short" in inspect.signature(measure).parameters:
        parser.add_argument("--short", action="store_true", help="smaller tables and less time")
    if parts:
        parser.add_argument("--part", action="append", choices=parts, dest="parts", help="this one alone; repeatable")
    options = vars(parser.parse_args())
    file = options.pop("json")
    rows: list[Figure] = []
    failed = 0
    try:
        for row in measure(**options | ({"parts": options["parts"] or parts} if parts else {})):
            rows.append(row)  # one by one: what came before a miss counts
    except Missed as missed:
        print(f"Missed: {missed}", file=sys.stderr)
        failed = 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        failed = 130
    if rows:
        report(rows, file)
    return failed
