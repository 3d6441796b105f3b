"""`up`, `down`, `status`, `reset`: the embedded Azure of this folder."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import click

from labkit import settings
from labkit.errors import LabError
from labkit.verbs import places

KEPT = (
    "setup.lock",
    "setup.log",
    "daemon.lock",
    "starting.lock",
    "kernels",
    *(f"{verb}.lock" for verb in places.ALONE),
)
"""What `reset` leaves: set-up's files, the locks (without which two could serve the folder at once), and what a running
JupyterLab works with."""
OF_THE_AZURE = (
    *("keys.json", "ports.json", "state.json", ".keys.json.*", ".ports.json.*", ".state.json.*"),
    *("daemon.lock", "starting.lock", "localazure.log", "localazure.old.log"),
    *("cosmos.sqlite*", "events.sqlite*", "eventhubs.sqlite*", "eventgrid.sqlite*"),
    *("certificate.pem", "certificate-key.pem", ".certificate.pem.*", ".certificate-key.pem.*"),
)
OF_THE_VERBS = (
    "bench",
    "bundle-*",
    "kernels",
    "labs",
    "node",
    "out",
    "site",
    ".site.new",
    ".site.old",
    "solved",
    "spark*",
    "tables",
    "test",
    "wheels",
)
OF_THE_DESKTOP = (".DS_Store", "desktop.ini", "Thumbs.db")
MARKS = ("keys.json", "kernels", "setup.log")
"""Any of these shows that the lab has worked in this folder; "out" or "tables" alone may be somebody else's."""


@click.command()
@click.pass_context
def up(context: click.Context) -> None:
    """Start the embedded Azure, unless it runs; it stays until `down`, or until nobody has used it for a while."""
    settings.start_embedded(places.state())
    context.invoke(status)


@click.command()
def down() -> None:
    """Stop the embedded Azure. Its data stay."""
    if settings.stop_embedded(places.state()):
        click.echo("The embedded Azure has stopped; its data are kept.")
    else:
        click.echo("The embedded Azure was not running.")


@click.command()
def status() -> None:
    """Say whether the embedded Azure runs, and where."""
    running = settings.embedded_status(places.state())
    if running is None:
        click.echo("The embedded Azure is not running. A notebook starts it on its own; so does `lab.py up`.")
    else:
        click.echo(
            f"The embedded Azure runs (process {running.pid}): "
            f"Cosmos DB on http://127.0.0.1:{running.cosmos_port}/, Event Hubs on 127.0.0.1:{running.eventhubs_port}."
        )


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop the embedded Azure and delete what it holds: events, documents, tables, keys, executed copies."""
    folder = places.state()
    doomed = what_the_lab_made(folder)
    if not doomed:
        click.echo("Nothing is kept; there is nothing to delete.")
        return
    if not yes:
        click.confirm(f"Delete {', '.join(path.name for path in doomed)} in {folder}?", abort=True)
    with places.alone("reset"):
        if since := [path.name for path in what_the_lab_made(folder) if path not in doomed]:
            what = f"{', '.join(since)} came while you were asked"
            raise LabError(f"nothing was deleted: {what}; run the command again")
        settings.stop_embedded(folder)
        for path in what_the_lab_made(folder):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    click.echo("Deleted. The next notebook starts afresh.")


def what_the_lab_made(folder: Path) -> list[Path]:
    """What may be deleted there. Raises: `LabError` for a folder in which the lab is not alone."""
    there = sorted(folder.glob("*"))
    made = [path for path in there if any(fnmatchcase(path.name, known) for known in (*OF_THE_AZURE, *OF_THE_VERBS))]
    foreign = [path.name for path in there if path not in made and path.name not in (*KEPT, *OF_THE_DESKTOP)]
    if foreign or (made and not any((folder / mark).exists() for mark in MARKS)):
        what = f"holds {', '.join(foreign)}, which the lab did not make" if foreign else "is not the lab's"
        raise LabError(
            f"nothing was deleted: {folder} {what}. Is {settings.DATA_DIR} right? If so, delete by hand what may go"
        )
    return [path for path in made if path.name not in KEPT]
