"""What can be done to one document, as steps that run inside the writer: a request is one, a transactional batch many.

Owns: the meaning of each operation, its status and its charge. Refuses to know: HTTP, commits.

How: building a step checks everything that can be checked outside the writer; running it takes a `Turn`. A step that is
refused raises, and whoever runs it undoes the turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localazure.cosmos import charges, writes
from localazure.cosmos.documents import Address, Conditions, Draft, Row
from localazure.cosmos.writes import Turn

CREATED, OK, NO_CONTENT, NOT_MODIFIED = 201, 200, 204, 304


@dataclass(frozen=True, slots=True)
class Done:
    """What a step came to. `row` is the version now stored or read; a delete has none."""

    status: int
    row: Row | None
    charge: float


Step = Callable[[Turn], Done]


def create(draft: Draft) -> Step:
    def step(turn: Turn) -> Done:
        return _written(CREATED, writes.create(turn, draft))

    return step


def upsert(draft: Draft, conditions: Conditions) -> Step:
    def step(turn: Turn) -> Done:
        row, created = writes.upsert(turn, draft, conditions)
        return _written(CREATED if created else OK, row)

    return step


def replace(id: str, draft: Draft, conditions: Conditions) -> Step:
    def step(turn: Turn) -> Done:
        return _written(OK, writes.replace(turn, id, draft, conditions))

    return step


def delete(address: Address, conditions: Conditions) -> Step:
    def step(turn: Turn) -> Done:
        row = writes.delete(turn, address, conditions)
        return Done(NO_CONTENT, None, charges.point_write(len(row.body)))

    return step


def read(address: Address, conditions: Conditions) -> Step:
    """For batches, where it sees what earlier operations wrote."""

    def step(turn: Turn) -> Done:
        row = writes.get(turn, address)
        return read_outcome(row, conditions, None)

    return step


def read_outcome(row: Row, conditions: Conditions, consistency: str | None) -> Done:
    charge = charges.point_read(len(row.body), consistency)
    if conditions.if_none_match in ("*", row.etag):
        return Done(NOT_MODIFIED, None, charge)
    return Done(OK, row, charge)


def _written(status: int, row: Row) -> Done:
    return Done(status, row, charges.point_write(len(row.body)))
