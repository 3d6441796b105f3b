"""Transactional batches through azure-cosmos: all or nothing, and what each operation is answered with."""

from __future__ import annotations

from typing import Any

import pytest
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError


def item(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "pk": "a", **fields}


def ids(container: ContainerProxy) -> list[str]:
    return sorted(found["id"] for found in container.read_all_items())


def test_a_batch_does_all_its_operations_in_order(container: ContainerProxy) -> None:
    replaced, deleted = container.create_item(item("replaced", v=1)), container.create_item(item("deleted"))
    results = container.execute_item_batch(
        [
            ("create", (item("created"),)),
            ("upsert", (item("upserted", v=1),)),
            ("upsert", (item("upserted", v=2),)),
            ("replace", ("replaced", item("replaced", v=2)), {"if_match_etag": replaced["_etag"]}),
            ("patch", ("replaced", [{"op": "incr", "path": "/v", "value": 5}])),
            ("read", ("replaced",)),
            ("delete", ("deleted",), {"if_match_etag": deleted["_etag"]}),
        ],
        partition_key="a",
    )
    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 200, 204]
    assert results[5]["resourceBody"]["v"] == 7
    assert results[4]["eTag"] == results[5]["eTag"] == container.read_item("replaced", "a")["_etag"]
    assert ids(container) == ["created", "replaced", "upserted"]


def test_all_documents_of_a_batch_share_one_sequence_number(container: ContainerProxy) -> None:
    container.execute_item_batch([("create", (item(str(index)),)) for index in range(5)], partition_key="a")
    assert {found["_lsn"] for found in container.query_items_change_feed(start_time="Beginning")} == {1}


def test_the_charge_of_a_batch_is_the_sum_of_its_operations(container: ContainerProxy) -> None:
    results = container.execute_item_batch([("create", (item(str(index)),)) for index in range(3)], partition_key="a")
    charge = float(container.client_connection.last_response_headers["x-ms-request-charge"])
    assert charge == pytest.approx(sum(result["requestCharge"] for result in results))


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("create", ({"id": "there", "pk": "a"},)), 409),
        (("read", ("none",)), 404),
        (("delete", ("none",)), 404),
        (("replace", ("there", {"id": "there", "pk": "a"}), {"if_match_etag": '"stale"'}), 412),
        (("create", ({"id": "elsewhere", "pk": "other"},)), 400),
        (("patch", ("there", [{"op": "remove", "path": "/none"}])), 400),
        (
            ("patch", ("there", [{"op": "set", "path": "/x", "value": 1}]), {"filter_predicate": "FROM c WHERE false"}),
            412,
        ),
    ],
)
def test_one_refused_operation_undoes_the_batch(container: ContainerProxy, operation: Any, status: int) -> None:
    container.create_item(item("there"))
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch(
            [("create", (item("before"),)), operation, ("create", (item("after"),))], partition_key="a"
        )
    assert (caught.value.status_code, caught.value.error_index) == (status, 1)
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, status, 424]
    assert ids(container) == ["there"]
    container.create_item(item("next"))
    assert container.client_connection.last_response_headers["lsn"] == "2"


def test_a_batch_has_between_one_and_a_hundred_operations(container: ContainerProxy) -> None:
    for count in (0, 101):
        with pytest.raises(CosmosHttpResponseError) as caught:
            container.execute_item_batch([("create", (item(str(n)),)) for n in range(count)], partition_key="a")
        assert caught.value.status_code == 400
    container.execute_item_batch([("create", (item(str(n)),)) for n in range(100)], partition_key="a")
    assert len(ids(container)) == 100


def test_a_batch_above_two_megabytes_is_413(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.execute_item_batch(
            [("create", (item(str(n), text="x" * 300_000),)) for n in range(8)], partition_key="a"
        )
    assert caught.value.status_code == 413
    assert ids(container) == []
