"""How soon one turn of a relay follows another, on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labkit.events import relay as module
from labkit.events.relay import POLL_SECONDS, Relay


@pytest.mark.parametrize("sent", [0, 7])
@pytest.mark.parametrize(
    ("takes", "pause"), [(0.0, POLL_SECONDS), (0.02, POLL_SECONDS - 0.02), (1.0, 0.0)], ids=["at once", "short", "long"]
)
def test_what_is_committed_within_a_moment_shares_a_turn_and_a_long_turn_is_followed_at_once(
    takes: float, pause: float, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [100.0], list[float]()
    relay = Relay(*[None] * 3, name="one")  # type: ignore[arg-type]

    def turn() -> int:
        now[0] += takes
        return sent

    def wait(seconds: float) -> bool:
        pauses.append(max(seconds, 0.0))
        return relay._ending.set() or True

    stub: Any = relay
    stub._turn, stub._ending.wait, stub._leases.release = turn, wait, lambda: None
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    relay._work()
    assert pauses == [pytest.approx(pause)]
