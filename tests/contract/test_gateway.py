"""The gateway's rule, twice: `labkit/gateway.py` and `deploy/apim/policy.xml` are held to one table of cases.

The policy is read as API Management reads it, by a small evaluator that knows the forms used there and no other: a
condition or an action that it does not know is an error, never a guess.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import httpx
import pytest

from labkit.gateway import Gateway
from labkit.http_api import new_api
from labkit.lab import Lab
from labkit.problems import MEDIA_TYPE
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler

POLICY = Path(__file__).resolve().parents[2] / "deploy" / "apim" / "policy.xml"
ALLOW = "GET, HEAD, POST, PATCH, PUT, DELETE"

CASES = [
    ("GET", "query"),
    ("HEAD", "query"),
    ("POST", "command"),
    ("PATCH", "command"),
    ("PUT", "command"),
    ("DELETE", "command"),
    ("OPTIONS", "refused"),
    ("TRACE", "refused"),
    ("QUERY", "refused"),
    ("PROPFIND", "refused"),
    ("get", "refused"),
    ("Post", "refused"),
    ("GETS", "refused"),
]


# --- the policy's meaning ---------------------------------------------------------------------------------------------


class UnknownPolicy(Exception):
    """Something in the policy that this evaluator has not been taught."""


@dataclass(frozen=True)
class Forwarded:
    url: str
    key: str


@dataclass(frozen=True)
class Returned:
    status: int
    headers: dict[str, str]
    body: str


def decided(policy: Element, method: str) -> Forwarded | Returned:
    """What the policy's inbound section makes of a request with this method."""
    inbound = only(policy, "inbound")
    if [step.tag for step in inbound] != ["base", "choose"]:
        raise UnknownPolicy([step.tag for step in inbound])
    for branch in inbound[1]:
        if branch.tag == "when" and holds(branch.attrib["condition"], method):
            return forwarded(branch)
        if branch.tag == "otherwise":
            return returned(only(branch, "return-response"))
        if branch.tag != "when":
            raise UnknownPolicy(branch.tag)
    raise UnknownPolicy("a method that no branch decides on")


def holds(condition: str, method: str) -> bool:
    """Whether `@(context.Request.Method == "A" || context.Request.Method == "B" ...)` is true."""
    form = re.fullmatch(r"@\((.+)\)", condition)
    if form is None:
        raise UnknownPolicy(condition)
    compared = [re.fullmatch(r'context\.Request\.Method == "([A-Z]+)"', part) for part in form[1].split(" || ")]
    if None in compared:
        raise UnknownPolicy(condition)
    return method in [part[1] for part in compared if part]


def forwarded(branch: Element) -> Forwarded:
    if [step.tag for step in branch] != ["set-backend-service", "set-header"]:
        raise UnknownPolicy([step.tag for step in branch])
    ((name, value),) = header(branch[1]).items()
    if name != "x-functions-key":
        raise UnknownPolicy(name)
    return Forwarded(branch[0].attrib["base-url"], value)


def returned(response: Element) -> Returned:
    headers: dict[str, str] = {}
    for step in response:
        if step.tag not in ("set-status", "set-header", "set-body"):
            raise UnknownPolicy(step.tag)
        headers |= header(step) if step.tag == "set-header" else {}
    return Returned(int(only(response, "set-status").attrib["code"]), headers, only(response, "set-body").text or "")


def header(step: Element) -> dict[str, str]:
    if step.attrib["exists-action"] != "override":
        raise UnknownPolicy(step.attrib)
    return {step.attrib["name"]: only(step, "value").text or ""}


def only(parent: Element, tag: str) -> Element:
    found = parent.findall(tag)
    if len(found) != 1:
        raise UnknownPolicy(f"{len(found)} of {tag} in {parent.tag}")
    return found[0]


@pytest.fixture(scope="module")
def policy() -> Element:
    return ElementTree.parse(POLICY).getroot()


# --- one table, two gateways ------------------------------------------------------------------------------------------


def signs(name: str) -> Any:
    """An app that says who it is, and what it was asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked = f"{name} {scope['method']} {scope['path']}?{scope['query_string'].decode()} "
        body = asked.encode() + (await receive())["body"]
        await send({"type": "http.response.start", "status": 218, "headers": [(b"x-app", name.encode())]})
        await send({"type": "http.response.body", "body": body})

    return app


async def asked(app: Any, method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """The app's answer to a request with this very method: HTTP clients would write it in capitals."""
    path, _, query = target.partition("?")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []}
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize(("method", "expected"), CASES)
async def test_both_gateways_decide_by_the_method_alone(policy: Element, method: str, expected: str) -> None:
    outcome = decided(policy, method)
    gateway = Gateway(query=signs("query"), command=signs("command"))
    status, headers, body = await asked(gateway, method, "/orders/1?a=b", b"body")
    if isinstance(outcome, Forwarded):
        assert outcome == Forwarded(f"{{{{{expected}-url}}}}", f"{{{{{expected}-key}}}}")
        assert (status, headers) == (218, {"x-app": expected})
        assert body.decode() == f"{expected} {method} /orders/1?a=b body"
    else:
        assert (expected, status) == ("refused", outcome.status)
        assert json.loads(body) == json.loads(outcome.body)
        assert headers["content-type"] == outcome.headers["Content-Type"] == MEDIA_TYPE
        assert headers["allow"] == outcome.headers["Allow"] == ALLOW


def test_what_both_allow_is_what_both_forward() -> None:
    assert ", ".join(method for method, expected in CASES if expected != "refused") == ALLOW


@pytest.mark.parametrize(
    "condition",
    [
        '@(context.Request.Method != "GET")',
        '@(context.Request.Method == "GET" && context.Request.Method == "HEAD")',
        '@(new [] {"GET"}.Contains(context.Request.Method))',
        '@(context.Request.Method == "GET" || true)',
        '@(context.Request.Url.Path == "/orders")',
        '@(!(context.Request.Method == "GET"))',
        "GET",
        "",
    ],
)
def test_a_condition_of_another_form_is_not_guessed_at(condition: str) -> None:
    with pytest.raises(UnknownPolicy):
        holds(condition, "GET")


@pytest.mark.parametrize(
    ("found", "put"),
    [
        ("<choose>", "<choose><rewrite-uri />"),
        ("<base />", '<base /><rewrite-uri template="/" />'),
        ("<return-response>", '<return-response><set-variable name="a" value="b" />'),
        ('<set-backend-service base-url="{{query-url}}" />', ""),
    ],
)
def test_an_action_that_the_evaluator_does_not_know_is_an_error(found: str, put: str) -> None:
    other = ElementTree.fromstring(POLICY.read_text(encoding="utf-8").replace(found, put, 1))
    with pytest.raises(UnknownPolicy):
        [decided(other, method) for method in ("GET", "OPTIONS")]


# --- in front of the real command app ---------------------------------------------------------------------------------


def test_a_write_through_the_gateway_is_answered_by_the_command_app_and_a_read_is_not(lab: Lab) -> None:
    command = command_app(CommandHandler(lab.container("write-model", "command"), lab.clock))
    served = lab.serve(Gateway(query=new_api("Reads", "None yet.", {}), command=command))
    with httpx.Client(base_url=served.url, timeout=60) as client:
        customer = {"customerId": "customer-1", "name": "Ada"}
        made = client.post("/customers", json=customer, headers={"Idempotency-Key": "k-1"})
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert client.get("/customers").status_code == 404  # the command app would say 405
        assert client.head("/docs").status_code == 200
        assert "Reads" in client.get("/docs").text
        assert client.options("/customers").headers["allow"] == ALLOW
