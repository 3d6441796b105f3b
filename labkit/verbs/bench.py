"""`bench NAME`: run one benchmark of bench/, which prints a table and writes its figures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labkit.errors import LabError
from labkit.verbs import places


@click.command()
@click.argument("name", required=False)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
@click.option("--short", is_flag=True, help="Smaller tables and less time, where a benchmark has that form.")
@click.option("--part", "parts", multiple=True, help="This part alone, where a benchmark has parts; repeatable.")
def bench(name: str | None, file: Path | None, short: bool, parts: tuple[str, ...]) -> None:
    """Measure: NAME is a file of bench/. Exit code 1 on errors or missed load."""
    files = (places.ROOT / "bench").glob("*.py")
    known = sorted(path.stem for path in files if "\nif __name__" in path.read_text(encoding="utf-8"))
    if name not in known:
        what = f"there is no benchmark {name!r}" if name else "name a benchmark"
        raise LabError(f"{what}; there are: {', '.join(known)}")
    if file:
        places.folder_for(file)
    command = [sys.executable, str(places.ROOT / "bench" / f"{name}.py")]
    command += ["--json", str(file.resolve())] if file else []
    command += ["--short"] if short else []
    command += [word for part in parts for word in ("--part", part)]
    raise SystemExit(places.left_to_end(command, places.ROOT))
