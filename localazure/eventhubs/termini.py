"""What an attach says beyond its address: owner level, wanted capabilities.

Owns: reading the loosely typed parts of an attach. Refuses to know: what follows from them.

Source: OASIS AMQP 1.0 part 3, section 3.5 (source, target); azure-eventhub 5.15.1, `_consumer.py` (link properties).
"""

from __future__ import annotations

from localazure.amqp.decode import AmqpArray, Described, Symbol
from localazure.amqp.records import Attach, RawValue

COORDINATOR = 0x30
OWNER_LEVEL = "com.microsoft:epoch"


def address_of(terminus: RawValue | None) -> str | None:
    """The address of a source or target; None for a terminus without one, such as a transaction coordinator."""
    if terminus is None or not isinstance(terminus.value, Described):
        return None
    fields = terminus.value.value
    if isinstance(fields, list) and fields and isinstance(fields[0], str) and not isinstance(fields[0], Symbol):
        return fields[0]
    return None


def is_coordinator(terminus: RawValue | None) -> bool:
    """Whether a sender wants to declare transactions."""
    return terminus is not None and isinstance(terminus.value, Described) and terminus.value.descriptor == COORDINATOR


def owner_level(attach: Attach) -> int | None:
    """The level of an exclusive receiver."""
    level = attach.properties.get(OWNER_LEVEL) if isinstance(attach.properties, dict) else None
    return level if isinstance(level, int) and not isinstance(level, bool) else None


def wants(attach: Attach, capability: str) -> bool:
    """Whether the peer desires this capability of the link."""
    desired = attach.desired_capabilities
    return capability in desired if isinstance(desired, AmqpArray) else desired == capability
