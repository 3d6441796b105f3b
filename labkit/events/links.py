"""Links to Event Hubs that open and close as soon as the service has answered.

While it opens a link, azure-eventhub 5.15 pauses for 50 ms after each frame that it has read: 0.4 s for eight frames,
on a server that answers at once. A receiving one it closes only when a task has ended that sleeps for a second at a
time. In a client that has gone through `promptly` it looks for the next frame without a pause, and that task ends with
its link. Nothing else of the SDK is touched, and what these looks do not bring it waits for in its own way.

Source: azure-eventhub 5.15.1, `_client_base.py` `_open`, `_pyamqp/aio/_client_async.py` `_keep_alive_async`
"""

from __future__ import annotations

from typing import Any, TypeVar

Client = TypeVar("Client")

FRAMES = 20
"""So many are looked for in a row; after them a link is open, or something is wrong."""
MAKERS = ("create_send_client", "create_receive_client", "create_mgmt_client")


def promptly(client: Client) -> Client:
    """This client of the SDK, whose links open and close without pauses from now on."""
    sdk: Any = client
    transport = sdk._amqp_transport
    prompt = type("Prompt", (transport,), {name: staticmethod(_made(getattr(transport, name))) for name in MAKERS})
    for one in (sdk, *getattr(sdk, "_producers", {}).values()):  # who sends has made the first of these already
        one._amqp_transport = prompt
    return client


def _made(make: Any) -> Any:
    def prompt(*args: Any, **options: Any) -> Any:
        handler = make(*args, **options)
        handler.__class__ = type("Prompt", (Handler, type(handler)), {})
        return handler

    return prompt


class Handler:
    """What the SDK calls one: a link with its session. Each look waits for a frame, as long as the SDK lets it."""

    def client_ready(self: Any) -> bool:
        ready = super().client_ready  # type: ignore[misc]
        return any(ready() for _ in range(FRAMES))

    async def client_ready_async(self: Any) -> bool:
        for _ in range(FRAMES):
            if await super().client_ready_async():  # type: ignore[misc]
                return True
        return False

    async def close_async(self: Any) -> None:
        keeping_alive, self._keep_alive_thread = self._keep_alive_thread, None
        if keeping_alive is not None:
            keeping_alive.cancel()
        await super().close_async()  # type: ignore[misc]
