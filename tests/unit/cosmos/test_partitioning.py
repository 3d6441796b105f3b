"""Effective partition keys, compared with the SDK's own, and the slices they fall into."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.partition_key import _Undefined
from hypothesis import given
from hypothesis import strategies as st

from localazure.cosmos.errors import BadRequest
from localazure.cosmos.partitioning import KeyDefinition, canonical, split_path
from localazure.cosmos.ranges import Partitions, count_for, equal_slices, partition_of, split_to
from localazure.cosmos.sql.values import UNDEFINED

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: str(number) != "-0.0")
NUMBERS = FLOATS | st.integers(0, 2**32 - 1)
SCALARS = TEXTS | NUMBERS | st.booleans()


def ours(values: list[Any], kind: str = "Hash", version: int = 2) -> str:
    paths = [f"/p{index}" for index in range(len(values))]
    return KeyDefinition.from_json({"paths": paths, "kind": kind, "version": version}).effective_key(values)


def theirs(values: list[Any], kind: str = "Hash", version: int = 2) -> str:
    path: Any = "/p" if kind == "Hash" else [f"/p{index}" for index in range(len(values))]
    return str(PartitionKey(path, kind=kind, version=version)._get_effective_partition_key_string(values)).upper()


@given(SCALARS | st.none())
def test_version_2_hashes_as_the_sdk_does(value: Any) -> None:
    assert ours([value]) == theirs([value])


@given(SCALARS)
def test_version_1_hashes_as_the_sdk_does(value: Any) -> None:
    if isinstance(value, str) and any(byte == 0xFF for byte in value.encode()):
        return
    assert ours([value], version=1) == theirs([value], version=1)


@given(st.lists(SCALARS, min_size=1, max_size=3))
def test_a_hierarchical_key_hashes_level_by_level(values: list[Any]) -> None:
    assert ours(values, kind="MultiHash") == theirs(values, kind="MultiHash")
    assert ours(values, kind="MultiHash").startswith(ours(values[:1], kind="MultiHash"))


def test_undefined_is_not_null() -> None:
    assert ours([UNDEFINED]) == theirs([_Undefined()])
    assert ours([UNDEFINED]) != ours([None])
    assert canonical([UNDEFINED]) != canonical([None])


def test_one_number_is_one_key_however_it_is_written() -> None:
    assert ours([1]) == ours([1.0])
    assert canonical([1]) == canonical([1.0])
    for version in (1, 2):
        assert ours([0.0], version=version) == ours([-0.0], version=version) != ours([False], version=version)
    assert canonical([1]) != canonical([True]) != canonical(["1"])


@pytest.mark.parametrize(
    ("path", "names"), [("/a", ("a",)), ("/a/b", ("a", "b")), ('/"a/b"/c', ("a/b", "c")), ("/a/'b c'", ("a", "b c"))]
)
def test_a_path_names_properties(path: str, names: tuple[str, ...]) -> None:
    assert split_path(path) == names


@pytest.mark.parametrize("path", ["a", "/", "/a/", '/"a'])
def test_a_path_that_names_no_property_is_refused(path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        split_path(path)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "definition",
    [
        {"paths": []},
        {"paths": ["/a", "/b"], "kind": "Hash"},
        {"paths": ["/a", "/b", "/c", "/d"], "kind": "MultiHash", "version": 2},
        {"paths": ["/a", "/b"], "kind": "MultiHash", "version": 1},
        {"paths": ["/a"], "kind": "Range"},
        {"paths": ["/a"], "version": 3},
    ],
)
def test_a_definition_that_cosmos_db_refuses_is_refused(definition: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        KeyDefinition.from_json(definition)


def cover(partitions: Partitions) -> None:
    """No gap, no overlap, from the very start to the very end."""
    assert partitions[0].minimum == ""
    assert partitions[-1].maximum == "FF"
    for left, right in itertools.pairwise(partitions):
        assert left.minimum < left.maximum == right.minimum
    assert len({part.id for part in partitions}) == len(partitions)


@given(st.integers(1, 40), st.integers(1, 40), st.text(max_size=20))
def test_slices_cover_the_space_before_and_after_splits(first: int, then: int, key: str) -> None:
    before = equal_slices(first)
    after = split_to(before, then)
    cover(before)
    cover(after)
    assert len(after) == max(first, then)
    old, new = partition_of(before, ours([key])), partition_of(after, ours([key]))
    assert new.minimum <= ours([key]) < new.maximum
    assert new == old or old.id in new.parents


def test_equal_slices_hold_about_as_many_keys_each() -> None:
    partitions = equal_slices(5)
    counts = dict.fromkeys((part.id for part in partitions), 0)
    for index in range(5000):
        counts[partition_of(partitions, ours([f"order-{index}"])).id] += 1
    assert all(850 < count < 1150 for count in counts.values())


@pytest.mark.parametrize(("request_units", "count"), [(400, 1), (10_000, 1), (10_100, 2), (100_000, 10)])
def test_ten_thousand_request_units_need_a_physical_partition_each(request_units: int, count: int) -> None:
    assert count_for(request_units) == count
