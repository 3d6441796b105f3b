"""Any history of writes, restarts and readers against a small model: what is read, and what the change feed tells.

The model is a dictionary and a counter; the account is the real one, driven below HTTP, on a real file.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from localazure.cosmos.partitioning import KeyDefinition
from localazure.cosmos.ranges import equal_slices, partition_of

ITEMS = "/dbs/d/colls/items"
KEYS, IDS = st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "3", "4"])
VALUES = st.integers(0, 9)
KINDS = st.sampled_from(["Upsert"] * 5 + ["Create", "Replace", "Delete", "Read", "Patch"])
SELDOM = st.sampled_from([False] * 9 + [True])
OPERATIONS = st.lists(st.tuples(KINDS, IDS, VALUES, SELDOM), min_size=1, max_size=6)
STALE = '"stale"'


@dataclass(frozen=True)
class Version:
    """A document as the model knows it: its place in the order of creation and of last writes."""

    value: int
    created: tuple[int, int]
    written: tuple[int, int]


class Model:
    """What the account must be: documents by (key, id), and the number of the last turn that was kept."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], Version] = {}
        self.lsn = 0

    def batch(self, key: str, operations: list[tuple[str, str, int, bool]]) -> list[int]:
        """The statuses; everything or nothing happens. `stale`: with an etag that no version has."""
        draft, lsn, statuses = dict(self.documents), self.lsn + 1, []
        places = itertools.count()
        for kind, id, value, stale in operations:
            status = self._one(draft, lsn, places, key, kind, id, value, stale)
            statuses.append(status)
            if status >= 400:
                failed = len(statuses) - 1
                return [status if index == failed else 424 for index in range(len(operations))]
        self.documents, self.lsn = draft, lsn
        return statuses

    @staticmethod
    def _one(
        draft: dict[tuple[str, str], Version],
        lsn: int,
        places: itertools.count[int],
        key: str,
        kind: str,
        id: str,
        value: int,
        stale: bool,
    ) -> int:
        current = draft.get((key, id))
        if kind == "Create":
            place = next(places)
            if current is not None:
                return 409
            draft[key, id] = Version(value, (lsn, place), (lsn, place))
            return 201
        if current is None:
            if kind != "Upsert":
                return 404
            place = next(places)
            draft[key, id] = Version(value, (lsn, place), (lsn, place))
            return 201
        if stale and kind != "Read":
            return 412
        if kind == "Read":
            return 200
        if kind == "Delete":
            del draft[key, id]
            return 204
        new = current.value + value if kind == "Patch" else value
        draft[key, id] = Version(new, current.created, (lsn, next(places)))
        return 200


