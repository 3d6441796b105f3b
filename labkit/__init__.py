"""What the five notebooks teach, one folder each, plus the plumbing that teaches nothing.

They are loaded when they are first asked for, so that the pure parts can be imported without any Azure SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lab import Lab, open_lab

__all__ = ["Lab", "open_lab"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import labkit.lab

        return getattr(labkit.lab, name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
