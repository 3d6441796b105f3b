"""One trace per order, from the HTTP request to the query: spans that are made by whoever does the work.

Owns: switching traces on, and how a span is told its parent. Refuses to know what is traced.

A parent is a `traceparent` (W3C Trace Context), which travels in the event's envelope: the spans of one order are
made by several processes, and belong together by that text alone. Off, nothing of OpenTelemetry's implementation is
imported, and a span costs one comparison. On Azure, `APPLICATIONINSIGHTS_CONNECTION_STRING` and the package
`azure-monitor-opentelemetry` send the spans to Application Insights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from labkit.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer
    from starlette.types import ASGIApp, Receive, Scope, Send

APPLICATION_INSIGHTS = "APPLICATIONINSIGHTS_CONNECTION_STRING"

_tracer: Tracer | None = None


def is_on() -> bool:
    return _tracer is not None


def enable(exporter: SpanExporter | None = None) -> Callable[[], None]:
    """Trace from now on, to `exporter`, or to Application Insights if the environment names it; what ends it.

    Raises: `SettingsError` if there is neither, or the package for the latter is missing.
    """
    global _tracer
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider()
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    elif connection := os.environ.get(APPLICATION_INSIGHTS):
        try:
            from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter
        except ImportError as error:
            raise SettingsError("traces there need: pip install azure-monitor-opentelemetry") from error
        provider.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(connection_string=connection)))
    else:
        raise SettingsError(f"give an exporter, or set {APPLICATION_INSIGHTS}")
    _tracer = provider.get_tracer("labkit")

    def disable() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return disable


@contextmanager
def span(name: str, parent: str = "", **attributes: Any) -> Iterator[str]:
    """A span around the block, and its own `traceparent`; off, the parent's. No parent: the block's around it."""
    if _tracer is None:
        yield parent
        return
    with _tracer.start_as_current_span(name, _context(parent), attributes=attributes) as current:
        yield traceparent(current)


def record(name: str, parent: str, began: float, ended: float, **attributes: Any) -> None:
    """A span of what is over; times are seconds since 1970. Without a parent there is no trace that it belongs to."""
    if _tracer is not None and parent:
        since, until = (round(at * 1e6) * 1000 for at in (began, ended))  # finer is only the noise of a float
        made = _tracer.start_span(name, _context(parent), start_time=since, attributes=attributes)
        made.end(until)


def traceparent(current: Span) -> str:
    told = current.get_span_context()
    return f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags:02x}"


class _Metadata(msgspec.Struct):
    traceparent: str = ""


class _Traced(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_decoder = msgspec.json.Decoder(_Traced)


def parent_in(body: bytes) -> str:
    """The `traceparent` in an event's bytes; nothing if traces are off, or it has none, or is no event."""
    try:
        return _decoder.decode(body).metadata.traceparent if _tracer else ""
    except msgspec.MsgspecError:
        return ""


class Traced:
    """An ASGI app whose requests are spans; the app behind it finds the span's `traceparent` in the header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _tracer is None or scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        others = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
        parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        with span(f"{scope['method']} {scope['path']}", parent) as here:
            await self.app({**scope, "headers": [*others, (b"traceparent", here.encode())]}, receive, send)


def _context(parent: str) -> Context | None:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
