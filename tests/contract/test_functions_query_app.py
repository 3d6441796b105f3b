"""The query side's function app: the same requests get the same answers as from uvicorn; its settings; its packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import SettingsError
from labkit.lab import Lab, open_lab
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.contract.function_apps import AppFolder, statuses_of_same_answers, used_by, with_what_they_require
from tests.unit.read_queries.conftest import Tables

REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/orders/order-20260105-1", {}),
    ("HEAD", "/orders/order-20260105-1", {}),
    ("GET", "/orders/order-20260105-1", {"If-None-Match": '"1"'}),
    ("GET", "/orders/order-20260105-1", {"If-Version-At-Least": "order-20260105-1@1"}),
    ("GET", "/orders/order-20260105-none", {}),
    ("GET", "/orders/x%20y", {}),
    ("GET", "/orders?from=2026-01-01&to=2026-01-31&size=2", {}),
    ("GET", "/orders?from=2026-01-01&to=2026-01-31&size=2&page=order-20260105-1", {}),
    ("GET", "/orders?from=2026-01-01&to=2026-01-31&status=%27%20OR%201=1", {}),
    ("GET", "/orders", {}),
    ("GET", "/orders?from=2026-01-01&to=2026-01-31", {"If-Version-At-Least": "x"}),
    ("GET", "/customers/customer-1/orders", {}),
    ("GET", "/metrics/daily?from=2026-01-01&to=2026-01-31", {}),
    ("GET", "/metrics/weekly", {}),
    ("GET", "/openapi.json", {}),
    ("GET", "/docs", {}),
    ("POST", "/orders", {}),
]
SETTINGS = ("COSMOS_READONLY_CONNECTION", "COSMOS_DATABASE", "READ_STORE_URL", "EVENTHUB_NAME", "EVENTHUB_PARTITIONS")
APP = AppFolder("functions_query", SETTINGS)


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("04", partitions=2, target=embedded(azure, tmp_path)) as one:
        made = [Tables.an_order(f"{n}") for n in range(1, 6)]
        Tables(Path(one.tables_url)).write([*made, Tables.a_customer("1", "Ada")])
        QueryContainer(one.container("query-model", "projector")).write(made)
        yield one


def its_settings(lab: Lab, azure: LocalAzure) -> dict[str, str]:
    values = (azure.cosmos_read_only_connection_string, lab.database("query").id, lab.tables_url, lab.hub, "2")
    return dict(zip(SETTINGS, values, strict=True))


async def test_the_same_requests_get_the_same_answers_as_from_uvicorn(
    lab: Lab, azure: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = APP.loaded(monkeypatch, its_settings(lab, azure))
    with Synapse(lab.tables_url, hub=Hub(lab.hub, lab.partition_ids)) as synapse:
        served = lab.serve(query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub))
        requests = [(method, target, b"", headers) for method, target, headers in REQUESTS]
        statuses = await statuses_of_same_answers(module.app, served.url, requests)
    assert statuses == {200, 304, 400, 404, 405, 422}
    module.synapse.close()


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "COSMOS_DATABASE"])
def test_a_setting_that_is_missing_or_wrong_is_named_and_not_told(
    name: str, lab: Lab, azure: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = its_settings(lab, azure)
    wrong = {} if name in ("READ_STORE_URL", "EVENTHUB_NAME") else {name: "secret-words"}
    with pytest.raises(SettingsError, match=name) as refused:
        APP.loaded(monkeypatch, {other: value for other, value in settings.items() if other != name} | wrong)
    assert "secret" not in str(refused.value)


def test_it_is_told_of_no_key_that_can_write_or_send() -> None:
    template = json.loads((APP.path / "local.settings.template.json").read_text(encoding="utf-8"))["Values"]
    assert set(template) == {*SETTINGS, "FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
    assert not any(template[name] for name in SETTINGS if name != "COSMOS_DATABASE")
    host = json.loads((APP.path / "host.json").read_text(encoding="utf-8"))
    assert host["extensions"]["http"]["routePrefix"] == ""


def test_the_requirements_hold_all_that_is_loaded_and_nothing_that_is_not() -> None:
    asked, used = APP.asked_for(), used_by("labkit.settings, labkit.read_queries.api")
    assert used - with_what_they_require(asked) <= {
        "cqrs-on-azure-lab",
        "setuptools",
        "mypy-extensions",
    }  # which sqlglot can do without
    assert {name for name in asked if not name.startswith("azure-")} <= used
