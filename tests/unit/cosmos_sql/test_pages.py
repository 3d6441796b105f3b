"""Pages over ranges that change under a query: nothing is lost when a range splits between two pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from localazure.cosmos.queries import KeyRange, Prefilter, QueryRefused, Scope, Stored, answer_query

KEYS = [f"{number * 37 % 64:02X}" for number in range(64)]


class Splitting:
    """64 documents, one for each effective key 00..3F, created in a shuffled order."""

    rid = "AAAA"
    partition_key_paths: Sequence[str] = ("/pk",)
    indexing_policy: Mapping[str, Any] = {"includedPaths": [{"path": "/*"}]}

    def __init__(self) -> None:
        self.bounds = ["", "20", "FF"]
        self.read = 0

    def ranges(self) -> Sequence[KeyRange]:
        pairs = zip(self.bounds, self.bounds[1:], strict=False)
        return [KeyRange(f"{low}-{high}", low, high) for low, high in pairs]

    def effective_key(self, values: Sequence[Any]) -> str:
        return str(values[0])

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        for at, key in enumerate(KEYS):
            if (after is None or at > int(after)) and scope.minimum <= key < scope.maximum:
                self.read += 1
                yield Stored(str(at), json.dumps({"id": key, "pk": key, "parts": [1, 2]}))


def pages(container: Splitting, query: str, headers: dict[str, str]) -> Iterator[list[Any]]:
    headers = {"x-ms-documentdb-query-enablecrosspartition": "True", "x-ms-max-item-count": "5", **headers}
    while True:
        answer = answer_query(container, headers, json.dumps({"query": query}).encode())
        yield json.loads(answer.body)["Documents"]
        token = answer.headers.get("x-ms-continuation")
        if token is None:
            return
        headers["x-ms-continuation"] = token


@pytest.mark.parametrize("before_split", range(12))
def test_a_split_between_two_pages_loses_and_doubles_nothing(before_split: int) -> None:
    container = Splitting()
    found: list[str] = []
    for number, page in enumerate(pages(container, "SELECT VALUE c.id FROM c", {})):
        found += page
        if number == before_split:
            container.bounds = ["", "10", "20", "30", "FF"]
    assert sorted(found) == sorted(KEYS)


def test_the_token_of_a_range_serves_each_of_its_halves() -> None:
    """As the SDK asks feed ranges after a split: the one token, the two new ranges."""
    container = Splitting()
    range_id = {"x-ms-documentdb-partitionkeyrangeid": "-20", "x-ms-max-item-count": "5"}
    body = json.dumps({"query": "SELECT VALUE c.id FROM c"}).encode()
    first = answer_query(container, range_id, body)
    found = json.loads(first.body)["Documents"]
    container.bounds = ["", "10", "20", "FF"]
    for half in ("-10", "10-20"):
        continued = {"x-ms-documentdb-partitionkeyrangeid": half, "x-ms-max-item-count": "-1"}
        continued["x-ms-continuation"] = first.headers["x-ms-continuation"]
        found += json.loads(answer_query(container, continued, body).body)["Documents"]
    assert sorted(found) == sorted(key for key in KEYS if key < "20")


def test_the_token_of_one_range_is_refused_by_another() -> None:
    container = Splitting()
    body = json.dumps({"query": "SELECT VALUE c.id FROM c"}).encode()
    headers = {"x-ms-documentdb-partitionkeyrangeid": "-20", "x-ms-max-item-count": "5"}
    token = answer_query(container, headers, body).headers["x-ms-continuation"]
    with pytest.raises(QueryRefused, match="Invalid Continuation Token"):
        answer_query(container, {"x-ms-documentdb-partitionkeyrangeid": "20-FF", "x-ms-continuation": token}, body)


def test_a_range_that_was_split_is_gone() -> None:
    container = Splitting()
    body = json.dumps({"query": "SELECT VALUE c.id FROM c"}).encode()
    with pytest.raises(QueryRefused) as caught:
        answer_query(container, {"x-ms-documentdb-partitionkeyrangeid": "99"}, body)
    assert (caught.value.status, caught.value.substatus) == (410, 1002)


def test_a_page_reads_no_further_than_it_needs() -> None:
    container = Splitting()
    next(pages(container, "SELECT VALUE c.id FROM c", {}))
    assert container.read == 6


def test_a_page_may_end_between_two_results_of_one_item() -> None:
    container = Splitting()
    found = list(pages(container, "SELECT c.id, p FROM c JOIN p IN c.parts", {}))
    flat = [(row["id"], row["p"]) for page in found for row in page]
    assert sorted(flat) == sorted((key, part) for key in KEYS for part in (1, 2))
    assert max(map(len, found)) == 5


class Odd(Splitting):
    """One document of what other JSON writers may have left behind."""

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        text = '{"id": "odd", "pk": "00", "half": "\\ud800", "large": 123456789012345678901234567890, "small": 5e-324}'
        yield Stored("0", text)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("c.half", "\ud800"),
        ("c.half || 'x'", "\ud800x"),
        ("LENGTH(c.half)", 1),
        ("c.large", 1.2345678901234568e29),
        ("c.large + 1", 1.2345678901234568e29),
        ("c.large > 1", True),
        ("[c.small, c.large]", [5e-324, 1.2345678901234568e29]),
        ("TOSTRING(c.large)", "1.2345678901234568e+29"),
        ("c", {"id": "odd", "pk": "00", "half": "\ud800", "large": 1.2345678901234568e29, "small": 5e-324}),
    ],
)
def test_odd_values_are_read_and_written(expression: str, wanted: Any) -> None:
    for order in ("", " ORDER BY c.id"):
        body = json.dumps({"query": f"SELECT VALUE {expression} FROM c{order}"}).encode()
        answer = answer_query(Odd(), {"x-ms-documentdb-partitionkey": '["00"]'}, body)
        assert json.loads(answer.body, parse_int=float)["Documents"] == [wanted]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x-ms-max-item-count": "abc"}, "The input PageSize abc is invalid."),
        ({"x-ms-max-item-count": "-2"}, "The input PageSize -2 is invalid."),
        ({"x-ms-documentdb-partitionkey": "nonsense"}, "Partition key nonsense is invalid."),
        ({"x-ms-documentdb-partitionkey": "[1, 2]"}, "Partition key [1, 2] is invalid."),
    ],
)
def test_a_header_that_cannot_be_is_refused(headers: dict[str, str], words: str) -> None:
    with pytest.raises(QueryRefused) as caught:
        list(pages(Splitting(), "SELECT * FROM c", headers))
    assert caught.value.status == 400
    assert words in caught.value.message


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b"{}", b'{"query": 1}', b'{"query": "SELECT 1", "parameters": 1}']
)
def test_a_body_that_is_no_query_is_refused(body: bytes) -> None:
    with pytest.raises(QueryRefused, match="The request payload is invalid"):
        answer_query(Splitting(), {"x-ms-documentdb-partitionkey": '["00"]'}, body)
