"""How a verb that fails ends: one sentence that says what happened, why, and what to do."""

from __future__ import annotations

import errno

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseTimeoutError
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError
from deltalake.exceptions import CommitFailedError, DeltaProtocolError

from labkit.errors import NotYet
from labkit.verbs.refusals import LONGEST_WHY, told
from localazure.errors import StartFailed


@pytest.mark.parametrize(
    ("error", "what", "to_do"),
    [
        (ServiceRequestError("connection refused"), "Azure is out of reach", "run the same command again."),
        (ServiceResponseTimeoutError("read timed out"), "Azure is out of reach", "run the same command again."),
        (ConnectError("connection refused"), "Azure is out of reach", "run the same command again."),
        (ConnectionLostError("connection lost"), "Azure is out of reach", "run the same command again."),
        (CosmosHttpResponseError(503, "unavailable"), "Azure is out of reach", "run the same command again."),
        (CosmosHttpResponseError(401, "no such key"), "Azure refuses the key", "Check the keys"),
        (AuthenticationError("no such key"), "Azure refuses the key", "Check the keys"),
        (CosmosHttpResponseError(403, "forbidden"), "Azure refuses this", "a key that may do it"),
        (CosmosResourceNotFoundError(404, "no database"), "Azure does not have this", "Check the names"),
        (CosmosHttpResponseError(429, "too many"), "Azure has more requests", "Wait a moment"),
        (CosmosHttpResponseError(412, "etag"), "Azure answered 412", "will not change"),
        (CommitFailedError("conflict"), "Another writer", "Run the same command again."),
        (OSError("Generic MicrosoftAzure error: refused"), "Azure is out of reach", "run the same command again."),
        (OSError(errno.ENOSPC, "no space", "here"), "here: does not fit", "Free some space"),
        (NotYet("the hub was not read"), "The hub was not read", "read."),
        (StartFailed("the embedded Azure did not start"), "The embedded Azure did not", "start."),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, Exception) else "",
)
def test_each_error_that_is_no_bug_is_one_sentence(error: Exception, what: str, to_do: str) -> None:
    sentence = told(error)
    assert sentence is not None
    assert sentence.startswith(what)
    assert to_do in sentence
    assert sentence.count("\n") == 0


def test_of_azures_own_reason_the_first_line_is_told_and_cut() -> None:
    sentence = told(ServiceRequestError("first " * 100 + "\nsecond"))
    assert sentence is not None
    assert "first first" in sentence
    assert "second" not in sentence
    assert len(sentence) < 3 * LONGEST_WHY


@pytest.mark.parametrize("bug", [KeyError("x"), OSError(errno.EBADF, "bad"), DeltaProtocolError("odd"), ValueError()])
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    assert told(bug) is None
