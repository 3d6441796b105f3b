"""Reading a document through a client of the SDK that other threads use."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.documents import document_named, read_again


class Disturbed:
    """A container whose reading breaks so many times, as when another thread writes to the last answer's headers."""

    def __init__(self, times: int) -> None:
        self.times = times

    def read_item(self, name: str, partition_key: str) -> dict[str, str]:
        if self.times:
            self.times -= 1
            raise RuntimeError("OrderedDict mutated during iteration")
        return {"id": name, "pk": partition_key}


def test_a_reading_that_another_thread_broke_is_done_again() -> None:
    container: Any = Disturbed(1)
    assert document_named(container, "a", "b") == {"id": "a", "pk": "b"}


def test_what_breaks_each_time_is_told() -> None:
    container: Any = Disturbed(2)
    with pytest.raises(RuntimeError):
        read_again(lambda: container.read_item("a", "b"))
