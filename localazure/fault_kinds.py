"""Which faults exist: what each is told, and what can narrow it.

Owns: the table, and the check that a fault to be armed fits it. Refuses to know: how faults are armed and strike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class UnknownFault(ValueError):
    """No fault of that kind exists in that service, or not with such values."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a value must be, in words and as a check."""

    words: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


TEXT = Told("text", lambda value: type(value) is str and value != "")
FLAG = Told("true or false", lambda value: type(value) is bool)
MILLISECONDS = Told("a number from 0", lambda value: _is_number(value) and value >= 0)
UNITS = Told("a number above 0", lambda value: _is_number(value) and value > 0)
STATUS = Told("an HTTP status from 400 to 599", lambda value: type(value) is int and 400 <= value <= 599)
WHOLE = Told("a whole number from 0", lambda value: type(value) is int and value >= 0)
WHOLE_OR_NONE = Told("a whole number from 0, or null", lambda value: value is None or WHOLE.fits(value))

_HUB = {"hub": TEXT}
_PARTITION = {"hub": TEXT, "partition": TEXT, "group": TEXT}
_TOPIC = {"topic": TEXT}
_CONTAINER = {"database": TEXT, "container": TEXT}
_OPERATION = {**_CONTAINER, "operation": TEXT}
_MOMENT = {**_OPERATION, "after_commit": FLAG}

KINDS: Mapping[str, Mapping[str, tuple[Mapping[str, Told], Mapping[str, Told]]]] = {
    "event_hubs": {
        "refuse_send": (_HUB, {"condition": TEXT}),
        "lose_acknowledgement": (_HUB, {}),
        "delay_acknowledgement": (_HUB, {"milliseconds": MILLISECONDS}),
        "deliver_twice": (_PARTITION, {}),
        "drop_connection": (_HUB, {}),
        "detach_sender": (_HUB, {"condition": TEXT}),
        "detach_receiver": (_PARTITION, {"condition": TEXT}),
        "pause_partition": (_PARTITION, {}),
        "throttle": (_HUB, {"throughput_units": UNITS}),
    },
    "event_grid": {
        "refuse_publish": (_TOPIC, {"status": STATUS}),
        "lose_acknowledgement": (_TOPIC, {}),
        "deliver_twice": (_TOPIC, {}),
    },
    "cosmos": {
        "respond": (_OPERATION, {"status": STATUS, "substatus": WHOLE, "retry_after_ms": WHOLE_OR_NONE}),
        "delay": (_OPERATION, {"milliseconds": MILLISECONDS}),
        "drop_connection": (_MOMENT, {}),
        "crash": (_MOMENT, {}),
        "enforce_throughput": (_CONTAINER, {}),
        "lag_second_region": ({}, {"milliseconds": MILLISECONDS}),
    },
}
"""Service -> kind -> the facts that can narrow it (any of them), the values it needs (all of them)."""


def check(service: str, kind: str, where: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Raises: `UnknownFault`, with a sentence that says what is known."""
    kinds = KINDS.get(service, {})
    if kind not in kinds:
        known = ", ".join(sorted(kinds)) or "none"
        raise UnknownFault(f"no fault {kind!r} in service {service!r}; it knows: {known}")
    facts, needed = kinds[kind]
    for name in where:
        if name not in facts:
            raise UnknownFault(f"{kind} is narrowed by {', '.join(sorted(facts)) or 'nothing'}, not by {name!r}")
    if set(values) != set(needed):
        raise UnknownFault(f"{kind} needs the values {', '.join(sorted(needed)) or 'none'}, not {sorted(values)}")
    for name, value in {**where, **values}.items():
        told = facts.get(name) or needed[name]
        if not told.fits(value):
            raise UnknownFault(f"{name} of {kind} must be {told.words}, not {value!r}")
