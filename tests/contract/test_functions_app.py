"""`deploy/functions` through `azure.functions` itself: the same requests get the same answers as from uvicorn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from labkit.clock import WallClock
from labkit.errors import SettingsError
from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler
from localazure.handle import LocalAzure
from tests.contract.function_apps import AppFolder, statuses_of_same_answers, used_by, with_what_they_require

APP = AppFolder("functions", ("COSMOS_CONNECTION", "COSMOS_DATABASE"))
ID = f"order-{datetime.now(UTC):%Y%m%d}-0001"
ITEMS = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
ORDER = {"orderId": ID, "customerId": "customer-1", "items": ITEMS}
CUSTOMER = {"customerId": "customer-1", "name": "Zo\u00eb \U0001f375"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JSON = {"Content-Type": "application/json"}
MISTYPED = "AccountEndpoint=http://127.0.0.1:9/;AccountKey=secret"

REQUESTS: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("POST", "/customers", json.dumps(CUSTOMER, ensure_ascii=False).encode(), {"Idempotency-Key": "k-0", **JSON}),
    ("POST", "/orders", json.dumps(ORDER).encode(), {"Idempotency-Key": "k-1", "traceparent": TRACE, **JSON}),
    ("POST", "/orders", json.dumps(ORDER).encode(), {"Idempotency-Key": "k-1", **JSON}),
    ("POST", "/orders", json.dumps(ORDER).encode(), JSON),
    ("PATCH", f"/orders/{ID}", json.dumps({"items": ITEMS * 2}).encode(), {"Idempotency-Key": "k-2", **JSON}),
    ("PATCH", f"/orders/{ID}", b'{"items": [', {"Idempotency-Key": "k-3", **JSON}),
    ("PATCH", f"/orders/{ID}", b'{"items": []}', {"Idempotency-Key": "k-3", **JSON}),
    ("PATCH", f"/orders/{ID}", b"items", {"Idempotency-Key": "k-3", "Content-Type": "text/plain"}),
    ("PATCH", f"/orders/{ID}", b" " * 300_000, {"Idempotency-Key": "k-3", **JSON}),
    ("POST", f"/orders/{ID}/pay", b"", {"Idempotency-Key": "k-4", "If-Match": '"1"'}),
    ("POST", f"/orders/{ID}/pay", b"", {"Idempotency-Key": "k-4", "If-Match": '"2"', "X-Correlation-Id": "story"}),
    ("POST", f"/orders/{ID}/pay", b"", {"Idempotency-Key": "k-5"}),
    ("POST", f"/orders/{ID}/ship", b"", {"idempotency-key": "k-6"}),
    ("POST", f"/orders/{ID}/cancel", b'{"reason": "late"}', {"Idempotency-Key": "k-7", **JSON}),
    ("POST", "/orders/x%20y/pay", b"", {"Idempotency-Key": "k-8"}),
    ("POST", "/api/orders", b"", {"Idempotency-Key": "k-8"}),
    ("GET", "/openapi.json", b"", {}),
    ("GET", "/docs?a=b", b"", {}),
    ("GET", "/", b"", {}),
    ("DELETE", "/orders", b"", {}),
    ("OPTIONS", "/orders", b"", {}),
]


@pytest.fixture
def labs(azure: LocalAzure, tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    """Two labs, so that the same requests meet the same state on both sides."""
    with (
        open_lab("00", target=embedded(azure, tmp_path)) as one,
        open_lab("00", target=embedded(azure, tmp_path)) as two,
    ):
        yield one, two


@pytest.fixture
def functions(azure: LocalAzure, labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch) -> Any:
    database = labs[1].database("command").id
    settings = {"COSMOS_CONNECTION": azure.cosmos_connection_string, "COSMOS_DATABASE": database}
    return APP.loaded(monkeypatch, settings).app


async def test_the_same_requests_get_the_same_answers_as_from_uvicorn(labs: tuple[Lab, Lab], functions: Any) -> None:
    write_model = labs[0].container("write-model", "command")
    served = labs[0].serve(command_app(CommandHandler(write_model, WallClock())))
    statuses = await statuses_of_same_answers(functions, served.url, REQUESTS)
    assert statuses == {200, 201, 400, 404, 405, 409, 412, 413, 415, 422}


def test_one_function_takes_every_route_and_asks_for_a_key(functions: Any) -> None:
    (function,) = functions.get_functions()
    trigger = function.get_trigger().get_dict_repr()
    host = json.loads((APP.path / "host.json").read_text(encoding="utf-8"))
    assert (function.get_function_name(), trigger["route"]) == ("commands", "/{*route}")
    assert trigger["authLevel"] == func.AuthLevel.FUNCTION
    assert {str(method.value) for method in trigger["methods"]} >= {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"}
    assert host["extensions"]["http"]["routePrefix"] == ""  # else every address would begin with /api


@pytest.mark.parametrize("connection", [{}, {"COSMOS_CONNECTION": "secret-words"}, {"COSMOS_CONNECTION": MISTYPED}])
def test_a_setting_that_is_missing_or_wrong_is_named_and_not_told(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match="COSMOS_CONNECTION") as refused:
        APP.loaded(monkeypatch, connection)
    assert "secret" not in str(refused.value)


def test_the_settings_template_names_what_the_app_reads_and_holds_no_secret() -> None:
    template = json.loads((APP.path / "local.settings.template.json").read_text(encoding="utf-8"))["Values"]
    assert template["COSMOS_CONNECTION"] == ""
    assert {"COSMOS_CONNECTION", "COSMOS_DATABASE", "FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"} == set(template)


def test_the_requirements_hold_all_that_is_loaded_and_nothing_that_is_not() -> None:
    """What the host installs from requirements.txt has to do: the rest of the lab's packages is not there."""
    asked, used = APP.asked_for(), used_by("labkit.settings, labkit.clock, labkit.write_model.api")
    assert used - with_what_they_require(asked) <= {"setuptools"}
    assert asked <= used
