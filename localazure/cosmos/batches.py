"""Transactional batches: up to 100 operations on one logical partition, all or none.

Owns: a batch's shape and limits, its results. Refuses to know: HTTP, what each operation does (`steps`).

How: the operations become steps before the writer sees them; one turn runs them in order, so all documents written
share one log sequence number. When a step is refused the batch raises `BatchRefused`, which undoes everything and
carries the results: the refusal's status for that operation, 424 for all others.

Source: learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch; the wire form as azure-cosmos writes and reads
it
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from localazure.cosmos import steps
from localazure.cosmos.documents import Conditions
from localazure.cosmos.drafts import address_of, check_id, draft_of
from localazure.cosmos.errors import BadRequest, CosmosError, TooLarge
from localazure.cosmos.partitioning import KeyValues
from localazure.cosmos.patching import patch
from localazure.cosmos.resources import Container
from localazure.cosmos.steps import Done, Step
from localazure.cosmos.writes import Turn

MOST_OPERATIONS = 100
MOST_BYTES = 2 * 1024 * 1024
FAILED_DEPENDENCY = 424


class BatchRefused(Exception):
    """One operation was refused, so nothing was kept: each operation's status and charge."""

    def __init__(self, results: Sequence[tuple[int, float]], substatus: int) -> None:
        super().__init__("a transactional batch was refused")
        self.results = results
        self.substatus = substatus


def steps_of(container: Container, key: KeyValues | None, operations: Any) -> list[Step]:
    """Raises: `BadRequest` for a batch that is empty, too long or malformed."""
    if not isinstance(operations, list):
        raise BadRequest("The batch is not a list of operations.")
    if not operations:
        raise BadRequest("Batch request has no operations.")
    if len(operations) > MOST_OPERATIONS:
        raise BadRequest(f"Batch request has more operations than what is supported: {MOST_OPERATIONS}.")
    if key is None:
        raise BadRequest("PartitionKey value must be supplied for this operation.")
    container.key.check_full(key)
    return [_deferring(container, key, operation) for operation in operations]


def too_large(size_bytes: int) -> TooLarge:
    return TooLarge(f"Request size is too large: the batch has {size_bytes} bytes, the most are {MOST_BYTES}.")


def run(turn: Turn, batch: Sequence[Step]) -> list[Done]:
    """Raises: `BatchRefused`."""
    done: list[Done] = []
    for index, step in enumerate(batch):
        try:
            done.append(step(turn))
        except CosmosError as refusal:
            results = [(FAILED_DEPENDENCY, 0.0)] * len(batch)
            results[index] = (refusal.status, refusal.charge)
            raise BatchRefused(results, refusal.substatus) from refusal
    return done


def results_text(done: Sequence[Done]) -> bytes:
    """The JSON answer of a batch that was kept; documents go in as they are stored."""
    entries = []
    for entry in done:
        fields = f'{{"statusCode":{entry.status},"requestCharge":{entry.charge}'.encode()
        if entry.row is not None:
            fields += b',"eTag":' + json.dumps(entry.row.etag).encode() + b',"resourceBody":' + entry.row.body
        entries.append(fields + b"}")
    return b"[" + b",".join(entries) + b"]"


def refused_text(refusal: BatchRefused) -> bytes:
    entries = []
    for status, charge in refusal.results:
        entry: dict[str, Any] = {"statusCode": status, "requestCharge": charge}
        if status != FAILED_DEPENDENCY and refusal.substatus:
            entry["subStatusCode"] = refusal.substatus
        entries.append(entry)
    return json.dumps(entries, separators=(",", ":")).encode()


def _deferring(container: Container, key: KeyValues, operation: Any) -> Step:
    """The operation as a step; what is wrong with its document is its own refusal, not the whole batch's."""
    if not isinstance(operation, dict):
        raise BadRequest("A batch operation is not an object.")
    try:
        return _step_of(container, key, operation)
    except CosmosError as refusal:
        return _refusing(refusal)


def _refusing(refusal: CosmosError) -> Step:
    def step(_: Turn) -> Done:
        raise refusal

    return step


def _step_of(container: Container, key: KeyValues, operation: Mapping[str, Any]) -> Step:
    conditions = Conditions(operation.get("ifMatch"), operation.get("ifNoneMatch"))
    kind, body = operation.get("operationType"), operation.get("resourceBody")
    if kind == "Create":
        return steps.create(draft_of(container, key, body))
    if kind == "Upsert":
        return steps.upsert(draft_of(container, key, body), conditions)
    id = check_id(operation.get("id"))
    if kind == "Replace":
        return steps.replace(id, draft_of(container, key, body), conditions)
    if kind == "Patch":
        return patch(container, key, id, body, conditions)
    if kind == "Read":
        return steps.read(address_of(container.key, key, id), conditions)
    if kind == "Delete":
        return steps.delete(address_of(container.key, key, id), conditions)
    raise BadRequest(f"The batch operation {kind!r} is not one of Create, Upsert, Replace, Patch, Read, Delete.")
