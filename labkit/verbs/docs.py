"""`docs`: make the site with docs/site/build.py."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labkit.verbs import places


@click.command()
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), help="Where; .lab/site if not said.")
def docs(target: Path | None) -> None:
    """Make the site from the committed notebooks and the texts: static HTML, read without a server or a network."""
    site = (target or places.state() / "site").resolve()
    with places.alone("docs"):
        code = places.left_to_end([sys.executable, str(places.ROOT / "docs" / "site" / "build.py"), str(site)])
    if code == 0:
        click.echo(f"The site is made: open {site / 'index.html'}")
    raise SystemExit(code)
