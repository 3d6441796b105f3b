"""The kept management link: used while it works, and never needed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from labkit.lag_monitoring.management import kept_open


class Link:
    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.closed = False

    async def open_async(self) -> None:
        pass

    async def client_ready_async(self) -> bool:
        return True

    async def close_async(self) -> None:
        self.closed = True

    async def mgmt_request_async(self, message: Any, **how: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Client:
    """What the kept link needs of the SDK's client. Each link that it makes gives the next of these answers."""

    _address, _config = "hub", None

    def __init__(self, *answers: list[Any]) -> None:
        self.links = [Link(each) for each in answers]
        self.made = 0
        self.asked_in_the_sdks_way = 0
        self._amqp_transport = self

    def create_mgmt_client(self, *_: Any) -> Link:
        self.made += 1
        return self.links[self.made - 1]

    async def _create_auth_async(self) -> Any:
        async def token() -> Any:
            return SimpleNamespace(token="t")

        return SimpleNamespace(get_token=token)

    async def _management_request_async(self, message: Any, op_type: bytes) -> str:
        self.asked_in_the_sdks_way += 1
        return "by the SDK"


def asked(client: Any, times: int) -> list[str]:
    async def ask() -> list[str]:
        async with kept_open(client):
            message = SimpleNamespace(application_properties={})
            return [await client._management_request_async(message, op_type=b"x") for _ in range(times)]

    return asyncio.run(ask())


def test_all_requests_go_over_one_link_which_is_closed_at_the_end() -> None:
    client = Client([(200, b"OK", "first"), (200, b"OK", "second")])
    assert asked(client, 2) == ["first", "second"]
    assert (client.made, client.links[0].closed, client.asked_in_the_sdks_way) == (1, True, 0)
    assert client._management_request_async.__func__ is Client._management_request_async  # type: ignore[attr-defined]


def test_after_a_refusal_or_a_broken_link_the_sdk_asks_and_the_next_request_has_a_new_link() -> None:
    client = Client([(404, b"gone", None)], [OSError("cut")], [(200, b"OK", "again")])
    assert asked(client, 3) == ["by the SDK", "by the SDK", "again"]
    assert (client.made, client.asked_in_the_sdks_way) == (3, 2)
    assert all(link.closed for link in client.links)


def test_an_sdk_that_is_built_otherwise_asks_as_it_does() -> None:
    class Changed(Client):
        def create_mgmt_client(self, *_: Any) -> Link:
            raise AttributeError("no such thing any more")

    assert asked(Changed(), 2) == ["by the SDK", "by the SDK"]
