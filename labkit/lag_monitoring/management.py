"""One kept link to a hub's `$management` node, for who asks it again and again.

Owns: that link, and that nothing depends on it. The SDK opens, authorizes and closes a connection for each request,
which costs some ten milliseconds of processor time. Its public methods stay as they are (`get_partition_properties`):
only their request goes over the kept link, by what the SDK does inside. Whatever goes wrong there, a service that
answers with a refusal included, the link is dropped and the SDK asks in its own way, with its own retries and errors.

Source: azure-eventhub 5.15.1, `aio/_client_base_async.py`, `_management_request_async`
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub.aio import EventHubConsumerClient

log = logging.getLogger(__name__)

READ = {"operation": "READ", "status_code_field": b"status-code", "description_fields": b"status-description"}


@asynccontextmanager
async def kept_open(consumer: EventHubConsumerClient) -> AsyncIterator[None]:
    """Within the block, what this client asks of its hub goes over one link, one request after the other."""
    client: Any = consumer
    in_the_sdks_way = client._management_request_async
    kept: list[Any] = []
    free = asyncio.Lock()

    async def ask(message: Any, op_type: bytes) -> Any:
        async with free:
            try:
                if not kept:
                    auth = await client._create_auth_async()
                    kept[:] = auth, client._amqp_transport.create_mgmt_client(client._address, auth, client._config)
                    await kept[1].open_async()
                    while not await kept[1].client_ready_async():  # which waits for the next frame
                        pass
                auth, link = kept
                message.application_properties["security_token"] = (await auth.get_token()).token
                answer = await link.mgmt_request_async(message, operation_type=op_type.decode(), **READ)
                if int(answer[0]) < 400:
                    return answer[2]
            except Exception as error:  # by any name: what follows raises it by the SDK's own
                log.info("the management link is dropped: %r", error)
            await close()
        return await in_the_sdks_way(message, op_type=op_type)

    async def close() -> None:
        if kept:
            link, kept[:] = kept[1], []
            with contextlib.suppress(Exception):  # it may be broken, which is why it is closed
                await link.close_async()

    client._management_request_async = ask
    try:
        yield
    finally:
        del client._management_request_async
        await close()
