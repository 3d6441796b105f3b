"""Items through azure-cosmos, unmodified: what each operation answers, and what it refuses with which status."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

KIBIBYTE = 1024


def headers(container: ContainerProxy) -> dict[str, str]:
    return dict(container.client_connection.last_response_headers)


def refused(act: Callable[[], Any], status: int, substatus: int | None = None) -> CosmosHttpResponseError:
    """What `act` is refused with, after its status and sub-status have been compared."""
    with pytest.raises(CosmosHttpResponseError) as caught:
        act()
    assert (caught.value.status_code, caught.value.sub_status) == (status, substatus)
    return caught.value


def test_a_created_item_is_read_back_with_its_system_properties(container: ContainerProxy) -> None:
    created = container.create_item({"id": "1", "pk": "a", "text": "äöü 漢 🙂", "n": 1.5, "deep": {"list": [1, None]}})
    assert container.read_item("1", "a") == created
    assert {name for name in created if name.startswith("_")} == {"_rid", "_self", "_etag", "_attachments", "_ts"}
    assert created["_self"].endswith(f"/docs/{created['_rid']}/")
    assert abs(created["_ts"] - time.time()) < 60


def test_every_answer_tells_session_range_and_charge(container: ContainerProxy) -> None:
    created = container.create_item({"id": "1", "pk": "a"})
    told = headers(container)
    assert told["x-ms-session-token"] == "0:-1#1"
    assert told["x-ms-documentdb-partitionkeyrangeid"] == "0"
    assert told["x-ms-alt-content-path"] == container.container_link
    assert told["etag"] == created["_etag"]
    assert told["x-ms-request-charge"] == "4.95"
    assert told["lsn"] == "1"


def test_an_id_exists_once_per_logical_partition(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "a"})
    container.create_item({"id": "1", "pk": "b"})
    with pytest.raises(CosmosResourceExistsError) as caught:
        container.create_item({"id": "1", "pk": "a"})
    assert caught.value.status_code == 409


def test_a_missing_item_is_404_without_substatus(container: ContainerProxy) -> None:
    with pytest.raises(CosmosResourceNotFoundError) as caught:
        container.read_item("none", "a")
    assert (caught.value.status_code, caught.value.sub_status) == (404, None)
    refused(lambda: container.replace_item("none", {"id": "none", "pk": "a"}), 404)
    refused(lambda: container.delete_item("none", "a"), 404)
    refused(lambda: container.patch_item("none", "a", [{"op": "set", "path": "/x", "value": 1}]), 404)


def test_upsert_creates_and_then_replaces(container: ContainerProxy) -> None:
    container.upsert_item({"id": "1", "pk": "a", "v": 1})
    container.upsert_item({"id": "1", "pk": "a", "w": 2})
    assert {name: value for name, value in container.read_item("1", "a").items() if name[0] != "_"} == {
        "id": "1",
        "pk": "a",
        "w": 2,
    }


def test_replace_changes_the_etag_and_keeps_the_resource_id(container: ContainerProxy) -> None:
    first = container.create_item({"id": "1", "pk": "a", "v": 1})
    second = container.replace_item("1", {"id": "1", "pk": "a", "v": 2})
    assert second["_etag"] != first["_etag"]
    assert second["_rid"] == first["_rid"]


def test_an_item_is_reached_by_the_link_it_names_itself(container: ContainerProxy) -> None:
    created = container.create_item({"id": "1", "pk": "a", "v": 1})
    container.replace_item(created, {"id": "1", "pk": "a", "v": 2})
    assert container.read_item(created, "a")["v"] == 2
    container.delete_item(created, "a")
    refused(lambda: container.read_item(created, "a"), 404)


def test_a_stale_etag_is_refused_and_changes_nothing(container: ContainerProxy) -> None:
    stale = container.create_item({"id": "1", "pk": "a", "v": 1})
    current = container.replace_item(
        "1", {"id": "1", "pk": "a", "v": 2}, etag=stale["_etag"], match_condition=MatchConditions.IfNotModified
    )
    condition = {"etag": stale["_etag"], "match_condition": MatchConditions.IfNotModified}
    document = {"id": "1", "pk": "a", "v": 3}
    for act in (
        lambda: container.replace_item("1", document, **condition),
        lambda: container.upsert_item(document, **condition),
        lambda: container.delete_item("1", "a", **condition),
        lambda: container.patch_item("1", "a", [{"op": "set", "path": "/v", "value": 3}], **condition),
    ):
        with pytest.raises(CosmosAccessConditionFailedError) as caught:
            act()
        assert caught.value.status_code == 412
    assert container.read_item("1", "a") == current


def test_if_missing_refuses_to_replace(container: ContainerProxy) -> None:
    container.upsert_item({"id": "1", "pk": "a"}, match_condition=MatchConditions.IfMissing)
    refused(lambda: container.upsert_item({"id": "1", "pk": "a"}, match_condition=MatchConditions.IfMissing), 412)


def test_the_key_of_the_header_must_be_the_documents(container: ContainerProxy) -> None:
    options = {"partitionKey": "other"}
    refused(lambda: container.create_item({"id": "1", "pk": "a"}, request_options=options), 400, 1001)


@pytest.mark.parametrize("value", ["text", "", 7, -1.5, 1e300, True, False, None, "漢" * 60])
def test_any_scalar_is_a_partition_key_value(container: ContainerProxy, value: Any) -> None:
    container.create_item({"id": "1", "pk": value})
    assert container.read_item("1", value)["pk"] == value
    if value is not None:  # which the SDK takes for "no key"
        assert list(container.query_items("SELECT VALUE c.id FROM c", partition_key=value)) == ["1"]


def test_a_document_without_the_key_property_has_an_undefined_key(container: ContainerProxy) -> None:
    from azure.cosmos.partition_key import NonePartitionKeyValue

    container.create_item({"id": "1"})
    container.create_item({"id": "1", "pk": None, "other": True})
    assert "other" not in container.read_item("1", NonePartitionKeyValue)


def test_an_item_of_two_megabytes_is_kept_and_a_larger_one_refused_with_413(container: ContainerProxy) -> None:
    body = {"id": "1", "pk": "a", "text": ""}
    room = 2 * KIBIBYTE * KIBIBYTE - len('{"id":"1","pk":"a","text":""}')
    container.create_item({**body, "text": "x" * room})
    assert len(container.read_item("1", "a")["text"]) == room
    refused(lambda: container.create_item({**body, "id": "2", "text": "x" * (room + 1)}), 413)


def test_an_id_is_text_without_slashes(container: ContainerProxy) -> None:
    for id in ("with space inside", "ä", "a.b-c_d~", "100%"):
        container.create_item({"id": id, "pk": "a"})
        assert container.read_item(id, "a")["id"] == id
    refused(lambda: container.create_item({"id": "", "pk": "a"}), 400)
    refused(lambda: container.create_item({"id": "x" * 1024, "pk": "a"}), 400)


def test_the_charge_follows_the_documented_table(container: ContainerProxy) -> None:
    for size_kb, read_ru, write_ru in ((1, 1.0, 4.95), (4, 1.14, 6.67), (64, 4.76, 22.67), (1024, 145.9, 625.0)):
        document = {"id": str(size_kb), "pk": "a", "text": ""}
        container.upsert_item(document)
        empty = len(container.client_connection.last_response_headers["etag"]) + 260
        container.upsert_item({**document, "text": "x" * max(0, size_kb * KIBIBYTE - empty)})
        assert float(headers(container)["x-ms-request-charge"]) == pytest.approx(write_ru, rel=0.05)
        container.read_item(str(size_kb), "a")
        assert float(headers(container)["x-ms-request-charge"]) == pytest.approx(read_ru, rel=0.05)


def test_a_write_can_do_without_its_payload(container: ContainerProxy) -> None:
    assert container.create_item({"id": "1", "pk": "a"}, no_response=True) == {}
    assert container.read_item("1", "a")["id"] == "1"


@pytest.mark.parametrize(
    "options", [{"pre_trigger_include": "t"}, {"post_trigger_include": "t"}, {"indexing_directive": 2}]
)
def test_a_write_that_asks_for_a_trigger_or_an_indexing_directive_is_400(
    container: ContainerProxy, options: dict[str, Any]
) -> None:
    refused(lambda: container.create_item({"id": "1", "pk": "a"}, **options), 400)
    refused(lambda: container.read_item("1", "a"), 404)


def test_many_items_are_read_at_once(container: ContainerProxy) -> None:
    written = {str(index): container.create_item({"id": str(index), "pk": f"p{index % 5}"}) for index in range(20)}
    wanted = [(str(index), f"p{index % 5}") for index in (3, 1, 17, 8)]
    others = [("none", "p1"), ("2", "p1")]  # not there, and there under another key
    found = container.read_items([*wanted, *others])
    assert list(found) == [written[id] for id, _ in wanted], "in the order asked, whole"
    assert float(headers(container)["x-ms-request-charge"]) > 0
    assert list(container.read_items([])) == []


def test_numbers_are_stored_as_doubles(container: ContainerProxy) -> None:
    exact, beyond = 2**53, 2**53 + 1
    container.create_item(
        {"id": "1", "pk": beyond, "exact": exact, "beyond": beyond, "huge": 10**300, "small": -beyond}
    )
    for key in (exact, beyond):
        item = container.read_item("1", key)
        assert (item["pk"], item["exact"], item["beyond"], item["small"]) == (exact, exact, exact, -exact)
        assert item["huge"] == 1e300
    patched = container.patch_item("1", exact, [{"op": "incr", "path": "/exact", "value": 1}])
    assert patched["exact"] == exact
    assert list(container.query_items("SELECT VALUE c.beyond FROM c", partition_key=exact)) == [exact]


def test_all_items_of_a_partition_key_are_deleted_at_once(container: ContainerProxy) -> None:
    for index in range(10):
        container.create_item({"id": str(index), "pk": "gone" if index % 2 else "kept"})
    container.delete_all_items_by_partition_key("gone")
    assert sorted(item["id"] for item in container.read_all_items()) == ["0", "2", "4", "6", "8"]


def test_all_items_are_read_page_by_page(container: ContainerProxy) -> None:
    for index in range(25):
        container.create_item({"id": str(index), "pk": f"p{index % 3}"})
    pages = [[item["id"] for item in page] for page in container.read_all_items(max_item_count=10).by_page()]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [id for page in pages for id in page] == [str(index) for index in range(25)]


def test_an_expired_item_is_gone_from_reads_queries_and_feeds_at_once(container: ContainerProxy) -> None:
    container.create_item({"id": "brief", "pk": "a", "ttl": 1})
    container.create_item({"id": "lasting", "pk": "a"})
    while len(list(container.read_all_items())) == 2:
        pass  # until its second is over
    refused(lambda: container.read_item("brief", "a"), 404)
    assert list(container.query_items("SELECT VALUE c.id FROM c", partition_key="a")) == ["lasting"]
    assert [item["id"] for item in container.query_items_change_feed(start_time="Beginning")] == ["lasting"]
    container.create_item({"id": "brief", "pk": "a"})


def test_a_time_to_live_must_be_a_positive_number(container: ContainerProxy) -> None:
    for ttl in (0, -2, "soon", 1.5):
        refused(lambda ttl=ttl: container.create_item({"id": "1", "pk": "a", "ttl": ttl}), 400)


PATCHES: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    ([{"op": "add", "path": "/b", "value": 1}], {"a": {"n": 1}, "l": [1, 2], "b": 1}),
    ([{"op": "add", "path": "/l/0", "value": 9}], {"a": {"n": 1}, "l": [9, 1, 2]}),
    ([{"op": "add", "path": "/l/-", "value": 9}], {"a": {"n": 1}, "l": [1, 2, 9]}),
    ([{"op": "set", "path": "/l/0", "value": 9}], {"a": {"n": 1}, "l": [9, 2]}),
    ([{"op": "replace", "path": "/a/n", "value": "x"}], {"a": {"n": "x"}, "l": [1, 2]}),
    ([{"op": "remove", "path": "/l/1"}], {"a": {"n": 1}, "l": [1]}),
    ([{"op": "incr", "path": "/a/n", "value": -3}], {"a": {"n": -2}, "l": [1, 2]}),
    ([{"op": "incr", "path": "/new", "value": 2}], {"a": {"n": 1}, "l": [1, 2], "new": 2}),
    ([{"op": "move", "from": "/a/n", "path": "/moved"}], {"a": {}, "l": [1, 2], "moved": 1}),
]


@pytest.mark.parametrize(("operations", "expected"), PATCHES)
def test_a_patch_changes_what_it_names(
    container: ContainerProxy, operations: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    container.create_item({"id": "1", "pk": "p", "a": {"n": 1}, "l": [1, 2]})
    patched = container.patch_item("1", "p", operations)
    assert {name: value for name, value in patched.items() if name[0] != "_"} == {"id": "1", "pk": "p", **expected}
    assert container.read_item("1", "p") == patched


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "remove", "path": "/none"},
        {"op": "incr", "path": "/text", "value": 1},
        {"op": "set", "path": "/pk", "value": "other"},
        {"op": "set", "path": "/id", "value": "other"},
        {"op": "remove", "path": "/_ts"},
        {"op": "set", "path": "/l/7", "value": 1},
        {"op": "set", "path": "/missing/deep", "value": 1},
        {"op": "fly", "path": "/text", "value": 1},
        {"op": "set", "path": "no-slash", "value": 1},
    ],
)
def test_a_patch_that_cannot_be_applied_is_400_and_changes_nothing(
    container: ContainerProxy, operation: dict[str, Any]
) -> None:
    before = container.create_item({"id": "1", "pk": "p", "text": "t", "l": [1]})
    refused(lambda: container.patch_item("1", "p", [{"op": "set", "path": "/text", "value": "u"}, operation]), 400)
    assert container.read_item("1", "p") == before


def test_a_patch_has_at_most_ten_operations(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "p"})
    operations = [{"op": "set", "path": f"/x{index}", "value": index} for index in range(11)]
    container.patch_item("1", "p", operations[:10])
    refused(lambda: container.patch_item("1", "p", operations), 400)


def test_a_patch_applies_only_where_its_condition_holds(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "p", "status": "open"})
    ship = [{"op": "set", "path": "/status", "value": "shipped"}]
    condition = "FROM c WHERE c.status = 'open'"
    assert container.patch_item("1", "p", ship, filter_predicate=condition)["status"] == "shipped"
    refused(lambda: container.patch_item("1", "p", ship, filter_predicate=condition), 412)
    refused(lambda: container.patch_item("1", "p", ship, filter_predicate="FROM c WHERE"), 400)
