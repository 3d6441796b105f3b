"""What both HTTP APIs are made of: a FastAPI app whose every refusal is a problem, and a page that needs no network.

Owns: the limit of a body, HEAD, how headers are told, the handlers that turn errors into problems, `/openapi.json`, and
`/docs`, a plain page made from it (FastAPI's own loads its scripts from elsewhere). Refuses to know: routes, and what
they ask.

A body is read up to its limit and no further, so that memory is bounded and an answer never waits for the end of a body
that is too long. What the HTTP server itself refuses (a request that is no HTTP) never gets here.
Known gap: how many headers are read is the HTTP server's affair.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from azure.core.exceptions import AzureError
from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labkit import problems
from labkit.problems import Problem

BODY_BYTES_AT_MOST: Final = 256 * 1024
"""Twice what the largest order takes, every letter of it escaped."""

FRAMEWORK: Final[Mapping[int, str]] = {404: "no-such-resource", 405: "method-not-allowed", 413: "too-large"}
"""What the framework refuses by itself, by status; anything else of it is about a body that cannot be parsed."""


def new_api(title: str, description: str, codes: Mapping[str, int], needed: Mapping[str, str] | None = None) -> FastAPI:
    """An app without routes yet.

    `codes`: its own problems, beside `problems.STATUS`. `needed`: header -> why a request without it is refused.
    """
    api = FastAPI(
        title=title, description=description, docs_url=None, redoc_url=None, redirect_slashes=False, version="1"
    )
    api.add_middleware(SizeLimit)
    problem_of: Mapping[type[Exception], Callable[[Any], Problem]] = {
        Problem: lambda error: error,
        AzureError: problems.of_azure,
        RequestValidationError: lambda error: problems.of_validation(error.errors(), needed or {}),
        HTTPException: lambda error: Problem(
            FRAMEWORK.get(error.status_code, "malformed"), error.detail, headers=error.headers
        ),
        Exception: lambda error: Problem("internal", "A fault of this service, and noted there."),
    }
    for kind, make in problem_of.items():
        api.add_exception_handler(kind, answering(make))

    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(page(api.openapi(), {**codes, **problems.STATUS}))

    api.add_route("/docs", docs, include_in_schema=False)
    return api


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may be refused with these, beside those that any route may give."""
    form = {"type": "object", "required": ["type", "title", "status", "detail", "code"]}
    told = {"description": "Refused (RFC 9457)", "content": {problems.MEDIA_TYPE: {"schema": form}}}
    return dict.fromkeys((*statuses, 429, 502, 503), told)


class HeadAsGet:
    """HEAD is answered as GET would be, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, without_body)


class SizeLimit:
    """What reads a body that is longer than it may be finds that the request is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_BYTES_AT_MOST:
                raise HTTPException(413, f"A body has at most {BODY_BYTES_AT_MOST} bytes.")
            return message

        with suppress(ClientDisconnect):  # nobody is left to answer
            await self.app(scope, counted, send)


def whole(pattern: re.Pattern[str]) -> str:
    """The pattern for JSON Schema: of the whole text, and with digits that every dialect takes for ASCII."""
    return "^(?:" + pattern.pattern.replace(r"\d", "[0-9]") + ")$"


def header_of(name: str, description: str, form: re.Pattern[str]) -> Any:
    """A header whose form the document tells; it is checked where the refusal can say more."""
    return Header(alias=name, description=description, json_schema_extra={"pattern": whole(form)})


def headers_said(texts: Mapping[str, str]) -> dict[str, Any]:
    """The headers of an answer, as the document has them: name -> what it says."""
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}


def told_once(request: Request, *names: str) -> None:
    """Raises: `Problem` for a header that comes more than once: which of them is meant?"""
    for name in names:
        if len(request.headers.getlist(name)) > 1:
            raise Problem("bad-header", f"{name} is told more than once.")


def answering(problem_of: Callable[[Any], Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The handler for one kind of error."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    return answer


def page(schema: Mapping[str, Any], codes: Mapping[str, int]) -> str:
    """The API for people: each operation, each schema, each problem. No script, no style from elsewhere."""
    title = html.escape(schema["info"]["title"])
    parts = [f"<h1>{title}</h1><p>{html.escape(schema['info']['description'])}</p>"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>{as_text(operation)}")
    listed = (f'<dt id="{code}"><code>{code}</code></dt><dd>{status}</dd>' for code, status in sorted(codes.items()))
    parts += ["<h2>Problems</h2><dl>", *listed, "</dl><h2>Schemas</h2>", as_text(schema.get("components", {}))]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{title}</title></head><body>{"".join(parts)}</body></html>'
    )


def as_text(told: Mapping[str, Any]) -> str:
    return f'<pre style="overflow:auto">{html.escape(json.dumps(told, indent=1))}</pre>'
