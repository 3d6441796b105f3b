"""What the embedded Azure serves and what it refuses: a row an operation, each supported one with its proving test.

`docs/support.md` is written from these rows (`python -m localazure.support`), and a test keeps rows, tests and page in
step. The rows themselves stand with their service.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`proof` is the pytest id of a contract test (`tests/contract/test_x.py::test_y`) for a supported operation.

    For a refused operation it is the test that sees the refusal, and `note` says how the service words it.
    """

    operation: str
    supported: bool
    proof: str
    note: str = ""
