"""`parked`: the events that could not be applied, of a lab that is open: `list`, `show`, `replay`, `discard`.

Owns how the lane is told to a person. What the steps do is in `projections.parking` and `projections.replay`.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit import Lab
    from labkit.projections.parking import ParkedEvent, ParkingLane
    from labkit.projections.query_container import QueryContainer
    from labkit.projections.read_store import ReadStore

SHOWN_OF_A_BODY = 300
OF_LAB = click.option("--lab", "lab_name", metavar="NAME", help="Which lab; needed when several are open.")


@click.group()
def parked() -> None:
    """Events that could not be applied: look at them, replay them, discard them."""


@parked.command("list")
@OF_LAB
def list_parked(lab_name: str | None) -> None:
    """The aggregates with parked events, the longest waiting one first."""
    with lane_of(lab_name) as (lab, lane):
        held = lane.held(lab.hub)
        rows = [(_named(h.aggregate_id), str(h.events), h.first, f"{h.parked_at:%F %T}", h.reason) for h in held]
        _table(("aggregate", "events", "first", "parked at (UTC)", "reason"), rows, "Nothing is parked.")


@parked.command()
@click.argument("aggregate_id")
@OF_LAB
@click.option("--whole", is_flag=True, help="Bodies from beginning to end.")
def show(aggregate_id: str, lab_name: str | None, whole: bool) -> None:
    """Every parked event of AGGREGATE_ID ("" for those that name none), with its reason and its body."""
    with lane_of(lab_name) as (lab, lane):
        for event in _events(lane, lab, aggregate_id):
            text = event.arrival.body.decode("utf-8", "backslashreplace")
            click.echo(f"{event.place}  parked {event.parked_at:%F %T} UTC  {event.reason}")
            click.echo(f"    {text if whole or len(text) <= SHOWN_OF_A_BODY else text[:SHOWN_OF_A_BODY] + ' ...'}")


@parked.command()
@click.argument("aggregate_ids", nargs=-1)
@OF_LAB
@click.option("--all", "everything", is_flag=True, help="Every aggregate that has parked events.")
def replay(aggregate_ids: Sequence[str], lab_name: str | None, everything: bool) -> None:
    """Apply the parked events of AGGREGATE_IDS in order, as far as they can be applied now."""
    from labkit.projections.replay import replay as replay_one

    if bool(aggregate_ids) == everything:
        raise LabError("name the aggregates to replay, or say --all")
    with lane_of(lab_name) as (lab, lane):
        store, container, failed = _store(lab), _query_container(lab), False
        for who in [held.aggregate_id for held in lane.held(lab.hub)] if everything else aggregate_ids:
            _events(lane, lab, who)
            outcome = replay_one(lane, store, lab.hub, who, container)
            click.echo(str(outcome))
            failed |= bool(outcome.parked)
    if failed:
        raise LabError("some events stay parked; `parked show AGGREGATE_ID` tells why")


@parked.command()
@click.argument("aggregate_id")
@click.argument("place", required=False)
@OF_LAB
@click.option("--all", "everything", is_flag=True, help="All parked events of the aggregate.")
@click.option("--why", required=True, help="The reason, which is kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(aggregate_id: str, place: str | None, lab_name: str | None, everything: bool, why: str, yes: bool) -> None:
    """Take the event at PLACE (such as 0-17; the first one if left out) out of the lane without applying it."""
    if place and everything:
        raise LabError("say --all, or name one event")
    with lane_of(lab_name) as (lab, lane):
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
def lane_of(lab_name: str | None) -> Iterator[tuple[Lab, ParkingLane]]:
    """The lab and its lane, with the projector's rights. Raises: `NoSuchLab`."""
    from labkit.projections.parking import ParkingLane
    from labkit.verbs.attaching import attach_lab

    with attach_lab(lab_name) as lab:
        yield lab, ParkingLane(lab.container("parked-events", "projector"))


def _store(lab: Lab) -> ReadStore:
    from labkit.projections.read_store import ReadStore

    return ReadStore(lab.tables_url)


def _query_container(lab: Lab) -> QueryContainer | None:
    """None if there is none: what Spark projects has its tables alone."""
    from labkit.projections.query_container import QueryContainer

    container = lab.container("query-model", "projector")
    try:
        container.read()
    except CosmosResourceNotFoundError:
        return None
    return QueryContainer(container)


def _events(lane: ParkingLane, lab: Lab, aggregate_id: str) -> list[ParkedEvent]:
    events = [event for event in lane.events(aggregate_id) if event.hub == lab.hub]
    if not events:
        raise LabError(f"nothing of {_named(aggregate_id)} is parked; `parked list` tells what is")
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
