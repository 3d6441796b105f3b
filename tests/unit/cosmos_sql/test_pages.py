"""Pages over ranges that change under a query: nothing is lost when a range splits between two pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from localazure.cosmos import continuations
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


def test_the_plan_of_a_query_without_from_names_the_first_range_only() -> None:
    headers = {
        "x-ms-cosmos-is-query-plan-request": "True",
        "x-ms-cosmos-supported-query-features": "Aggregate, Distinct, OrderBy, Top, OffsetAndLimit",
    }
    for query, most in (("SELECT VALUE COUNT(1)", "20"), ("SELECT VALUE COUNT(1) FROM c", "FF")):
        answer = answer_query(Splitting(), headers, json.dumps({"query": query}).encode())
        (part,) = json.loads(answer.body)["queryRanges"]
        assert (part["min"], part["max"]) == ("", most)


class Shrinking(Splitting):
    """One range of documents that come and go between pages; a document's position is its number."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = ["", "FF"]
        words = ["b", "a", 2, "b", None, 10, "x" * 300, "x" * 300 + "y", True, [1], {"k": 1}, "a"]
        self.documents = {str(at): {"id": f"{at:02}", "pk": "00", "w": word} for at, word in enumerate(words)} | {
            "99": {"id": "99", "pk": "00"}
        }

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        for at, document in list(self.documents.items()):
            if after is None or int(at) > int(after):
                yield Stored(at, json.dumps(document))

    def whole(self, query: str) -> list[Any]:
        body = json.dumps({"query": query}).encode()
        answer = answer_query(self, {"x-ms-documentdb-partitionkey": '["00"]', "x-ms-max-item-count": "-1"}, body)
        found: list[Any] = json.loads(answer.body)["Documents"]
        return found


ONE_PARTITION = {"x-ms-documentdb-partitionkey": '["00"]', "x-ms-max-item-count": "1"}
KEYED = [
    "SELECT DISTINCT VALUE c.w FROM c",
    "SELECT DISTINCT c.w FROM c",
    "SELECT c.w FROM c GROUP BY c.w",
    "SELECT VALUE COUNT(1) FROM c GROUP BY c.w, c.pk",
    "SELECT DISTINCT VALUE c.w FROM c ORDER BY c.w",
    "SELECT DISTINCT VALUE c.w FROM c ORDER BY c.w DESC",
    "SELECT DISTINCT VALUE c.w FROM c ORDER BY c.id",
    "SELECT DISTINCT TOP 4 VALUE c.w FROM c",
    "SELECT DISTINCT VALUE c.w FROM c OFFSET 2 LIMIT 3",
    "SELECT c.w, COUNT(1) AS n FROM c GROUP BY c.w OFFSET 1 LIMIT 4",
]


@pytest.mark.parametrize("query", KEYED)
def test_pages_of_one_result_make_the_same_whole(query: str) -> None:
    container = Shrinking()
    found = [item for page in pages(container, query, ONE_PARTITION) for item in page]
    assert found == container.whole(query)
    assert len(found) > 2


@pytest.mark.parametrize("query", [query for query in KEYED if "TOP" not in query and "OFFSET" not in query])
@pytest.mark.parametrize("before", range(8))
def test_what_is_deleted_between_two_pages_takes_no_other_result_along(query: str, before: int) -> None:
    """After each page the first item that holds what was just given goes: as the source of its result or its group."""
    container = Shrinking()
    whole = [json.dumps(item) for item in container.whole(query)]
    found: list[str] = []
    for number, page in enumerate(pages(container, query, ONE_PARTITION)):
        found += [json.dumps(item) for item in page]
        if number == before:
            gone = next(at for at, held in container.documents.items() if held.get("w") == "b")
            del container.documents[gone]
    left = {json.dumps(item) for item in container.whole(query)}
    assert left <= set(found) | left - set(whole)
    if "COUNT" not in query and "c.id" not in query:
        assert len(found) == len(set(found)), "a result came twice"
        assert left <= set(found) <= set(whole)


def test_a_token_with_keys_of_another_kind_is_refused() -> None:
    container = Shrinking()
    body = json.dumps({"query": KEYED[0]}).encode()
    for last in ([[5, 1]], [["x"]], [3]):
        token = continuations.write(continuations.Place("", "FF", last=last), continuations.digest(KEYED[0], {}))
        with pytest.raises(QueryRefused, match="Invalid Continuation Token"):
            answer_query(container, {**ONE_PARTITION, "x-ms-continuation": token}, body)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT VALUE x.n FROM (SELECT COUNT(1) AS n FROM c) x", [13]),
        ("SELECT VALUE x FROM (SELECT TOP 2 VALUE c.id FROM c) x", ["00", "01"]),
        ("SELECT VALUE x FROM (SELECT VALUE c.id FROM c ORDER BY c.id DESC OFFSET 1 LIMIT 2) x", ["11", "10"]),
        ("SELECT VALUE x FROM (SELECT DISTINCT VALUE c.pk FROM c) x", ["00"]),
        ("SELECT VALUE x.p FROM (SELECT c.pk AS p, MAX(c.id) AS m FROM c GROUP BY c.pk) x", ["00"]),
        ("SELECT VALUE x FROM (SELECT VALUE y FROM (SELECT TOP 1 VALUE c.id FROM c) y) x", ["00"]),
        ("SELECT VALUE x.w FROM (SELECT c.w FROM c WHERE c.w = 2) x", [2]),
    ],
)
def test_a_query_in_from_is_over_all_items_together(query: str, wanted: list[Any]) -> None:
    container = Shrinking()
    assert container.whole(query) == wanted
    assert [item for page in pages(container, query, ONE_PARTITION) for item in page] == wanted


@pytest.mark.parametrize(
    ("query", "size", "read", "given"),
    [
        ("SELECT VALUE c.id FROM c", "-1", 13, 13),
        ("SELECT VALUE c.id FROM c WHERE c.w = 'b'", "-1", 13, 2),
        ("SELECT VALUE c.id FROM c", "3", 4, 3),
        ("SELECT TOP 2 VALUE c.id FROM c", "-1", 3, 2),
        ("SELECT VALUE COUNT(1) FROM c", "-1", 13, 1),
        ("SELECT DISTINCT VALUE c.w FROM c", "4", 13, 4),
        ("SELECT VALUE x FROM c JOIN x IN (SELECT VALUE [1, 2])", "-1", 13, 26),
        ("SELECT VALUE 1", "-1", 0, 1),
        ("SELECT VALUE 1 FROM c WHERE false", "-1", 13, 0),
    ],
)
def test_query_metrics_are_those_of_what_was_read(query: str, size: str, read: int, given: int) -> None:
    container = Shrinking()
    headers = {**ONE_PARTITION, "x-ms-max-item-count": size, "x-ms-documentdb-populatequerymetrics": "True"}
    answer = answer_query(container, headers, json.dumps({"query": query}).encode())
    metrics = dict(pair.split("=") for pair in answer.headers["x-ms-documentdb-query-metrics"].split(";"))
    texts = [json.dumps(document) for document in container.documents.values()][:read]
    assert int(metrics["retrievedDocumentCount"]) == answer.retrieved_documents == read
    assert int(metrics["retrievedDocumentSize"]) == answer.retrieved_bytes == sum(map(len, texts))
    assert int(metrics["outputDocumentCount"]) == given
    assert metrics["indexUtilizationRatio"] == f"{min(given / read, 1) if read else 1:.2f}"
