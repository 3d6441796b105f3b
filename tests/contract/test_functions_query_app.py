"""The query side's function app: the same requests get the same answers as from uvicorn; its settings; its packages."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import pytest

from labkit.errors import SettingsError
from labkit.lab import Lab, open_lab
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.contract.test_functions_app import used_by, with_what_they_require
from tests.unit.read_queries.conftest import Tables

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "functions_query"
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
MOMENT = ("date", "transfer-encoding", "staleness-seconds", "content-length")


def loaded(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> Any:
    """The module as the Functions host loads it, with these settings as its environment."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("query_function_app", FOLDER / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def comparable(status: int, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
    told = {name.lower(): value for name, value in headers.items()}
    return status, {name: value for name, value in told.items() if name not in MOMENT}, body


async def test_the_same_requests_get_the_same_answers_as_from_uvicorn(
    lab: Lab, azure: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = loaded(monkeypatch, its_settings(lab, azure))
    (function,) = module.app.get_functions()
    synapse = Synapse(lab.tables_url, hub=Hub(lab.hub, lab.partition_ids))
    served = lab.serve(query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub))
    statuses = set()
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        for method, target, headers in REQUESTS:
            by_uvicorn = await client.request(method, target, headers=headers)
            request = func.HttpRequest(method, f"https://shop.example{target}", headers=headers, body=b"")
            answer = await function.get_user_function()(request, None)
            expected = comparable(by_uvicorn.status_code, by_uvicorn.headers, by_uvicorn.content)
            assert comparable(answer.status_code, answer.headers, answer.get_body()) == expected, (method, target)
            statuses.add(answer.status_code)
    assert statuses == {200, 304, 400, 404, 405, 422}
    synapse.close()
    module.synapse.close()


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "COSMOS_DATABASE"])
def test_a_setting_that_is_missing_or_wrong_is_named_and_not_told(
    name: str, lab: Lab, azure: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = its_settings(lab, azure)
    wrong = {} if name in ("READ_STORE_URL", "EVENTHUB_NAME") else {name: "secret-words"}
    with pytest.raises(SettingsError, match=name) as refused:
        loaded(monkeypatch, {other: value for other, value in settings.items() if other != name} | wrong)
    assert "secret" not in str(refused.value)


def test_it_is_told_of_no_key_that_can_write_or_send() -> None:
    template = json.loads((FOLDER / "local.settings.template.json").read_text(encoding="utf-8"))["Values"]
    assert set(template) == {*SETTINGS, "FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
    assert not any(template[name] for name in SETTINGS if name != "COSMOS_DATABASE")
    host = json.loads((FOLDER / "host.json").read_text(encoding="utf-8"))
    assert host["extensions"]["http"]["routePrefix"] == ""


def test_the_requirements_hold_all_that_is_loaded_and_nothing_that_is_not() -> None:
    text = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    asked = {line for line in text.splitlines() if line and not line.startswith("#")}
    used = used_by("labkit.settings, labkit.read_queries.api")
    assert used - with_what_they_require(asked) <= {
        "cqrs-on-azure-lab",
        "setuptools",
        "mypy-extensions",
    }  # which sqlglot can do without
    assert {name for name in asked if not name.startswith("azure-")} <= used
