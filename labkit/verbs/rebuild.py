"""`rebuild`: all read models of a lab that is open anew from the history, or back to those before.

Owns what is told and asked. The steps are in `projections.rebuild`.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import click

from labkit.verbs.parked import OF_LAB, lane_of

if TYPE_CHECKING:
    from labkit.projections.comparison import Comparison

DIFFERENCES_TOLD = 20


@click.command()
@OF_LAB
@click.option("--rollback", is_flag=True, help="Back to the tables before the last rebuild, brought up to date.")
@click.option("--yes", is_flag=True, help="Switch without asking, also when rows differ.")
def rebuild(lab_name: str | None, rollback: bool, yes: bool) -> None:
    """Make all read models anew from the history, compare them with those in use, and switch over."""
    from tqdm import tqdm

    from labkit.projections.read_store import ReadStore
    from labkit.projections.rebuild import Rebuild, Sources

    with lane_of(lab_name) as (lab, lane):
        open_consumer = functools.partial(lab.async_consumer, "projector", "lessons")
        write_model = lab.container("write-model", "projector")
        sources = Sources(lab.hub, lab.start_positions, write_model, open_consumer)
        with Rebuild(sources, ReadStore(lab.tables_url), lane, back=rollback) as run:
            with tqdm(total=run.events(), unit="event", leave=False, disable=not sys.stderr.isatty()) as bar:
                run.scan(bar.update)
            found = run.compare()
            _tell(found)
            if (found.differences or found.unchecked) and not rollback and not yes:
                click.confirm("Switch to the rebuilt tables all the same?", abort=True)
            run.switch()
            stuck = sorted(run.stuck)
    if stuck:
        click.echo(f"Parked: events of {', '.join(stuck[:5])}{' and others' if stuck[5:] else ''}.")
    click.echo("Switched. The tables used until now are kept: `rebuild --rollback` goes back to them.")


def _tell(found: Comparison) -> None:
    told = f"{found.rows} rows compared: {len(found.differences)} differ"
    click.echo(f"{told}, {found.ahead} were not yet so far in the tables in use.")
    for difference in found.differences[:DIFFERENCES_TOLD]:
        click.echo(f"    {difference}")
    if len(found.differences) > DIFFERENCES_TOLD:
        click.echo(f"    and {len(found.differences) - DIFFERENCES_TOLD} more")
    if found.unchecked:
        click.echo(f"    {found.unchecked} were too far behind to be compared; let the projector catch up first")
