"""`parked`: the events that could not be applied, of a lab that is open: `list`, `show`, `replay`, `discard`.

Owns how the lane is told to a person. What the steps do is in `projections.parking` and `projections.replay`.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit import Lab
    from labkit.projections.parking import ParkedEvent, ParkingLane
    from labkit.projections.query_container import QueryContainer

SHOWN_OF_A_BODY = 300
LANE_OF_SPARK = "parked-by-spark"
"""The container of what `lab.py spark --lab` parks of an open lab, whose tables are its own too (`tables_of_spark`)."""
OF_LAB = click.option("--lab", "lab_name", metavar="NAME", help="Which lab; needed when several are open.")
OF_SPARK = click.option("--spark", "by_spark", is_flag=True, help="What `spark --lab` has parked, and its tables.")


@click.group()
def parked() -> None:
    """Events that could not be applied: look at them, replay them, discard them."""


@parked.command("list")
@OF_LAB
@OF_SPARK
def list_parked(lab_name: str | None, by_spark: bool) -> None:
    """The aggregates with parked events, the longest waiting one first."""
    with lane_of(lab_name, by_spark) as (lab, lane):
        held = lane.held(lab.hub)
        rows = [(_named(h.aggregate_id), str(h.events), h.first, f"{h.parked_at:%F %T}", h.reason) for h in held]
        _table(("aggregate", "events", "first", "parked at (UTC)", "reason"), rows, "Nothing is parked.")
        if not by_spark and (other := _lane_of_spark(lab)) and (its := other.held(lab.hub)):
            click.echo(f"Spark's own lane holds {sum(h.events for h in its)} more: `parked list --spark` shows them.")


@parked.command()
@click.argument("aggregate_id")
@OF_LAB
@OF_SPARK
@click.option("--whole", is_flag=True, help="Bodies from beginning to end.")
def show(aggregate_id: str, lab_name: str | None, by_spark: bool, whole: bool) -> None:
    """Every parked event of AGGREGATE_ID ("" for those that name none), with its reason and its body."""
    with lane_of(lab_name, by_spark) as (lab, lane):
        for event in _events(lane, lab, aggregate_id):
            text = event.arrival.body.decode("utf-8", "backslashreplace")
            click.echo(f"{event.place}  parked {event.parked_at:%F %T} UTC  {event.reason}")
            click.echo(f"    {text if whole or len(text) <= SHOWN_OF_A_BODY else text[:SHOWN_OF_A_BODY] + ' ...'}")


@parked.command()
@click.argument("aggregate_ids", nargs=-1)
@OF_LAB
@OF_SPARK
@click.option("--all", "everything", is_flag=True, help="Every aggregate that has parked events.")
def replay(aggregate_ids: Sequence[str], lab_name: str | None, by_spark: bool, everything: bool) -> None:
    """Apply the parked events of AGGREGATE_IDS in order, as far as they can be applied now."""
    from labkit.projections.read_store import ReadStore
    from labkit.projections.replay import replay as replay_one

    if bool(aggregate_ids) == everything:
        raise LabError("name the aggregates to replay, or say --all")
    with lane_of(lab_name, by_spark) as (lab, lane):
        store = ReadStore(tables_of_spark(lab) if by_spark else lab.tables_url)
        container, failed = None if by_spark else _query_container(lab), False
        for who in [held.aggregate_id for held in lane.held(lab.hub)] if everything else aggregate_ids:
            _events(lane, lab, who)
            outcome = replay_one(lane, store, lab.hub, who, container)
            click.echo(str(outcome))
            failed |= bool(outcome.parked)
    if failed:
        raise LabError(f"some events stay parked; `parked show AGGREGATE_ID{' --spark' if by_spark else ''}` tells why")


@parked.command()
@click.argument("aggregate_id")
@click.argument("place", required=False)
@OF_LAB
@OF_SPARK
@click.option("--all", "everything", is_flag=True, help="All parked events of the aggregate.")
@click.option("--why", required=True, help="The reason, which is kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(
    aggregate_id: str, place: str | None, lab_name: str | None, by_spark: bool, everything: bool, why: str, yes: bool
) -> None:
    """Take the event at PLACE (such as 0-17; the first one if left out) out of the lane without applying it."""
    if place and everything:
        raise LabError("say --all, or name one event")
    with lane_of(lab_name, by_spark) as (lab, lane):
        events = _events(lane, lab, aggregate_id)
        chosen = events if everything else [event for event in events if event.place == place] or events[:1]
        if place and chosen[0].place != place:
            raise LabError(f"{place} of {aggregate_id} is not parked; parked are {', '.join(e.place for e in events)}")
        for event in chosen:
            click.echo(f"{event.place}  {event.reason}")
        if not yes:
            click.confirm(f"Discard {'this event' if len(chosen) == 1 else f'these {len(chosen)} events'}?", abort=True)
        for event in chosen:
            lane.discard(event, getpass.getuser(), why)
        left = len(events) - len(chosen)
    click.echo(f"Discarded. No table has changed; {left} stay parked." + (" Replay them next." if left else ""))


@contextmanager
def lane_of(lab_name: str | None, by_spark: bool = False) -> Iterator[tuple[Lab, ParkingLane]]:
    """The lab and its lane, with the projector's rights. Raises: `NoSuchLab`; `LabError` if Spark has none there."""
    from labkit.projections.parking import ParkingLane
    from labkit.verbs.attaching import attach_lab

    with attach_lab(lab_name) as lab:
        lane = _lane_of_spark(lab) if by_spark else ParkingLane(lab.container("parked-events", "projector"))
        if lane is None:
            raise LabError(f"Spark has no lane in {lab.name}: `lab.py spark --lab {lab.name}` makes it")
        yield lab, lane


def tables_of_spark(lab: Lab) -> str:
    return f"{lab.tables_url}/spark"


def _lane_of_spark(lab: Lab) -> ParkingLane | None:
    from labkit.projections.parking import ParkingLane

    container = lab.database("projector").get_container_client(LANE_OF_SPARK)
    return ParkingLane(container) if _is_there(container) else None


def _is_there(container: ContainerProxy) -> bool:
    try:
        container.read()
    except CosmosResourceNotFoundError:
        return False
    return True


def _query_container(lab: Lab) -> QueryContainer | None:
    """None if there is none: what Spark projects has its tables alone."""
    from labkit.projections.query_container import QueryContainer

    container = lab.container("query-model", "projector")
    return QueryContainer(container) if _is_there(container) else None


def _events(lane: ParkingLane, lab: Lab, aggregate_id: str) -> list[ParkedEvent]:
    events = [event for event in lane.events(aggregate_id) if event.hub == lab.hub]
    if not events:
        raise LabError(
            f"nothing of {_named(aggregate_id)} is parked; `parked list` tells what is (--spark: in Spark's lane)"
        )
    return events


def _named(aggregate_id: str) -> str:
    return aggregate_id or '""'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], nothing: str) -> None:
    """Columns as wide as their longest text; the last one runs on."""
    lines = [head, *rows]
    if len(lines) == 1:
        click.echo(nothing)
        return
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    for line in lines:
        click.echo("  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[-1]]))
