"""What Event Hubs refuses, one exception per refusal, each with the AMQP condition that carries it.

Owns: the conditions. The sentence comes from whoever refuses. They become a detach, a rejected disposition or a
status code in `connection` and `requests`, and nowhere else.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-messaging-exceptions,
learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide (error conditions).
"""

from __future__ import annotations

from typing import ClassVar

from localazure.amqp import errors


class Refused(Exception):
    """Base of all refusals. `status` is what `$cbs` and `$management` say."""

    condition: str
    status: ClassVar[int] = 400

    @property
    def description(self) -> str:
        return str(self)


class EntityNotFound(Refused, LookupError):
    """No such hub, partition or consumer group."""

    condition, status = errors.NOT_FOUND, 404


class Unauthorized(Refused):
    """No token, a wrong or expired one, or one without the right."""

    condition, status = errors.UNAUTHORIZED_ACCESS, 401


class ArgumentError(Refused, ValueError):
    """A start position or an argument that means nothing here."""

    condition = "com.microsoft:argument-error"


class NotAllowed(Refused):
    """The operation exists, but not on this entity."""

    condition = errors.NOT_ALLOWED


class NotImplementedHere(Refused):
    """Azure has it, this server has not."""

    condition, status = errors.NOT_IMPLEMENTED, 501


class BadMessage(Refused):
    """A message that is not an AMQP message."""

    condition = errors.DECODE_ERROR


class ReceiverDisconnected(Refused):
    """A receiver with an equal or higher owner level has the partition."""

    condition = errors.STOLEN


class QuotaExceeded(Refused):
    """More receivers than the service allows."""

    condition = errors.RESOURCE_LIMIT_EXCEEDED


class ServerBusy(Refused):
    """More than the bought throughput; wait and send again."""

    condition, status = "com.microsoft:server-busy", 503


class Unreadable(Refused):
    """The log on disk is damaged where it is to be read."""

    condition, status = errors.INTERNAL_ERROR, 500


class OnPurpose(Refused):
    """What an armed fault wants said."""

    def __init__(self, condition: str) -> None:
        super().__init__("refused on purpose: a fault is armed")
        self.condition = condition


class EntityGone(Refused):
    """The hub has been deleted under a link."""

    condition = errors.RESOURCE_DELETED
