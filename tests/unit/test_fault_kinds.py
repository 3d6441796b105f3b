"""What a fault may be told is checked where it is armed: one that could never strike as meant is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from localazure.fault_book import FaultBook
from localazure.fault_kinds import UnknownFault

WRONG: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("event_hubs", "explode", {}, {}, r"no fault 'explode' in service 'event_hubs'; it knows: delay_"),
    ("blob", "delay", {}, {}, r"no fault 'delay' in service 'blob'; it knows: none"),
    ("event_hubs", "throttle", {}, {}, r"throttle needs the values throughput_units, not \[\]"),
    ("event_hubs", "throttle", {}, {"throughput_units": "2"}, r"throughput_units of throttle must be a number above 0"),
    ("event_hubs", "throttle", {}, {"throughput_units": 0}, r"above 0, not 0"),
    ("event_hubs", "throttle", {}, {"throughput_units": True}, r"above 0, not True"),
    ("event_hubs", "throttle", {}, {"throughput_units": float("nan")}, r"above 0, not nan"),
    ("event_hubs", "refuse_send", {}, {"condition": 50}, r"condition of refuse_send must be text, not 50"),
    ("event_hubs", "deliver_twice", {}, {"seconds": 1}, r"deliver_twice needs the values none, not \['seconds'\]"),
    ("event_hubs", "refuse_send", {"partition": "0"}, {"condition": "a:b"}, r"narrowed by hub, not by 'partition'"),
    ("event_hubs", "pause_partition", {"partition": 0}, {}, r"partition of pause_partition must be text, not 0"),
    ("cosmos", "delay", {}, {"milliseconds": -1}, r"milliseconds of delay must be a number from 0, not -1"),
    ("cosmos", "respond", {}, {"status": 200, "substatus": 0, "retry_after_ms": None}, r"from 400 to 599, not 200"),
    ("cosmos", "respond", {}, {"status": 429, "substatus": 0, "retry_after_ms": "9"}, r"or null, not '9'"),
    ("event_grid", "refuse_publish", {}, {"status": 200}, r"from 400 to 599, not 200"),
    ("event_grid", "deliver_twice", {"hub": "h"}, {}, r"narrowed by topic, not by 'hub'"),
    ("cosmos", "crash", {"after_commit": "yes"}, {}, r"after_commit of crash must be true or false, not 'yes'"),
]


@pytest.mark.parametrize(("service", "kind", "where", "values", "sentence"), WRONG)
def test_a_fault_that_is_told_wrong_is_refused_and_not_armed(
    service: Any, kind: str, where: dict[str, Any], values: dict[str, Any], sentence: str
) -> None:
    book = FaultBook()
    with pytest.raises(UnknownFault, match=sentence):
        book.arm(service, kind, 1, where, values)
    assert not book.any_armed


def test_hubs_and_groups_are_named_in_whatever_case_as_the_service_takes_them() -> None:
    book = FaultBook()
    book.arm("event_hubs", "pause_partition", -1, {"hub": "Orders", "partition": "0", "group": "$DEFAULT"}, {})
    facts = {"hub": "orders", "partition": "0", "group": "$default"}
    assert book.peek("event_hubs", "pause_partition", **facts)
    assert not book.peek("event_hubs", "pause_partition", **{**facts, "hub": "order"})


def test_other_facts_are_compared_as_they_are() -> None:
    book = FaultBook()
    book.arm("cosmos", "drop_connection", 1, {"container": "Items"}, {})
    assert not book.take("cosmos", "drop_connection", container="items")
    assert book.take("cosmos", "drop_connection", container="Items")