def request(kind: str, id: str, key: str, value: int, stale: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationType": kind, "id": id}
    if kind in ("Create", "Upsert", "Replace"):
        operation["resourceBody"] = {"id": id, "pk": key, "value": value}
    if kind == "Patch":
        operation["resourceBody"] = {"operations": [{"op": "incr", "path": "/value", "value": value}]}
    if stale and kind not in ("Create", "Read"):
        operation["ifMatch"] = STALE
    return operation


def read_all(driver: Any, **headers: str) -> tuple[list[Any], Any]:
    """Every item, page by page, and the last answer."""
    found: list[Any] = []
    continuation: dict[str, str] = {}
    while True:
        answer = driver.call("GET", f"{ITEMS}/docs", x_ms_max_item_count="2", **headers, **continuation)
        found += answer.content["Documents"]
        if "x-ms-continuation" not in answer.headers:
            return found, answer
        continuation = {"x_ms_continuation": answer.headers["x-ms-continuation"]}


class History(RuleBasedStateMachine):
    make_driver: Callable[..., Any]

    @initialize(ranges=st.sampled_from([1, 3]))
    def start(self, ranges: int) -> None:
        self.driver = self.make_driver(ranges=ranges)
        self.model = Model()
        self.seen: dict[tuple[str, str], int] = {}
        self.continuation = 0
        slices, hashed = equal_slices(ranges), KeyDefinition((("pk",),), "Hash", 2)
        self.range_of = lambda key: int(partition_of(slices, hashed.effective_key([key])).id)

    def teardown(self) -> None:
        self.driver.close()
        shutil.rmtree(self.driver.folder)

    @rule(key=KEYS, operations=OPERATIONS)
    def batch(self, key: str, operations: list[tuple[str, str, int, bool]]) -> None:
        body = [request(kind, id, key, value, stale) for kind, id, value, stale in operations]
        headers = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
        answer = self.driver.call("POST", f"{ITEMS}/docs", body, key=f'"{key}"', **headers)
        expected = self.model.batch(key, operations)
        assert [entry["statusCode"] for entry in answer.content] == expected
        assert answer.status == (200 if max(expected) < 400 else 207)

    @rule(key=KEYS, id=IDS, value=VALUES)
    def create(self, key: str, id: str, value: int) -> None:
        document = {"id": id, "pk": key, "value": value}
        answer = self.driver.call("POST", f"{ITEMS}/docs", document, key=f'"{key}"')
        assert [answer.status] == self.model.batch(key, [("Create", id, value, False)])

    @rule(key=KEYS, id=IDS, value=VALUES, stale=st.booleans())
    def replace(self, key: str, id: str, value: int, stale: bool) -> None:
        headers = {"if_match": STALE} if stale else {}
        document = {"id": id, "pk": key, "value": value}
        answer = self.driver.call("PUT", f"{ITEMS}/docs/{id}", document, key=f'"{key}"', **headers)
        assert [answer.status] == self.model.batch(key, [("Replace", id, value, stale)])

    @rule(key=KEYS, id=IDS)
    def delete(self, key: str, id: str) -> None:
        answer = self.driver.call("DELETE", f"{ITEMS}/docs/{id}", key=f'"{key}"')
        assert [answer.status] == self.model.batch(key, [("Delete", id, 0, False)])

    @rule(key=KEYS)
    def delete_partition(self, key: str) -> None:
        answer = self.driver.call("POST", f"{ITEMS}/operations/partitionkeydelete", key=f'"{key}"')
        assert answer.status == 200
        self.model.lsn += 1
        for address in [address for address in self.model.documents if address[0] == key]:
            del self.model.documents[address]

    @rule()
    def restart(self) -> None:
        self.driver.restart()

    @rule(most=st.integers(1, 5))
    def follow(self, most: int) -> None:
        """Read on from the last continuation, page by page."""
        expected = sorted(
            (version.written, address, version.value)
            for address, version in self.model.documents.items()
            if version.written[0] > self.continuation
        )
        found: list[tuple[tuple[str, str], int, int]] = []
        while True:
            headers = {"a_im": "Incremental feed", "x_ms_max_item_count": str(most)}
            answer = self.driver.call("GET", f"{ITEMS}/docs", if_none_match=f'"{self.continuation}"', **headers)
            self.continuation = int(answer.headers["etag"].strip('"'))
            if answer.status == 304:
                break
            page = [((item["pk"], item["id"]), item["value"], item["_lsn"]) for item in answer.content["Documents"]]
            assert not {lsn for _, _, lsn in page} & {lsn for _, _, lsn in found}, "a batch was torn"
            found += page
        assert [(address, value) for address, value, _ in found] == [(address, value) for _, address, value in expected]
        assert [lsn for _, _, lsn in found] == [written[0] for written, _, _ in expected]

    @invariant()
    def everything_is_read_as_it_was_written(self) -> None:
        found, last = read_all(self.driver)
        in_order = sorted(
            self.model.documents.items(), key=lambda entry: (self.range_of(entry[0][0]), entry[1].created)
        )
        assert [((item["pk"], item["id"]), item["value"]) for item in found] == [
            (address, version.value) for address, version in in_order
        ]
        assert last.headers["x-ms-session-token"].endswith(f"#{self.model.lsn}")

    @rule(key=KEYS, id=IDS)
    def read(self, key: str, id: str) -> None:
        answer = self.driver.call("GET", f"{ITEMS}/docs/{id}", key=f'"{key}"')
        version = self.model.documents.get((key, id))
        assert answer.status == (404 if version is None else 200)
        assert version is None or answer.content["value"] == version.value


def test_any_history_is_read_as_the_model_says(make_driver: Callable[..., Any]) -> None:
    machine = type("BoundHistory", (History,), {"make_driver": staticmethod(make_driver)})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=20, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
