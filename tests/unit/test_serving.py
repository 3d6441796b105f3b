"""An ASGI app on the loopback interface, on a thread of this process."""

from __future__ import annotations

import http.client
import os
import socket
from contextlib import closing

import httpx
import pytest
from starlette.responses import PlainTextResponse

from labkit.serving import Serving


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX does a connection take this from the listening socket")
def test_the_body_of_an_answer_does_not_wait_until_its_header_is_acknowledged() -> None:
    serving = Serving(PlainTextResponse("here"))
    serving.start()
    try:
        with closing(http.client.HTTPConnection(serving.url.removeprefix("http://"))) as client:
            client.request("GET", "/")
            assert client.getresponse().read() == b"here"
            (connection,) = serving._server.server_state.connections
            accepted = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        serving.stop()


def test_what_was_stopped_can_be_started_again_where_it_was() -> None:
    serving = Serving(PlainTextResponse("here"))
    urls = set()
    for _ in range(2):
        serving.start()
        urls.add(serving.url)
        assert httpx.get(serving.url, trust_env=False, timeout=60).text == "here"
        serving.stop()
    assert len(urls) == 1
