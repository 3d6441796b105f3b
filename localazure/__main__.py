"""`python -m localazure serve | hub create | hub import`: the embedded Azure from a terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localazure.cosmos.consistency import LEVELS, SESSION
from localazure.errors import LocalAzureError, NotRunning
from localazure.eventhubs.emulator_config import WantedHub, read_config
from localazure.started_with import MOST_RANGES, TOKEN_VARIABLE

if TYPE_CHECKING:
    from localazure.server import ServerOptions
    from localazure.serving import Ready


@click.group(help=__doc__)
def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


@main.command()
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where the state is kept."
)
@click.option("--cosmos-port", type=click.IntRange(0, 65535), default=0, help="0: the former one, or any free one.")
@click.option("--eventhubs-port", type=click.IntRange(0, 65535), default=0, help="0: the former one, or any free one.")
@click.option("--cosmos-key", envvar="LOCALAZURE_COSMOS_KEY", help="The read-write account key (base64).")
@click.option("--eventhubs-key", envvar="LOCALAZURE_EVENTHUBS_KEY", help="The key of RootManageSharedAccessKey.")
@click.option("--bearer-token", envvar=TOKEN_VARIABLE, help="Accept this bearer token beside the keys.")
@click.option("--tls", is_flag=True, help="Speak TLS on both ports, with a certificate of the folder's own.")
@click.option("--consistency", type=click.Choice(LEVELS), default=SESSION, help="Cosmos DB's default level.")
@click.option("--ranges", type=click.IntRange(1, MOST_RANGES), help="Physical partitions per container.")
@click.option("--hub", "hubs", multiple=True, metavar="NAME:PARTITIONS", help="Create this hub if it is not there.")
@click.option("--idle-seconds", type=click.FloatRange(min=1), help="Stop when nobody used it for so long.")
def serve(
    data: Path,
    cosmos_port: int,
    eventhubs_port: int,
    cosmos_key: str | None,
    eventhubs_key: str | None,
    bearer_token: str | None,
    tls: bool,
    consistency: str,
    ranges: int | None,
    hubs: tuple[str, ...],
    idle_seconds: float | None,
) -> None:
    """Serve a data folder until interrupted; prints one line of JSON when ready."""
    from localazure.server import ServerOptions
    from localazure.serving import serve as serve_folder

    options = ServerOptions(
        data.resolve(),
        cosmos_port,
        eventhubs_port,
        ranges=ranges,
        bearer_token=bearer_token,
        hubs=tuple(_hub(text) for text in hubs),
        idle_seconds=idle_seconds,
        tls=tls,
        consistency=consistency,
    )

    try:
        serve_folder(options, ready=partial(_announce, options), cosmos_key=cosmos_key, eventhubs_key=eventhubs_key)
    except LocalAzureError as error:
        raise click.ClickException(str(error)) from error


def _announce(options: ServerOptions, ready: Ready) -> None:
    """The one line of JSON."""
    from localazure.certificate import CERTIFICATE_FILE

    host = "https://localhost" if options.tls else "http://127.0.0.1"
    told = {
        "pid": os.getpid(),
        "cosmos_endpoint": f"{host}:{ready.endpoints.cosmos_port}/",
        "eventhubs_port": ready.endpoints.eventhubs_port,
        "eventgrid_endpoint": f"{host}:{ready.endpoints.eventgrid_port}/",
        "control_url": f"http://127.0.0.1:{ready.endpoints.control_port}/",
        "control_token": ready.keys.control_token,
    }
    if options.tls:
        told["certificate"] = str(options.data_dir / CERTIFICATE_FILE)
    click.echo(json.dumps(told))


@main.group()
def hub() -> None:
    """Hubs of a data folder that is being served."""


@hub.command("create")
@click.argument("name")
@click.argument("partitions", type=click.IntRange(min=1))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--consumer-group", "consumer_groups", multiple=True)
def create_hub(name: str, partitions: int, data: Path, consumer_groups: tuple[str, ...]) -> None:
    """Create the hub NAME with PARTITIONS hub partitions."""
    _create_hubs(data, [WantedHub(name, partitions, consumer_groups)])


@hub.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True)
def import_hubs(file: Path, data: Path) -> None:
    """Create the hubs of FILE, a Config.json of Microsoft's Event Hubs emulator."""
    try:
        wanted = read_config(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    _create_hubs(data, wanted)


def _create_hubs(data: Path, wanted: list[WantedHub]) -> None:
    from localazure import daemon

    try:
        running = daemon.found(data)
        if running is None:
            raise NotRunning(f"Nothing serves {str(data)!r}; start it with `python -m localazure serve --data DIR`.")
        for one in wanted:
            groups = list(one.consumer_groups)
            body = {"name": one.name, "partition_count": one.partition_count, "consumer_groups": groups}
            running.control("POST", "/hubs", body)
    except LocalAzureError as error:
        raise click.ClickException(str(error)) from error


def _hub(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition(":")
    if not name or not count.isdigit():
        raise click.BadParameter(f"{text!r} is not NAME:PARTITIONS, such as orders:4")
    return name, int(count)


if __name__ == "__main__":
    main()
