"""Every state times everything that can arrive, brought about by bytes and compared with the tables of `states`."""

from __future__ import annotations

import pytest

from localazure.amqp import frames, performatives, records
from localazure.amqp.records import Disposition, SaslOutcome
from localazure.amqp.session import Session
from localazure.amqp.states import (
    CONNECTION,
    LINK,
    SESSION,
    ConnectionState,
    Fault,
    Go,
    Ignore,
    Input,
    LinkState,
    SessionState,
    connection_step,
    link_step,
    session_step,
)

from . import conftest as client
from .conftest import Server, conditions, frame

BYTES = {
    Input.SASL_HEADER: frames.SASL_HEADER,
    Input.AMQP_HEADER: frames.AMQP_HEADER,
    Input.OTHER_HEADER: b"AMQP\x02\x01\x00\x00",
    Input.EMPTY: frames.EMPTY_FRAME,
    Input.SASL_INIT: client.SASL_INIT,
    Input.OTHER_SASL: frames.frame(0, performatives.write(SaslOutcome(0)), frames.SASL_FRAME),
    Input.OPEN: client.OPEN,
    Input.BEGIN: client.BEGIN,
    Input.ATTACH: client.ATTACH_SENDER,
    Input.FLOW: client.FLOW,
    Input.TRANSFER: client.TRANSFER,
    Input.DISPOSITION: frame(Disposition(True, 0, 0, True)),
    Input.DETACH: client.DETACH,
    Input.END: client.END,
    Input.CLOSE: client.CLOSE,
}
IN_SESSION = (Input.BEGIN, Input.ATTACH, Input.FLOW, Input.TRANSFER, Input.DISPOSITION, Input.DETACH, Input.END)
OF_LINK = (Input.ATTACH, Input.FLOW, Input.TRANSFER, Input.DETACH)


def _connection_in(state: ConnectionState) -> Server:
    server = Server()
    ways = {
        ConnectionState.SASL_HEADER: b"",
        ConnectionState.SASL_INIT: client.SASL,
        ConnectionState.AMQP_HEADER: client.SASL + client.SASL_INIT,
        ConnectionState.OPEN: client.UP_TO_OPEN,
        ConnectionState.OPENED: client.UP_TO_ATTACH + client.ATTACH_SENDER,
        ConnectionState.CLOSE_SENT: client.UP_TO_ATTACH + client.ATTACH_SENDER + frame(records.Open("again")),
        ConnectionState.END: client.UP_TO_ATTACH + client.CLOSE,
    }
    server.feed(ways[state])
    assert server.connection.state is state
    return server


@pytest.mark.parametrize("arrived", Input)
@pytest.mark.parametrize("state", ConnectionState)
def test_connection(state: ConnectionState, arrived: Input) -> None:
    server = _connection_in(state)
    step = connection_step(state, arrived)
    answer = server.feed(BYTES[arrived])
    if isinstance(step, Ignore):
        assert (answer, server.connection.state) == (b"", state)
    elif isinstance(step, Go):
        assert step.state is ConnectionState.OPENED or server.connection.state is step.state
        assert server.connection.closed == (step.state is ConnectionState.END)
    elif state in (ConnectionState.SASL_HEADER, ConnectionState.SASL_INIT, ConnectionState.AMQP_HEADER):
        assert server.connection.closed
        assert conditions(answer) == []
    elif state is ConnectionState.CLOSE_SENT:
        assert answer == b""
    else:
        assert conditions(answer) == [step.condition]
        assert server.connection.state is ConnectionState.CLOSE_SENT


def _session_in(state: SessionState) -> Server:
    server = Server()
    ways = {
        SessionState.UNMAPPED: client.UP_TO_BEGIN,
        SessionState.MAPPED: client.UP_TO_ATTACH + client.ATTACH_SENDER,
        SessionState.END_SENT: client.UP_TO_ATTACH + client.TRANSFER,
        SessionState.ENDED: client.UP_TO_ATTACH + client.ATTACH_SENDER + client.END,
    }
    server.feed(ways[state])
    session = server.connection._sessions.get(0)
    assert (session.state if session else SessionState.UNMAPPED) is state
    return server


