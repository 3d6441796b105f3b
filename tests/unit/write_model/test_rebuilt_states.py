"""Whatever is asked, in whatever order, how often ever: the stored state is the fold of the stored events.

The handler runs on a container in memory that keeps JSON, as Cosmos DB does, answers with a request charge of its own
each time, and sometimes lets another writer be faster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceNotFoundError
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import SteppingClock
from labkit.events.envelope import from_document
from labkit.write_model.handler import ATTEMPTS, Accepted, Bill, CommandHandler, Context, load, rebuilt
from labkit.write_model.orders import (
    CancelOrder,
    Command,
    CreateOrder,
    Item,
    PayOrder,
    RefusalCode,
    RegisterCustomer,
    ShipOrder,
    UpdateOrder,
)

NAMES = ("order-20260105-1", "order-20260105-2", "customer-1")


@dataclass
class Memory:
    """What the handler needs of a container. Charges go to the hook: the SDK's copy of headers is not for threads.

    `interruptions`: what others do between a load and the batch after it."""

    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    charged_ru: float = 0.0
    writes: int = 0
    interruptions: list[Callable[[], object]] = field(default_factory=list)

    def charge(self) -> dict[str, str]:
        self.charged_ru += 1.25
        return {"x-ms-request-charge": "1.25"}

    def read_item(self, item: str, partition_key: str, response_hook: Callable[..., None]) -> dict[str, Any]:
        text = self.kept.get((partition_key, item))
        if item == "state" and self.interruptions:
            self.interruptions.pop()()
        if text is None:
            error = CosmosResourceNotFoundError(status_code=404, message="not there")
            error.headers = self.charge()
            raise error
        document: dict[str, Any] = json.loads(text)
        response_hook(self.charge(), document)
        return document

    def execute_item_batch(
        self, batch_operations: list[tuple[Any, ...]], partition_key: str, response_hook: Callable[..., None]
    ) -> None:
        after = dict(self.kept)
        for operation, arguments, *options in batch_operations:
            document = arguments[-1]
            place = (partition_key, document["id"])
            stale = bool(options) and json.loads(after[place])["_etag"] != options[0]["if_match_etag"]
            if stale or (operation == "create" and place in after):
                raise CosmosBatchOperationError(
                    error_index=0,
                    headers=self.charge(),
                    status_code=412 if stale else 409,
                    message="no",
                    operation_responses=[],
                )
            self.writes += 1
            after[place] = json.dumps({**document, "_etag": f'"{self.writes}"'})
        self.kept = after
        response_hook(self.charge(), [])

    def events(self, aggregate_id: str) -> list[Any]:
        documents = [json.loads(text) for (owner, _), text in self.kept.items() if owner == aggregate_id]
        found = [from_document(document) for document in documents if document["kind"] == "event"]
        return sorted(found, key=lambda event: event.version)


words = st.text(min_size=1, max_size=5)
prices = st.decimals(Decimal(0), Decimal(1_000_000), places=2)
items = st.lists(st.builds(Item, words, st.integers(1, 10_000), prices), min_size=1, max_size=3)
orders = st.sampled_from(NAMES[:2])
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateOrder, orders, st.just("customer-1"), items.map(tuple)),
    st.builds(UpdateOrder, orders, items.map(tuple)),
    st.builds(PayOrder, orders),
    st.builds(ShipOrder, orders),
    st.builds(CancelOrder, orders, st.text(max_size=5)),
    st.builds(RegisterCustomer, st.just("customer-1"), words),
)
wishes = st.tuples(commands, st.sampled_from([f"key-{number}" for number in range(8)]))


@given(st.lists(st.tuples(wishes, st.lists(wishes, max_size=2)), max_size=15))
def test_the_stored_state_is_always_the_fold_of_the_stored_events(
    asked: list[tuple[tuple[Command, str], list[tuple[Command, str]]]],
) -> None:
    memory: Any = Memory()
    handler = CommandHandler(memory, SteppingClock())
    for (command, key), rivals in asked:
        memory.interruptions = [lambda rival=rival: handler.handle(rival[0], Context(rival[1])) for rival in rivals]
        handler.handle(command, Context(key))
        memory.interruptions.clear()
        for name in NAMES:
            events, loaded = memory.events(name), load(memory, name, Bill())
            assert rebuilt(events) == loaded.state
            assert [event.version for event in events] == list(range(1, loaded.version + 1))
            assert len({event.causation_id for event in events}) == len(events)


@given(st.lists(st.tuples(wishes, st.integers(0, 6)), max_size=15))
def test_every_outcome_tells_its_charge_and_its_attempts_which_are_bounded(
    asked: list[tuple[tuple[Command, str], int]],
) -> None:
    memory: Any = Memory()
    handler = CommandHandler(memory, SteppingClock())

    def touch() -> None:
        for place, text in memory.kept.items():
            memory.writes += 1
            memory.kept[place] = json.dumps({**json.loads(text), "_etag": f'"{memory.writes}"'})

    for (command, key), contention in asked:
        memory.interruptions = [touch] * contention
        before_ru = memory.charged_ru
        outcome = handler.handle(command, Context(key, correlation_id="visit-1", causation_id="click-1"))
        memory.interruptions.clear()
        assert outcome.charge_ru == memory.charged_ru - before_ru
        if isinstance(outcome, Accepted):
            assert 1 <= outcome.attempts <= ATTEMPTS
            event = memory.events(command.aggregate_id)[outcome.version - 1]
            assert (event.event_id, event.correlation_id, event.causation_id) == (
                outcome.event_id,
                "visit-1",
                "click-1",
            )
        elif outcome.refusal.code == RefusalCode.CONTENDED:
            assert contention >= ATTEMPTS
