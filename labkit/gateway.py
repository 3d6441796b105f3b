"""One address in front of two apps: reads go to the query app, writes to the command app.

The rule is the HTTP method and nothing else, as the API Management layer has it (`deploy/apim/policy.xml`; one test
holds both to one table of cases). It looks at no path and no body, and adds nothing to a request or its answer.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from labkit.problems import Problem

READS: Final = ("GET", "HEAD")
WRITES: Final = ("POST", "PATCH", "PUT", "DELETE")


class Gateway:
    """An ASGI app that hands each request to one of two others, in this process."""

    def __init__(self, query: ASGIApp, command: ASGIApp) -> None:
        self.query = query
        self.command = command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # neither side has anything to start, and neither speaks by web socket
        method = scope["method"]
        if method in (*READS, *WRITES):
            await (self.query if method in READS else self.command)(scope, receive, send)
        else:
            problem = Problem("method-not-allowed", "The gateway knows reads and writes, and this method is neither.")
            problem.headers["Allow"] = ", ".join((*READS, *WRITES))
            await problem.response()(scope, receive, send)
