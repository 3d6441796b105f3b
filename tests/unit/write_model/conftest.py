"""The command API without any container, over a handler that is told what to give."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from labkit.write_model.api import command_app
from tests.unit.write_model.command_requests import (
    Scripted,
)


@pytest.fixture
def handler() -> Scripted:
    return Scripted()


@pytest.fixture
async def client(handler: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(command_app(handler), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as opened:
        yield opened
