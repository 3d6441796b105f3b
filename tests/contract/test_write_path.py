"""Commands through azure-cosmos against the embedded Azure: one transaction, one effect, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model import handler as handlers
from labkit.write_model.handler import Accepted, CommandHandler, Context, Refused
from labkit.write_model.orders import (
    CancelOrder,
    CreateOrder,
    Item,
    PayOrder,
    RefusalCode,
    RegisterCustomer,
    ShipOrder,
    UpdateOrder,
)
from localazure.handle import LocalAzure

ID = "order-20260105-0001"
CREATE = CreateOrder(ID, "customer-1", (Item("tea", 2, Decimal("12.50")),))
LESS = UpdateOrder(ID, (Item("tea", 1, Decimal("12.50")),))
MORE = UpdateOrder(ID, (Item("tea", 3, Decimal("12.50")),))


def accepted(outcome: Accepted | Refused) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refusal_code(outcome: Accepted | Refused) -> RefusalCode:
    assert isinstance(outcome, Refused), outcome
    return outcome.refusal.code


def documents(write_model: ContainerProxy, aggregate_id: str = ID) -> list[dict[str, Any]]:
    return list(write_model.query_items("SELECT * FROM c", partition_key=aggregate_id))


def kinds(write_model: ContainerProxy, aggregate_id: str = ID) -> list[str]:
    return sorted(document["kind"] for document in documents(write_model, aggregate_id))


def assert_state_is_the_fold_of_its_events(write_model: ContainerProxy, aggregate_id: str = ID) -> None:
    loaded = handlers.load(write_model, aggregate_id, handlers.Bill())
    events = handlers.history(write_model, aggregate_id)
    assert [event.version for event in events] == list(range(1, loaded.version + 1))
    assert handlers.rebuilt(events) == loaded.state


def test_a_command_writes_state_event_and_receipt_together(
    handler: CommandHandler, write_model: ContainerProxy
) -> None:
    outcome = accepted(handler.handle(CREATE, Context("k-1", user_id="ada")))
    assert (outcome.version, outcome.token, outcome.attempts, outcome.repeated) == (1, f"{ID}@1", 1, False)
    assert kinds(write_model) == ["event", "receipt", "state"]
    (event,) = handlers.history(write_model, ID)
    assert event.event_id == outcome.event_id
    assert (event.correlation_id, event.causation_id, event.metadata["userId"]) == ("k-1", "k-1", "ada")
    receipt = write_model.read_item("receipt:k-1", partition_key=ID)
    assert receipt["ttl"] == 30 * 24 * 3600
    assert_state_is_the_fold_of_its_events(write_model)


def test_a_first_time_uncontended_command_costs_one_point_read_and_one_batch(
    azure: LocalAzure, handler: CommandHandler
) -> None:
    accepted(handler.handle(RegisterCustomer("customer-1", "Ada"), Context("k-0")))
    before = azure.counters()["cosmos"]
    outcome = accepted(handler.handle(CREATE, Context("k-1")))
    after = azure.counters()["cosmos"]
    used = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert {name: count for name, count in used.items() if count} == {"read": 1, "batch": 1}
    assert outcome.charge_ru > 3 * 4.95


def test_a_whole_life_of_an_order_folds_to_its_state(handler: CommandHandler, write_model: ContainerProxy) -> None:
    for number, command in enumerate([CREATE, MORE, LESS, PayOrder(ID), ShipOrder(ID)], start=1):
        assert accepted(handler.handle(command, Context(f"k-{number}"))).version == number
        assert_state_is_the_fold_of_its_events(write_model)
    assert refusal_code(handler.handle(CancelOrder(ID), Context("k-6"))) == RefusalCode.WRONG_STATUS
    assert len(handlers.history(write_model, ID)) == 5


def test_a_refusal_writes_nothing_and_leaves_no_receipt(handler: CommandHandler, write_model: ContainerProxy) -> None:
    assert refusal_code(handler.handle(PayOrder(ID), Context("k-1"))) == RefusalCode.NOT_FOUND
    assert documents(write_model) == []
    accepted(handler.handle(CREATE, Context("k-1")))


@pytest.mark.parametrize("command", [CREATE, MORE, PayOrder(ID)])
def test_the_same_key_twice_gets_the_first_answer_and_has_one_effect(
    handler: CommandHandler, write_model: ContainerProxy, command: CreateOrder | UpdateOrder | PayOrder
) -> None:
    if command is not CREATE:
        accepted(handler.handle(CREATE, Context("k-0")))
    first = accepted(handler.handle(command, Context("k-1")))
    events = len(handlers.history(write_model, ID))
    again = accepted(handler.handle(command, Context("k-1")))
    assert (again.version, again.event_id, again.repeated) == (first.version, first.event_id, True)
    assert len(handlers.history(write_model, ID)) == events
    assert_state_is_the_fold_of_its_events(write_model)


def test_the_first_answer_is_given_even_after_the_order_has_moved_on_and_after_midnight(
    lab: Lab, handler: CommandHandler
) -> None:
    accepted(handler.handle(CREATE, Context("k-1")))
    accepted(handler.handle(PayOrder(ID), Context("k-2")))
    accepted(handler.handle(ShipOrder(ID), Context("k-3")))
    lab.clock.advance(timedelta(days=3))
    again = accepted(handler.handle(CREATE, Context("k-1")))
    assert (again.version, again.repeated) == (1, True)


def test_the_same_key_with_another_payload_is_refused(handler: CommandHandler, write_model: ContainerProxy) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    accepted(handler.handle(LESS, Context("k-1")))
    assert refusal_code(handler.handle(MORE, Context("k-1"))) == RefusalCode.KEY_REUSED
    assert refusal_code(handler.handle(ShipOrder(ID), Context("k-1"))) == RefusalCode.KEY_REUSED
    assert len(handlers.history(write_model, ID)) == 2


@pytest.mark.parametrize("key", ["", "a/b", "a\\b", "a?b", "a#b", "ä", "k" * 201])
def test_a_key_that_cannot_name_a_document_is_refused(handler: CommandHandler, key: str) -> None:
    assert refusal_code(handler.handle(CREATE, Context(key))) == RefusalCode.INVALID_KEY


class Interrupted:
    """A container on which somebody else gets a word in after each of the first reads of the state."""

    def __init__(self, container: ContainerProxy, interruptions: list[Callable[[], object]]) -> None:
        self._container = container
        self._interruptions = interruptions

    def read_item(self, item: str, **more: Any) -> Any:
        try:
            return self._container.read_item(item, **more)
        finally:
            if item == "state" and self._interruptions:
                self._interruptions.pop(0)()

    def execute_item_batch(self, operations: Any, **more: Any) -> Any:
        return self._container.execute_item_batch(operations, **more)


def test_two_writers_collide_and_the_later_one_decides_again_on_the_new_state(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    contended: Any = Interrupted(write_model, [lambda: handler.handle(MORE, Context("k-other"))])
    outcome = accepted(CommandHandler(contended, lab.clock).handle(LESS, Context("k-mine")))
    assert (outcome.version, outcome.attempts) == (3, 2)
    assert_state_is_the_fold_of_its_events(write_model)


def test_two_writers_create_the_same_order_and_one_is_told_that_it_exists(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    contended: Any = Interrupted(write_model, [lambda: handler.handle(CREATE, Context("k-other"))])
    outcome = CommandHandler(contended, lab.clock).handle(CREATE, Context("k-mine"))
    assert refusal_code(outcome) == RefusalCode.ALREADY_EXISTS
    assert_state_is_the_fold_of_its_events(write_model)


def test_a_payment_that_loses_the_race_against_a_cancellation_is_refused_for_the_new_state(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    contended: Any = Interrupted(write_model, [lambda: handler.handle(CancelOrder(ID), Context("k-other"))])
    outcome = CommandHandler(contended, lab.clock).handle(PayOrder(ID), Context("k-mine"))
    assert refusal_code(outcome) == RefusalCode.WRONG_STATUS
    assert handlers.history(write_model, ID)[-1].event_type == "OrderCancelled"


def test_a_state_that_anything_else_has_touched_is_loaded_again_not_overwritten(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    def touch() -> None:
        document = write_model.read_item("state", partition_key=ID)
        write_model.replace_item("state", dict(document) | {"note": "repaired by hand"})

    accepted(handler.handle(CREATE, Context("k-0")))
    contended: Any = Interrupted(write_model, [touch])
    outcome = accepted(CommandHandler(contended, lab.clock).handle(LESS, Context("k-mine")))
    assert (outcome.version, outcome.attempts) == (2, 2)


def test_who_has_seen_another_version_is_refused_and_nothing_is_decided(
    handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    accepted(handler.handle(LESS, Context("k-1", expected_version=1)))
    outcome = handler.handle(PayOrder(ID), Context("k-2", expected_version=1))
    assert refusal_code(outcome) == RefusalCode.STALE
    assert len(handlers.history(write_model, ID)) == 2
    assert accepted(handler.handle(PayOrder(ID), Context("k-2", expected_version=2))).version == 3


def test_a_repeated_command_is_not_stale_for_its_own_first_effect(handler: CommandHandler) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    seen = Context("k-1", expected_version=1)
    assert (accepted(handler.handle(LESS, seen)).version, accepted(handler.handle(LESS, seen)).repeated) == (2, True)


def test_who_loses_the_race_after_the_check_of_its_version_is_refused_on_the_second_look(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    contended: Any = Interrupted(write_model, [lambda: handler.handle(MORE, Context("k-other"))])
    outcome = CommandHandler(contended, lab.clock).handle(LESS, Context("k-mine", expected_version=1))
    assert refusal_code(outcome) == RefusalCode.STALE
    assert len(handlers.history(write_model, ID)) == 2


def test_contention_without_end_is_refused_after_a_bounded_number_of_attempts(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    others = [lambda n=n: handler.handle((MORE, LESS)[n % 2], Context(f"k-other-{n}")) for n in range(10)]
    contended: Any = Interrupted(write_model, others)
    outcome = CommandHandler(contended, lab.clock, attempts=3).handle(LESS, Context("k-mine"))
    assert refusal_code(outcome) == RefusalCode.CONTENDED
    assert len(others) == 7
    assert_state_is_the_fold_of_its_events(write_model)


def test_the_same_command_from_two_impatient_clients_has_one_effect(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    accepted(handler.handle(CREATE, Context("k-0")))
    contended: Any = Interrupted(write_model, [lambda: handler.handle(LESS, Context("k-1"))])
    outcome = accepted(CommandHandler(contended, lab.clock).handle(LESS, Context("k-1")))
    assert (outcome.version, outcome.repeated) == (2, True)
    assert len(handlers.history(write_model, ID)) == 2


@pytest.mark.parametrize("after_commit", [False, True])
def test_an_answer_lost_on_the_way_is_given_when_the_command_is_sent_again(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy, after_commit: bool
) -> None:
    fault = lab.faults.cosmos.drop_connection(after_commit=after_commit, operation="batch", times=20)
    with pytest.raises(AzureError):
        handler.handle(CREATE, Context("k-1"))
    assert fault.clear() >= 1
    assert kinds(write_model) == (["event", "receipt", "state"] if after_commit else [])
    outcome = accepted(handler.handle(CREATE, Context("k-1")))
    assert (outcome.version, outcome.repeated) == (1, after_commit)
    assert kinds(write_model) == ["event", "receipt", "state"]


def test_a_batch_that_the_service_refuses_leaves_nothing_behind(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy
) -> None:
    fault = lab.faults.cosmos.respond(500, operation="batch", times=20)
    with pytest.raises(CosmosHttpResponseError) as refused:
        handler.handle(CREATE, Context("k-1"))
    assert refused.value.status_code == 500
    fault.clear()
    assert documents(write_model) == []


@pytest.mark.parametrize("command", [CREATE, PayOrder(ID)])
def test_a_replica_that_is_behind_is_no_sign_that_an_order_is_missing(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy, command: CreateOrder | PayOrder
) -> None:
    fault = lab.faults.cosmos.respond(404, substatus=1002, operation="read", times=20)
    with pytest.raises(CosmosHttpResponseError) as refused:
        handler.handle(command, Context("k-1"))
    assert (refused.value.status_code, refused.value.sub_status) == (404, 1002)
    assert fault.clear() >= 1
    assert documents(write_model) == []


def test_a_receipt_that_a_replica_does_not_know_yet_is_no_sign_that_the_key_is_new(
    lab: Lab, handler: CommandHandler, write_model: ContainerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(handler.handle(CREATE, Context("k-1")))
    read_item = write_model.read_item

    def behind(item: str, **more: Any) -> Any:
        if item.startswith("receipt:"):
            lab.faults.cosmos.respond(404, substatus=1002, operation="read", times=20)
        return read_item(item, **more)

    with monkeypatch.context() as patch:
        patch.setattr(write_model, "read_item", behind)
        with pytest.raises(CosmosHttpResponseError) as refused:
            handler.handle(CREATE, Context("k-1"))
    assert refused.value.sub_status == 1002
    lab.faults.clear()
    assert accepted(handler.handle(CREATE, Context("k-1"))).repeated


def test_a_container_that_is_missing_is_no_missing_order(lab: Lab, handler: CommandHandler) -> None:
    lab.database("command").delete_container("write-model")
    with pytest.raises(CosmosHttpResponseError) as refused:
        handler.handle(PayOrder(ID), Context("k-1"))
    assert (refused.value.status_code, refused.value.sub_status) == (404, 1003)


def test_nor_is_it_for_a_client_that_has_not_seen_the_container_before(lab: Lab) -> None:
    new = CommandHandler(lab.container("write-model", "relay"), lab.clock)
    lab.database("command").delete_container("write-model")
    for command in (CREATE, PayOrder(ID)):
        with pytest.raises(CosmosResourceNotFoundError, match="the container does not exist"):
            new.handle(command, Context("k-1"))


def test_a_race_inside_the_service_is_tried_again(lab: Lab, handler: CommandHandler) -> None:
    fault = lab.faults.cosmos.respond(449, operation="batch", times=1)
    outcome = accepted(handler.handle(CREATE, Context("k-1")))
    assert (outcome.attempts, fault.clear()) == (2, 1)


def test_what_a_lab_made_is_gone_when_it_is_closed(azure: LocalAzure, tmp_path: Path) -> None:
    opened = open_lab("00", target=embedded(azure, tmp_path))
    hub, database = opened.hub, opened.database("command").id
    assert hub in azure.event_hub_names()
    opened.close()
    opened.close()
    assert hub not in azure.event_hub_names()
    with open_lab("00", target=embedded(azure, tmp_path)) as other:
        names = [found["id"] for found in other.database("command").client_connection.ReadDatabases()]
    assert database not in names