@pytest.mark.parametrize("arrived", IN_SESSION)
@pytest.mark.parametrize("state", SessionState)
def test_session(state: SessionState, arrived: Input) -> None:
    server = _session_in(state)
    step = session_step(state, arrived)
    data = client.frame(client.attach(9, is_receiver=False)) if arrived is Input.ATTACH else BYTES[arrived]
    answer = server.feed(data)
    if isinstance(step, Fault):
        assert conditions(answer) == [step.condition]
        assert server.connection.state is ConnectionState.CLOSE_SENT
        return
    session: Session = server.connection._sessions[0]
    if isinstance(step, Ignore):
        assert (answer, session.state) == (b"", state)
    else:
        assert session.state is step.state
        assert server.connection.state is ConnectionState.OPENED


def _link_in(state: LinkState) -> Server:
    server = Server()
    server.feed(client.UP_TO_ATTACH + (b"" if state is LinkState.UNATTACHED else client.ATTACH_SENDER))
    if state is LinkState.DETACH_SENT:
        server.links[0].detach("amqp:link:detach-forced", "on purpose")
        server.connection.data_to_send()
    elif state is LinkState.DETACHED:
        server.feed(client.DETACH)
    return server


@pytest.mark.parametrize("arrived", OF_LINK)
@pytest.mark.parametrize("state", LinkState)
def test_link(state: LinkState, arrived: Input) -> None:
    server = _link_in(state)
    step = link_step(state, arrived)
    answer = server.feed(BYTES[arrived])
    session: Session = server.connection._sessions[0]
    if isinstance(step, Fault):
        assert conditions(answer) == [step.condition]
        assert session.state is SessionState.END_SENT
    elif isinstance(step, Ignore):
        assert answer == b""
        assert session.state is SessionState.MAPPED
    elif step.state is LinkState.ATTACHED:
        assert session.links[client.SENDER].state is LinkState.ATTACHED
    else:
        assert client.SENDER not in session.links


def test_no_table_names_a_pair_that_cannot_be() -> None:
    assert {arrived for _, arrived in SESSION} <= set(IN_SESSION)
    assert {arrived for _, arrived in LINK} <= set(OF_LINK)
    assert {state for state, _ in CONNECTION} == set(ConnectionState)


def test_links_are_reported_gone_once_however_they_go() -> None:
    for ending in (client.DETACH, client.END, client.CLOSE, frame(records.Open("again")), client.BEGIN):
        server = Server()
        server.feed(client.UP_TO_ATTACH + client.ATTACH_SENDER + ending)
        assert server.detached() == 1
    server = Server()
    server.feed(client.UP_TO_ATTACH + client.ATTACH_SENDER)
    assert len(list(server.connection.lost())) == 1


def test_what_the_azure_sdk_sends_after_its_own_end_or_detach_is_ignored() -> None:
    server = Server()
    server.feed(client.UP_TO_ATTACH + client.ATTACH_SENDER + client.DETACH)
    assert server.feed(client.DETACH + client.FLOW) == b""
    server.feed(client.END)
    assert server.feed(client.DETACH + client.FLOW + BYTES[Input.DISPOSITION] + client.END) == b""
    assert server.connection.state is ConnectionState.OPENED


def test_a_session_that_was_ended_for_a_fault_can_begin_again() -> None:
    server = Server()
    assert conditions(server.feed(client.UP_TO_ATTACH + client.TRANSFER)) == ["amqp:session:unattached-handle"]
    assert server.feed(client.ATTACH_SENDER + client.TRANSFER) == b""
    assert server.feed(client.END) == b""
    assert len(client.answers(server.feed(client.BEGIN + client.ATTACH_SENDER))) == 3


def test_faults_reach_as_far_as_the_specification_says() -> None:
    link_ends = frame(records.Transfer(client.SENDER, 0, None, 0, payload=b"no tag"))
    cases = {
        client.ATTACH_SENDER + link_ends: ["amqp:invalid-field"],
        client.ATTACH_SENDER + client.ATTACH_SENDER: ["amqp:session:handle-in-use"],
        client.FLOW: ["amqp:session:unattached-handle"],
        client.DETACH: ["amqp:session:unattached-handle"],
        client.BEGIN: ["amqp:not-allowed"],
        client.OPEN: ["amqp:illegal-state"],
    }
    for data, wanted in cases.items():
        server = Server()
        server.feed(client.UP_TO_ATTACH)
        assert conditions(server.feed(data)) == wanted
