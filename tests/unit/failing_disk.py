"""A disk on which no flush of what is written ahead succeeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localazure import write_ahead


@contextmanager
def no_flush(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[pytest.MonkeyPatch]:
    """Within the block each flush ends with this error of the operating system; more can be patched as long."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(write_ahead, "_flush", fail)
        yield patch
