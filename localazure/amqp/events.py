"""What a connection tells the service that runs on it.

Owns: the seven things that can happen. Each is said once, in the order of the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localazure.amqp.link import Link
    from localazure.amqp.records import Open


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer has opened the connection, and it has been answered."""

    remote: Open


@dataclass(frozen=True, slots=True)
class Attaching:
    """The peer asks for a link: answer with `link.accept` or `link.refuse` before taking the next event."""

    link: Link


@dataclass(frozen=True, slots=True)
class Part:
    """What one transfer brought of a message that is not whole yet; it may never be."""

    link: Link
    payload: bytes
    message_format: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, the parts as its transfers brought them, the last one new; to be settled unless `settled`."""

    link: Link
    delivery_id: int
    parts: tuple[bytes, ...]
    message_format: int
    settled: bool

    @property
    def payload(self) -> bytes:
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class Credit:
    """The peer wants (more) messages from this link, or wants it drained."""

    link: Link


@dataclass(frozen=True, slots=True)
class Detached:
    """The link has gone: detached, ended with its session, or closed with its connection."""

    link: Link


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed the connection; `condition` says why, if it did."""

    condition: str | None


Event = Opened | Attaching | Part | Message | Credit | Detached | Closed
