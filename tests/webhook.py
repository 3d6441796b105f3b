"""A webhook that keeps what it gets and answers as it is told: for tests of Event Grid."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labkit.serving import Serving


class Webhook:
    """Listens from construction to `stop`. `answers`: a status each, in turn; 200 when there are none left."""

    def __init__(self, *answers: int, allows: str = "*") -> None:
        self.answers = list(answers)
        self.allows = allows
        self.validations: list[dict[str, str]] = []
        self.requests: list[tuple[dict[str, str], Any]] = []
        """Headers and body of each delivery, refused ones too."""
        self.taken: list[dict[str, Any]] = []
        """The events that were answered with 2xx, in order."""
        self.answering = threading.Event()
        """Clear it, and deliveries wait for it before they are answered."""
        self.answering.set()
        self.location = ""
        """Told with each answer that is not 2xx."""
        self._changed = threading.Condition()
        methods = ["OPTIONS", "POST"]
        self._serving = Serving(Starlette(routes=[Route("/hook", self._called, methods=methods)]))
        self._serving.start()
        self.url = f"{self._serving.url}/hook"

    def stop(self) -> None:
        self.answering.set()
        self._serving.stop()

    def wait_until(self, holds: Callable[[Webhook], bool], timeout_seconds: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), timeout_seconds), (len(self.taken), self.requests[-3:])

    def ids(self) -> list[str]:
        with self._changed:
            return [event["id"] for event in self.taken]

    async def _called(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            self.validations.append(dict(request.headers))
            return Response(headers={"WebHook-Allowed-Origin": self.allows} if self.allows else {})
        body = json.loads(await request.body())
        status = self.answers.pop(0) if self.answers else 200
        await asyncio.to_thread(self.answering.wait, 60)
        with self._changed:
            self.requests.append((dict(request.headers), body))
            if status < 300:
                self.taken += body if isinstance(body, list) else [body]
            self._changed.notify_all()
        return Response(status_code=status, headers={"Location": self.location} if self.location else {})
