"""One command, one transaction: load, decide, and write state, event and receipt together.

Container `write-model`, partition key `/aggregateId`. A first-time, uncontended command costs one point read and one
transactional batch: the state document (created, or replaced under its etag), the event document (outbox and event
store in one) and the receipt of the idempotency key. A refusal writes nothing, not even a receipt.

The receipt is read only when it can matter: `decide` refuses (perhaps because this very command succeeded before), or
the batch meets a conflict. Same key and payload: the first result again. Same key, other payload: refused. No receipt:
somebody else was faster, and the command is tried again from the load, a bounded number of times.

A caller may say which version it has seen; if another one is there, nothing is decided. That refusal too looks for a
receipt first: after a lost answer, the version that moved on may be this command's own work.

Errors of the service are raised as they come. Whether the batch was written is then unknown; send the same command with
the same key again: that is what the key is for.
Source: learn.microsoft.com/azure/architecture/databases/guide/transactional-out-box-cosmos
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from labkit import tracing
from labkit.clock import Clock
from labkit.documents import document_named, queried
from labkit.events import ids
from labkit.events.envelope import AGGREGATE_TYPES, CATALOGUE, EventEnvelope, from_document, to_document
from labkit.events.ids import Token
from labkit.write_model.orders import (
    Command,
    Event,
    Refusal,
    RefusalCode,
    State,
    decide,
    event_from,
    evolve,
    is_text,
    state_from,
)
from labkit.write_model.receipts import KEY, RECEIPT_TTL_SECONDS, payload_hash, receipt_id

ATTEMPTS = 5

Transaction = list[tuple[Any, ...]]
"""The operations of one transactional batch, as the SDK takes them."""

CONFLICTS = (409, 412, 449)
"""Exists already, stale etag, lost a race inside the service: none of them wrote anything."""

LONGEST_OF_CONTEXT = 500
"""Characters of each text in a `Context`: they travel in every event."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, under which key, and in which story. Raises: `ValueError` for a text that no event could carry."""

    idempotency_key: str
    correlation_id: str = ""
    """The story this belongs to; the key if the story begins here."""
    causation_id: str = ""
    """The message that led to this command; the key, which names the command itself, if a person asked."""
    user_id: str = "anonymous"
    source: str = "command-side"
    traceparent: str = ""
    expected_version: int | None = None
    """The version that the caller has seen and means to change; None: whichever is there."""

    def __post_init__(self) -> None:
        for name in ("correlation_id", "causation_id", "user_id", "source", "traceparent"):
            if not is_text(getattr(self, name), LONGEST_OF_CONTEXT):
                raise ValueError(f"{name} is text of at most {LONGEST_OF_CONTEXT} characters")

    def metadata(self) -> dict[str, str]:
        told = {"userId": self.user_id, "source": self.source, "traceparent": self.traceparent}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command happened: now, or at the first time of asking (`repeated`)."""

    aggregate_id: str
    version: int
    event_id: str
    attempts: int
    charge_ru: float
    repeated: bool = False

    @property
    def token(self) -> Token:
        return ids.token(self.aggregate_id, self.version)


@dataclass(frozen=True, slots=True)
class Refused:
    """The command did not happen, and asking again will not change that until the state does."""

    refusal: Refusal
    charge_ru: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """The state document, as far as a decision needs it. An aggregate that is not there yet has version 0."""

    state: State | None
    version: int
    etag: str | None


@dataclass(slots=True)
class Bill:
    """What one command has used so far."""

    attempts: int = 0
    charge_ru: float = 0.0

    def add(self, headers: Mapping[str, Any] | None, _answer: object = None) -> None:
        """Add one answer's request charge. A `response_hook` of the SDK.

        Not `get_response_headers()`: it copies headers that another thread's request may be writing to, and then raises
        `RuntimeError` (azure-cosmos 4.17, `_retry_utility.Execute`: the client keeps the newest answer's headers).
        """
        self.charge_ru += float((headers or {}).get("x-ms-request-charge", 0.0))


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Carries out commands on one write model. Threads may share it."""

    write_model: ContainerProxy
    clock: Clock
    attempts: int = ATTEMPTS

    def handle(self, command: Command, context: Context) -> Accepted | Refused:
        with tracing.span(type(command).__name__, context.traceparent) as here:
            told = replace(context, traceparent=here) if tracing.is_on() else context
            return handle(self.write_model, self.clock, command, told, self.attempts)


def handle(
    write_model: ContainerProxy, clock: Clock, command: Command, context: Context, attempts: int = ATTEMPTS
) -> Accepted | Refused:
    """Carry out the command once, however often it is asked under the same key.

    Raises: the SDK's errors, when the service cannot answer; ask again with the same key then.
    """
    bill = Bill()
    if KEY.fullmatch(context.idempotency_key) is None:
        return Refused(Refusal(RefusalCode.INVALID_KEY, "An idempotency key is 1 to 200 plain characters."), 0.0)
    while bill.attempts < attempts:
        bill.attempts += 1
        now = clock.now()
        loaded = load(write_model, command.aggregate_id, bill)
        event = stale(loaded, context) or decide(loaded.state, command, now)
        if isinstance(event, Refusal):
            return first_answer(write_model, command, context, bill) or Refused(event, bill.charge_ru)
        envelope = enclose(event, command.aggregate_id, loaded.version + 1, now, context)
        if write(write_model, command.aggregate_id, transaction(loaded, event, envelope, command, context), bill):
            return Accepted(envelope.aggregate_id, envelope.version, envelope.event_id, bill.attempts, bill.charge_ru)
        answer = first_answer(write_model, command, context, bill)
        if answer is not None:
            return answer
    sentence = f"Others changed {command.aggregate_id} {attempts} times meanwhile; ask again."
    return Refused(Refusal(RefusalCode.CONTENDED, sentence), bill.charge_ru)


def load(write_model: ContainerProxy, aggregate_id: str, bill: Bill) -> Loaded:
    """The state to decide on, with the etag that guards its replacement: one point read."""
    document = document_named(write_model, "state", aggregate_id, bill.add)
    if document is None:
        return Loaded(None, 0, None)
    state = state_from(document["aggregateType"], document["state"])
    return Loaded(state, document["version"], document["_etag"])


def stale(loaded: Loaded, context: Context) -> Refusal | None:
    """A refusal if the caller has seen another version than the one there; none there is `decide`'s affair."""
    if context.expected_version is None or loaded.version in (0, context.expected_version):
        return None
    sentence = f"It is at version {loaded.version} now, not at version {context.expected_version}; look again first."
    return Refusal(RefusalCode.STALE, sentence)


def write(write_model: ContainerProxy, aggregate_id: str, operations: Transaction, bill: Bill) -> bool:
    """Whether the whole batch is on disk; False if another writer was faster, and nothing of it is."""
    try:
        with tracing.span("transactional batch"):
            write_model.execute_item_batch(operations, partition_key=aggregate_id, response_hook=bill.add)
    except (CosmosBatchOperationError, CosmosHttpResponseError) as error:
        if error.status_code not in CONFLICTS:
            raise
        bill.add(error.headers)
        return False
    return True


def first_answer(
    write_model: ContainerProxy, command: Command, context: Context, bill: Bill
) -> Accepted | Refused | None:
    """What this idempotency key was answered at the first time of asking; None if it is new."""
    name = receipt_id(context.idempotency_key)
    receipt = document_named(write_model, name, command.aggregate_id, bill.add)
    if receipt is None:
        return None
    if receipt["payloadHash"] != payload_hash(command):
        sentence = f"The key {context.idempotency_key} was used for another command; a new command needs a new key."
        return Refused(Refusal(RefusalCode.KEY_REUSED, sentence), bill.charge_ru)
    first = receipt["result"]
    return Accepted(
        command.aggregate_id, first["version"], first["eventId"], bill.attempts, bill.charge_ru, repeated=True
    )


def transaction(
    loaded: Loaded, event: Event, envelope: EventEnvelope, command: Command, context: Context
) -> Transaction:
    """State, event and receipt: the operations of one batch, all in the aggregate's logical partition."""
    state = evolve(loaded.state, event)
    state_document = {
        "id": "state",
        "kind": "state",
        "aggregateId": envelope.aggregate_id,
        "aggregateType": envelope.aggregate_type,
        "version": envelope.version,
        "state": msgspec.to_builtins(state),
    }
    receipt = {
        "id": receipt_id(context.idempotency_key),
        "kind": "receipt",
        "aggregateId": envelope.aggregate_id,
        "payloadHash": payload_hash(command),
        "result": {"version": envelope.version, "eventId": envelope.event_id},
        "ttl": RECEIPT_TTL_SECONDS,
    }
    if loaded.etag is None:
        write_state: tuple[Any, ...] = ("create", (state_document,))
    else:
        write_state = ("replace", ("state", state_document), {"if_match_etag": loaded.etag})
    return [write_state, ("create", (to_document(envelope),)), ("create", (receipt,))]


def enclose(event: Event, aggregate_id: str, version: int, now: datetime, context: Context) -> EventEnvelope:
    """The event in its envelope; which command caused it, and in which story, comes from the context."""
    event_type = type(event).__name__
    return EventEnvelope(
        event_id=ids.event_id(aggregate_id, version),
        event_type=event_type,
        aggregate_id=aggregate_id,
        aggregate_type=AGGREGATE_TYPES[event_type],
        version=version,
        timestamp=now,
        correlation_id=context.correlation_id or context.idempotency_key,
        causation_id=context.causation_id or context.idempotency_key,
        data=msgspec.to_builtins(event),
        metadata=context.metadata(),
        schema_version=CATALOGUE[event_type],
    )


def history(write_model: ContainerProxy, aggregate_id: str) -> list[EventEnvelope]:
    """The aggregate's events from the event store, oldest first."""
    events = "SELECT * FROM c WHERE c.kind = 'event' ORDER BY c.version"
    return [from_document(document) for document in queried(write_model, events, aggregate_id)]


def rebuilt(events: list[EventEnvelope]) -> State | None:
    """The state that these events fold to."""
    state: State | None = None
    return reduce(evolve, (event_from(event.event_type, event.data) for event in events), state)
