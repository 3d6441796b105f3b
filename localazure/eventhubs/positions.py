"""Where a receiver wants to begin, read from the selector filter of its source.

Owns: the grammar `amqp.annotation.<annotation> <operator> '<value>'` with the three annotations that Event Hubs knows.
Refuses to know: what the log holds; `starts` finds the sequence number.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (message selectors);
azure-eventhub 5.15.1, `_utils.event_position_selector`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from localazure.amqp.decode import Described, Symbol
from localazure.eventhubs.refusals import ArgumentError

SELECTOR = "apache.org:selector-filter:string"
SELECTOR_CODE = 0x0000468C00000004
_TEXT = re.compile(r"\s*amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=|>|=)\s*'([^']*)'\s*")


class By(Enum):
    """What the position is counted in."""

    START = "start"
    END = "end"
    SEQUENCE = "x-opt-sequence-number"
    OFFSET = "x-opt-offset"
    TIME = "x-opt-enqueued-time"


@dataclass(frozen=True, slots=True)
class Position:
    """`value` is a sequence number, an offset, or milliseconds since 1970, as `by` says."""

    by: By
    value: int = 0
    is_inclusive: bool = False


FROM_START = Position(By.START)
FROM_END = Position(By.END)


def position_of(source: Any) -> Position:
    """The position a source asks for; without a filter, the start. Raises: `ArgumentError`."""
    if not isinstance(source, Described) or not isinstance(source.value, list) or len(source.value) < 8:
        return FROM_START
    filters = source.value[7]
    if not isinstance(filters, dict):
        return FROM_START
    for name, wanted in filters.items():
        descriptor = wanted.descriptor if isinstance(wanted, Described) else None
        if name == SELECTOR or descriptor in (SELECTOR, SELECTOR_CODE):
            text = wanted.value if isinstance(wanted, Described) else wanted
            if not isinstance(text, str) or isinstance(text, Symbol):
                raise ArgumentError("the selector filter must be a string")
            return parse_selector(text)
    return FROM_START


def parse_selector(text: str) -> Position:
    """Raises: `ArgumentError` for any other text than the forms above."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ArgumentError(f"the filter {text!r} is not understood")
    annotation, operator, value = match.groups()
    inclusive = operator != ">"
    try:
        by = By(annotation)
    except ValueError:
        raise ArgumentError(f"the filter {text!r} names no known annotation") from None
    if by in (By.OFFSET, By.SEQUENCE) and value == "@latest":
        return FROM_END
    try:
        number = int(value)
    except ValueError:
        raise ArgumentError(f"{value!r} is no {by.value}") from None
    if by in (By.OFFSET, By.SEQUENCE) and number == -1:
        return FROM_START
    return Position(by, number, inclusive)
