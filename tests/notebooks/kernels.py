"""A plugin for pytest: nbval starts a kernel once more if it ended before it answered, as `run` does.

It chooses the kernel's ports before the kernel has them; another worker's may be faster.
"""

from __future__ import annotations

from typing import Any

from nbval import kernel

from labkit.verbs.run import started

start_new_kernel = kernel.start_new_kernel


def start_once_more(**options: Any) -> Any:
    return started(lambda: start_new_kernel(**options))


kernel.start_new_kernel = start_once_more
