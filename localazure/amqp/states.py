"""Every state of a connection, session and link, and what each arriving thing does to it.

Owns: the transitions, as three tables from (state, input) to `Go(next state)`, `Ignore` or `Fault(condition)`. A pair
that is not written down is a fault of the table's default condition. Refuses to know: how a transition is carried out.

The server speaks second everywhere, so the states are fewer than in the specification's pictures. What arrives after
we have closed, ended or detached was sent before the peer knew, and is ignored. So is detach, flow or disposition on
a session or handle that has gone: the Azure SDK sends them after its own end.

Source: OASIS AMQP 1.0 part 2, sections 2.4.6 (connection), 2.5.5 (session), 2.6.3 to 2.6.6 (link);
part 5, section 5.3.2 (SASL negotiation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from localazure.amqp.errors import (
    FRAMING_ERROR,
    HANDLE_IN_USE,
    ILLEGAL_STATE,
    NOT_ALLOWED,
    UNATTACHED_HANDLE,
)


class ConnectionState(Enum):
    SASL_HEADER = "waiting for the SASL header"
    SASL_INIT = "waiting for sasl-init"
    AMQP_HEADER = "waiting for the AMQP header"
    OPEN = "waiting for open"
    OPENED = "opened"
    CLOSE_SENT = "close sent"
    END = "ended"


class SessionState(Enum):
    UNMAPPED = "never begun"
    MAPPED = "mapped"
    END_SENT = "end sent"
    ENDED = "ended"


class LinkState(Enum):
    UNATTACHED = "never attached"
    ATTACHED = "attached"
    DETACH_SENT = "detach sent"
    DETACHED = "detached"


class Input(Enum):
    """What can arrive."""

    SASL_HEADER = "SASL header"
    AMQP_HEADER = "AMQP header"
    OTHER_HEADER = "unknown header"
    EMPTY = "empty frame"
    SASL_INIT = "sasl-init"
    OTHER_SASL = "another SASL frame"
    OPEN = "open"
    BEGIN = "begin"
    ATTACH = "attach"
    FLOW = "flow"
    TRANSFER = "transfer"
    DISPOSITION = "disposition"
    DETACH = "detach"
    END = "end"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Go:
    """Carry it out; the state is then `state`."""

    state: ConnectionState | SessionState | LinkState


@dataclass(frozen=True, slots=True)
class Ignore:
    """It was sent before the peer knew; nothing happens."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Not allowed here."""

    condition: str


Step = Go | Ignore | Fault
C, S, L, I = ConnectionState, SessionState, LinkState, Input  # noqa: E741
_IGNORE, _NOT_ALLOWED, _UNATTACHED = Ignore(), Fault(NOT_ALLOWED), Fault(UNATTACHED_HANDLE)
_OF_THE_HANDSHAKE = (I.SASL_HEADER, I.AMQP_HEADER, I.OTHER_HEADER, I.SASL_INIT, I.OTHER_SASL)
_IN_SESSION = (I.BEGIN, I.ATTACH, I.FLOW, I.TRANSFER, I.DISPOSITION, I.DETACH, I.END)

CONNECTION: Mapping[tuple[ConnectionState, Input], Step] = {
    (C.SASL_HEADER, I.SASL_HEADER): Go(C.SASL_INIT),
    (C.SASL_INIT, I.SASL_INIT): Go(C.AMQP_HEADER),
    (C.AMQP_HEADER, I.AMQP_HEADER): Go(C.OPEN),
    (C.OPEN, I.OPEN): Go(C.OPENED),
    (C.OPEN, I.EMPTY): Go(C.OPEN),
    (C.OPEN, I.CLOSE): Go(C.END),
    (C.OPENED, I.EMPTY): Go(C.OPENED),
    (C.OPENED, I.CLOSE): Go(C.END),
    **{(C.OPENED, one): Go(C.OPENED) for one in _IN_SESSION},
    (C.CLOSE_SENT, I.EMPTY): _IGNORE,
    (C.CLOSE_SENT, I.OPEN): _IGNORE,
    (C.CLOSE_SENT, I.CLOSE): Go(C.END),
    **{(C.CLOSE_SENT, one): _IGNORE for one in _IN_SESSION},
    **{(C.END, one): _IGNORE for one in I},
}
SESSION: Mapping[tuple[SessionState, Input], Step] = {
    (S.UNMAPPED, I.BEGIN): Go(S.MAPPED),
    **{(S.MAPPED, one): Go(S.MAPPED) for one in (I.ATTACH, I.FLOW, I.TRANSFER, I.DISPOSITION, I.DETACH)},
    (S.MAPPED, I.END): Go(S.ENDED),
    **{(S.END_SENT, one): _IGNORE for one in (I.ATTACH, I.FLOW, I.TRANSFER, I.DISPOSITION, I.DETACH)},
    (S.END_SENT, I.END): Go(S.ENDED),
    (S.ENDED, I.BEGIN): Go(S.MAPPED),
    **{(S.ENDED, one): _IGNORE for one in (I.FLOW, I.DISPOSITION, I.DETACH, I.END)},
}
LINK: Mapping[tuple[LinkState, Input], Step] = {
    (L.UNATTACHED, I.ATTACH): Go(L.ATTACHED),
    (L.ATTACHED, I.FLOW): Go(L.ATTACHED),
    (L.ATTACHED, I.TRANSFER): Go(L.ATTACHED),
    (L.ATTACHED, I.DETACH): Go(L.DETACHED),
    (L.ATTACHED, I.ATTACH): Fault(HANDLE_IN_USE),
    **{(L.DETACH_SENT, one): _IGNORE for one in (I.FLOW, I.TRANSFER)},
    (L.DETACH_SENT, I.ATTACH): Fault(HANDLE_IN_USE),
    (L.DETACH_SENT, I.DETACH): Go(L.DETACHED),
    (L.DETACHED, I.ATTACH): Go(L.ATTACHED),
    (L.DETACHED, I.FLOW): _IGNORE,
    (L.DETACHED, I.DETACH): _IGNORE,
}


def connection_step(state: ConnectionState, arrived: Input) -> Step:
    """Before the open is due, and for headers and SASL frames after it, what does not fit is a framing error."""
    step = CONNECTION.get((state, arrived))
    if step is not None:
        return step
    misframed = state in (C.SASL_HEADER, C.SASL_INIT, C.AMQP_HEADER) or arrived in _OF_THE_HANDSHAKE
    return Fault(FRAMING_ERROR if misframed else ILLEGAL_STATE)


def session_step(state: SessionState, arrived: Input) -> Step:
    """A fault here ends the connection: there is no session to end."""
    return SESSION.get((state, arrived), _NOT_ALLOWED)


def link_step(state: LinkState, arrived: Input) -> Step:
    """A fault here ends the session. Disposition names no link and never comes here."""
    return LINK.get((state, arrived), _UNATTACHED)
