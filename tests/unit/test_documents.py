"""Reading a document through a client of the SDK that other threads use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labkit
from labkit.documents import TIMES_AGAIN, document_named, queried, read_again


class Disturbed:
    """A container whose reading breaks so many times, as when another thread writes to the last answer's headers."""

    def __init__(self, times: int) -> None:
        self.times = times

    def read_item(self, name: str, partition_key: str, **_: object) -> dict[str, str]:
        if self.times:
            self.times -= 1
            raise RuntimeError("OrderedDict mutated during iteration")
        return {"id": name, "pk": partition_key}

    def query_items(self, text: str, **asked: object) -> Iterator[dict[str, object]]:
        for page in range(3):
            if page and self.times:
                self.times -= 1
                raise RuntimeError("OrderedDict mutated during iteration")
            yield {"page": page, "text": text, **asked}


@pytest.mark.parametrize("times", [1, TIMES_AGAIN])
def test_a_reading_that_other_threads_broke_is_done_again(times: int) -> None:
    container: Any = Disturbed(times)
    assert document_named(container, "a", "b") == {"id": "a", "pk": "b"}


def test_what_breaks_each_time_is_told() -> None:
    container: Any = Disturbed(TIMES_AGAIN + 1)
    with pytest.raises(RuntimeError):
        read_again(lambda: container.read_item("a", "b"))


def test_a_query_that_breaks_between_two_pages_is_asked_again_from_the_first() -> None:
    container: Any = Disturbed(1)
    assert [found["page"] for found in queried(container, "SELECT")] == [0, 1, 2]


@pytest.mark.parametrize("key", ["", "a"])  # "": what is parked of events that name no aggregate
def test_a_query_with_a_partition_key_stays_in_that_partition_and_names_its_parameters(key: str) -> None:
    container: Any = Disturbed(0)
    (found, *_) = queried(container, "SELECT", key, hub="h")
    assert found == {"page": 0, "text": "SELECT", "partition_key": key, "parameters": [{"name": "@hub", "value": "h"}]}
    (across, *_) = queried(container, "SELECT")
    assert across == {"page": 0, "text": "SELECT", "enable_cross_partition_query": True, "parameters": []}


def test_every_query_of_labkit_is_read_that_way() -> None:
    package = Path(labkit.__file__).parent
    asks = re.compile(r"(query_items|read_all_items)\(")
    asking = {path.name for path in package.rglob("*.py") if asks.search(path.read_text(encoding="utf-8"))}
    assert asking == {"documents.py"}
