"""The byte stream cut into protocol headers and frames, and frames put together.

Owns: the 8-byte protocol header, the 8-byte frame header, the maximum frame size. Refuses to know: what a frame holds.

How: `FrameReader.feed` takes what has arrived, `next` hands out one header or frame at a time, so that an answer to
one frame can be given before the next is looked at. Which of the two is due is told by the connection's state.
Frames are views of what arrived, copied by whoever keeps something of them; only what is not whole yet is kept here.

Source: OASIS AMQP 1.0 part 2, sections 2.2 (version negotiation) and 2.3 (framing); part 5, section 5.3.1 (SASL).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from localazure.amqp.errors import FRAMING_ERROR, ConnectionFault

HEADER_BYTES = 8
AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME = 0
SASL_FRAME = 1
LEAST_MAX_FRAME_SIZE_BYTES = 512
_HEAD = struct.Struct(">IBBH")
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's type, channel and body, which may be a view of what was fed; the extended header is skipped."""

    kind: int
    channel: int
    body: bytes | memoryview


class FrameReader:
    """What has arrived and is not yet consumed. Fed, it is to be asked until it has nothing more to give."""

    def __init__(self, max_frame_size_bytes: int) -> None:
        self._max_frame_size_bytes = max_frame_size_bytes
        self._kept = bytearray()
        self._data: bytearray | memoryview = self._kept
        self._start = 0

    def feed(self, data: bytes | memoryview) -> None:
        """`data` may be overwritten once None was handed out."""
        if self._kept:
            self._kept += data
            self._data = self._kept
        else:
            self._data = memoryview(data)
        self._start = 0

    def next_header(self) -> bytes | None:
        """The eight bytes of a protocol header, or None until they are there."""
        if len(self._data) - self._start < HEADER_BYTES:
            self._keep_rest()
            return None
        header = bytes(self._data[self._start : self._start + HEADER_BYTES])
        self._start += HEADER_BYTES
        return header

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None. Raises: `ConnectionFault` (framing-error), after which nothing can follow."""
        available = len(self._data) - self._start
        if available < HEADER_BYTES:
            self._keep_rest()
            return None
        size, offset, kind, channel = _HEAD.unpack_from(self._data, self._start)
        if size < HEADER_BYTES or size > self._max_frame_size_bytes:
            raise ConnectionFault(
                FRAMING_ERROR, f"a frame of {size} bytes; 8 to {self._max_frame_size_bytes} are allowed"
            )
        if not 2 <= offset <= size // 4:
            raise ConnectionFault(FRAMING_ERROR, f"a data offset of {offset} words in a frame of {size} bytes")
        if kind not in (AMQP_FRAME, SASL_FRAME):
            raise ConnectionFault(FRAMING_ERROR, f"frame type {kind} is unknown")
        if available < size:
            self._keep_rest()
            return None
        start, self._start = self._start + 4 * offset, self._start + size
        if isinstance(self._data, memoryview):
            return Frame(kind, channel, self._data[start : self._start])
        with memoryview(self._data) as view:
            return Frame(kind, channel, bytes(view[start : self._start]))

    def _keep_rest(self) -> None:
        """What is left is the beginning of something."""
        if isinstance(self._data, memoryview):
            self._kept += self._data[self._start :]
        else:
            del self._kept[: self._start]
        self._data, self._start = self._kept, 0


def frame(channel: int, body: bytes, kind: int = AMQP_FRAME) -> bytes:
    return struct.pack(">IBBH", HEADER_BYTES + len(body), 2, kind, channel) + body
