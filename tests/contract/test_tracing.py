"""One trace per order, along the whole path: who made each span, and whose child it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from labkit import tracing
from labkit.clock import WallClock
from labkit.errors import SettingsError
from labkit.events.envelope import from_document
from labkit.lab import open_lab
from labkit.projections.committing import IDLE_SECONDS
from labkit.settings import embedded
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler, Context
from localazure.handle import LocalAzure
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def shop(azure: LocalAzure, tmp_path: Path) -> Iterator[Shop]:
    with open_lab("05", target=embedded(azure, tmp_path / "tables")) as lab:
        made = Shop(Side(lab), tmp_path / "tables" / "traced")
        yield made
        for projector in made.started:
            projector.stop()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    disable = tracing.enable(exporter)
    yield exporter
    disable()


def named(spans: InMemorySpanExporter, trace: int) -> dict[str, ReadableSpan]:
    found = [span for span in spans.get_finished_spans() if span.context.trace_id == trace]
    assert len({span.name for span in found}) == len(found)
    return {span.name: span for span in found}


def test_one_order_is_one_trace_from_the_request_to_the_query(shop: Shop, spans: InMemorySpanExporter) -> None:
    handler = CommandHandler(shop.lab.container("write-model", "command"), WallClock())
    serving = shop.lab.serve(tracing.Traced(command_app(handler)))
    name = f"order-{WallClock().now():%Y%m%d}-{shop.lab.name}"
    body = {
        "orderId": name,
        "customerId": "customer-1",
        "items": [{"productId": "tea", "quantity": 1, "unitPrice": "4.20"}],
    }
    headers = {"Idempotency-Key": name, "traceparent": GIVEN}
    answer = httpx.post(
        f"{serving.url}/orders", json=body, headers=headers, trust_env=False, timeout=60
    ).raise_for_status()
    shop.side.relay.run_once()
    projector = shop.projector()
    with tracing.span("query", GIVEN):
        projector.wait_until_visible(answer.json()["token"], PATIENCE_SECONDS)
    projector.stop()

    trace = named(spans, 0x0AF7651916CD43DD8448EB211C80319C)
    parents = {
        "POST /orders": 0xB7AD6B7169203331,
        "query": 0xB7AD6B7169203331,
        "CreateOrder": trace["POST /orders"].context.span_id,
        "transactional batch": trace["CreateOrder"].context.span_id,
        **dict.fromkeys(("relay", "hub", "projector", "commit"), trace["CreateOrder"].context.span_id),
    }
    assert {span.name: span.parent and span.parent.span_id for span in trace.values()} == parents
    in_order = [trace[step] for step in ("transactional batch", "relay", "hub", "projector", "commit")]
    begins = [(span.start_time or 0) // 1_000_000 for span in in_order]  # the hub tells whole milliseconds
    assert begins == sorted(begins)
    assert all((span.end_time or 0) >= (span.start_time or 0) for span in trace.values())
    assert (trace["query"].end_time or 0) >= (trace["projector"].end_time or 0)


def test_the_envelope_carries_the_span_of_the_command_and_each_order_has_a_trace_of_its_own(
    shop: Shop, spans: InMemorySpanExporter
) -> None:
    shop.does(shop.created(1), shop.created(2))
    stored = shop.side.write_model.query_items(
        "SELECT * FROM c WHERE c.kind = 'event'", enable_cross_partition_query=True
    )
    told = {from_document(one).metadata["traceparent"].rpartition("-")[0] for one in stored}
    made = [one.context for one in spans.get_finished_spans() if one.name == "CreateOrder"]
    assert told == {f"00-{context.trace_id:032x}-{context.span_id:016x}" for context in made}
    assert len({text.split("-")[1] for text in told}) == 2


def test_who_waited_until_it_is_visible_finds_it_counted_timed_and_traced(
    shop: Shop, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = shop.projector()
    monkeypatch.setattr(projector._committing, "_offer", lambda *_: time.sleep(4 * IDLE_SECONDS))  # a slow container
    projector.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
    assert projector.counters["commits"] == projector.counters["applied"] == 1
    assert len(projector.applied_after_seconds) == 1
    assert [span.name for span in spans.get_finished_spans()].count("commit") == 1


def test_off_an_event_says_what_the_caller_said_and_nothing_is_traced(shop: Shop) -> None:
    assert not tracing.is_on()
    shop.side.handler.handle(shop.created(1), Context("k", traceparent=GIVEN))
    (stored,) = shop.side.write_model.query_items(
        "SELECT * FROM c WHERE c.kind = 'event'", enable_cross_partition_query=True
    )
    assert from_document(stored).metadata["traceparent"] == GIVEN
    with tracing.span("anything", GIVEN) as here:
        assert here == GIVEN
    assert tracing.parent_in(b'{"metadata":{"traceparent":"x"}}') == ""


def test_off_nothing_of_the_implementation_is_even_imported() -> None:
    code = (
        "import sys, labkit.tracing as t, labkit.write_model.handler, labkit.events.publishing\n"
        "with t.span('x'): t.record('y', 'z', 0, 1)\n"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"metadata": 1}', b'{"metadata": {"traceparent": 1}}', b"{}"])
def test_what_is_no_event_has_no_parent(spans: InMemorySpanExporter, body: bytes) -> None:
    assert tracing.parent_in(body) == ""
    tracing.record("commit", tracing.parent_in(body), 0, 1)
    assert spans.get_finished_spans() == ()


def test_application_insights_needs_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tracing.APPLICATION_INSIGHTS, raising=False)
    with pytest.raises(SettingsError, match=tracing.APPLICATION_INSIGHTS):
        tracing.enable()
    monkeypatch.setenv(tracing.APPLICATION_INSIGHTS, "InstrumentationKey=x")
    with pytest.raises(SettingsError, match="pip install azure-monitor-opentelemetry"):
        tracing.enable()
    assert not tracing.is_on()
