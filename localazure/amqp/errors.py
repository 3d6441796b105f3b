"""What can go wrong in AMQP, as data: a condition symbol and a sentence, and how far the damage reaches.

Owns: the condition names of the specification and the three scopes of failure. A condition becomes bytes in
`performatives`, once. Refuses to know: which rule was broken; whoever raises says it in the description.

Source: OASIS AMQP 1.0 part 2, sections 2.8.15 to 2.8.18 (amqp-error, connection-error, session-error, link-error).
"""

from __future__ import annotations

DECODE_ERROR = "amqp:decode-error"
FRAMING_ERROR = "amqp:connection:framing-error"
CONNECTION_FORCED = "amqp:connection:forced"
ILLEGAL_STATE = "amqp:illegal-state"
INTERNAL_ERROR = "amqp:internal-error"
INVALID_FIELD = "amqp:invalid-field"
NOT_ALLOWED = "amqp:not-allowed"
NOT_FOUND = "amqp:not-found"
NOT_IMPLEMENTED = "amqp:not-implemented"
RESOURCE_DELETED = "amqp:resource-deleted"
RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded"
UNAUTHORIZED_ACCESS = "amqp:unauthorized-access"
HANDLE_IN_USE = "amqp:session:handle-in-use"
UNATTACHED_HANDLE = "amqp:session:unattached-handle"
MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
STOLEN = "amqp:link:stolen"
TRANSFER_LIMIT_EXCEEDED = "amqp:link:transfer-limit-exceeded"


class AmqpError(Exception):
    """A refusal with its AMQP condition. Its subclasses say what it ends."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class DecodeError(AmqpError):
    """Bytes that are not the AMQP value they should be."""

    def __init__(self, description: str) -> None:
        super().__init__(DECODE_ERROR, description)


class ConnectionFault(AmqpError):
    """Ends the connection: answered by close."""


class SessionFault(AmqpError):
    """Ends the session: answered by end."""


class LinkFault(AmqpError):
    """Ends the link: answered by detach."""
