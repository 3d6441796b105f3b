"""A body within its bound comes whole, one above it is drained and refused, one without end is not waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localazure import request_body
from localazure.request_body import BodyTooLarge, read_body


class Sender:
    """An ASGI server that hands out these chunks."""

    def __init__(self, *chunks: bytes, leaves: bool = False, endless: bool = False) -> None:
        self.left = list(chunks)
        self._leaves, self._endless = leaves, endless

    async def receive(self) -> dict[str, Any]:
        if not self.left and self._leaves:
            return {"type": "http.disconnect"}
        chunk = self.left[0] if self._endless else self.left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.left) or self._leaves}


def test_a_body_of_exactly_the_bound_comes_whole() -> None:
    assert asyncio.run(read_body(Sender(b"abc", b"", b"de").receive, 5)) == b"abcde"
    assert asyncio.run(read_body(Sender(b"").receive, 0)) == b""


def test_a_byte_more_is_refused_after_all_of_it_was_read() -> None:
    sender = Sender(b"abc", b"def", b"ghi")
    with pytest.raises(BodyTooLarge) as refused:
        asyncio.run(read_body(sender.receive, 5))
    assert (refused.value.at_least_bytes, sender.left) == (9, [])


def test_a_body_without_end_is_refused_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "MOST_DRAINED_BYTES", 20)
    with pytest.raises(BodyTooLarge) as refused:
        asyncio.run(read_body(Sender(b"abc", b"def", endless=True).receive, 5))
    assert refused.value.at_least_bytes == 21


def test_a_client_that_leaves_in_the_middle_sent_nothing() -> None:
    assert asyncio.run(read_body(Sender(b"abc", leaves=True).receive, 5)) is None
