"""No query and no pattern holds its thread for good: it is refused with 408, or its page is cut short and goes on."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from localazure.cosmos.queries import KeyRange, Prefilter, QueryRefused, Scope, Stored, answer_query
from localazure.cosmos.sql import Watch, limits
from localazure.cosmos.sql.functions import strings

HUNDRED = f"[{', '.join(map(str, range(100)))}]"
ENDLESS_JOINS = "FROM c " + " ".join(f"JOIN a{at} IN (SELECT VALUE {HUNDRED})" for at in range(6))
BACKTRACKS = "^(a|aa)+$"
TEXT = "a" * 200 + "!"


class Letters:
    """Three documents in one range."""

    rid = "AAAA"
    partition_key_paths: Sequence[str] = ("/pk",)
    indexing_policy: Mapping[str, Any] = {"includedPaths": [{"path": "/*"}]}

    def ranges(self) -> Sequence[KeyRange]:
        return [KeyRange("0", "", "FF")]

    def effective_key(self, values: Sequence[Any]) -> str:
        return "05"

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        for at in range(0 if after is None else int(after) + 1, 3):
            yield Stored(str(at), json.dumps({"id": "abc"[at], "pk": "a", "parts": [1, 2], "text": TEXT}))


class Endless(Letters):
    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        for at in itertools.count(0 if after is None else int(after) + 1):
            yield Stored(str(at), '{"id": "x", "pk": "a"}')


def ask(container: Letters, query: str, token: str | None = None, **options: Any) -> Any:
    headers = {"x-ms-documentdb-partitionkey": '["a"]', **({"x-ms-continuation": token} if token else {})}
    return answer_query(container, headers, json.dumps({"query": query}).encode(), **options)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT VALUE 1 {ENDLESS_JOINS} WHERE a5 > 100",
        f"SELECT VALUE COUNT(1) {ENDLESS_JOINS}",
        f"SELECT a0, COUNT(1) AS n {ENDLESS_JOINS} GROUP BY a0",
        f"SELECT DISTINCT VALUE 1 {ENDLESS_JOINS}",
        f"SELECT VALUE EXISTS(SELECT VALUE 1 {ENDLESS_JOINS.replace('FROM c JOIN', 'FROM')} WHERE false) FROM c",
        f"SELECT VALUE 1 {ENDLESS_JOINS} JOIN none IN (SELECT VALUE [])",
        f"SELECT VALUE c.id FROM c WHERE RegexMatch(c.text, '{BACKTRACKS}')",
    ],
    ids=["filter", "fold", "groups", "distinct", "subquery", "nothing joined", "pattern"],
)
def test_a_run_that_gets_nowhere_ends_with_408(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_RUN_SECONDS", 0.05)
    with pytest.raises(QueryRefused) as caught:
        ask(Letters(), query)
    assert (caught.value.status, caught.value.code) == (408, "RequestTimeout")


def test_the_clock_is_looked_at_at_the_first_of_sixteen_ticks_and_after_each_shortening() -> None:
    looks: list[int] = []

    def is_cancelled() -> bool:
        looks.append(ticks)
        return False

    watch = Watch(is_cancelled=is_cancelled)
    for ticks in range(40):
        if ticks == 35:
            watch.shorten(1000)
        watch.tick()
    assert looks == [0, 16, 32, 35]


@pytest.mark.parametrize("query", ["SELECT VALUE COUNT(1) FROM c", "SELECT * FROM c ORDER BY c.id"])
def test_a_scan_without_an_end_ends_with_408(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_RUN_SECONDS", 0.05)
    with pytest.raises(QueryRefused) as caught:
        ask(Endless(), query)
    assert caught.value.status == 408


def test_one_match_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "LONGEST_MATCH_SECONDS", 0.01)
    with pytest.raises(QueryRefused) as caught:
        ask(Letters(), f"SELECT VALUE c.id FROM c WHERE RegexMatch(c.text, '{BACKTRACKS}')")
    assert caught.value.status == 408


@pytest.mark.parametrize(
    ("query", "whole"),
    [
        ("SELECT VALUE c.id FROM c", ["a", "b", "c"]),
        ("SELECT VALUE c.id FROM c JOIN p IN c.parts", ["a", "a", "b", "b", "c", "c"]),
        ("SELECT VALUE c.id FROM c JOIN p IN c.parts OFFSET 1 LIMIT 3", ["a", "b", "b"]),
        ("SELECT TOP 3 VALUE c.id FROM c JOIN p IN c.parts", ["a", "a", "b"]),
    ],
)
def test_a_page_whose_time_is_over_goes_on_where_it_was(
    query: str, whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_PAGE_SECONDS", -1.0)
    found: list[str] = []
    token = None
    for pages in itertools.count(1):
        answer = ask(Letters(), query, token)
        found += json.loads(answer.body)["Documents"]
        token = answer.headers.get("x-ms-continuation")
        if token is None:
            break
        assert pages < 20
    assert found == whole
    assert pages > 2


def test_a_page_without_results_goes_on_behind_what_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_PAGE_SECONDS", -1.0)
    answer = ask(Endless(), "SELECT VALUE c.id FROM c WHERE c.nothing")
    assert json.loads(answer.body)["Documents"] == []
    assert "x-ms-continuation" in answer.headers


def test_a_cancelled_query_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def is_cancelled() -> bool:
        begun.set()
        return cancelled.is_set()

    def run() -> None:
        with pytest.raises(QueryRefused):
            ask(Letters(), f"SELECT VALUE COUNT(1) {ENDLESS_JOINS}", is_cancelled=is_cancelled)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    assert not ended.is_set()
    cancelled.set()
    thread.join(60)
    assert ended.is_set()


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("RegexMatch('a\\nb', '^b$')", False),
        ("RegexMatch('a\\nb', '^b$', 'm')", True),
        ("RegexMatch('a\\nb', 'a.b')", False),
        ("RegexMatch('a\\nb', 'a.b', 's')", True),
        ("RegexMatch('a\\nB', 'A.b', 'si')", True),
        ("RegexMatch('a\\nB', '^ b $', 'mix')", True),
        ("RegexMatch('ab', 'a b', 'x')", True),
        ("RegexMatch('ab', 'a b')", False),
        ("RegexMatch('ab', 'a', 'g')", None),
        ("RegexMatch('ab', 'a', 'mm')", True),
        ("RegexMatch('ab', '(')", None),
        ("RegexMatch('ab', '\\\\L<names>')", None),
        ("RegexMatch('ab', 'a{99999999999999999999}')", None),
        (f"RegexMatch('ab', '{'(' * 5000}{')' * 5000}')", None),
    ],
)
def test_each_modifier_of_a_pattern_changes_what_it_finds(call: str, wanted: bool | None) -> None:
    query = f"SELECT TOP 1 VALUE {call} FROM c"
    assert json.loads(ask(Letters(), query).body)["Documents"] == ([] if wanted is None else [wanted])
