"""A worker: a thread that works from `start` to `stop`, may be started again, and keeps what ended it before its time.

Owns the thread, how it is told to end, and the error. Refuses to know the work: a subclass says it in `_work`, which
sets `_ready` as soon as it has begun, and ends when `_ending` is set, or the event that `_told_to_end` gives.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

from labkit.errors import NotYet


class Worker:
    """`start` and `stop` it; `error` is what ended the thread, if anything did."""

    def __init__(self, name: str) -> None:
        self.error: BaseException | None = None
        self._name = name
        self._one_at_a_time = threading.RLock()
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._told: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it works. One that has failed does not, though its thread may have some last things to do."""
        return self._thread is not None and self.error is None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to work. Starting a running one does nothing; of one that was told to end, or has failed, the end is
        waited for first.

        Raises: `NotYet` if that takes longer than a stop may.
        """
        with self._one_at_a_time:
            if self.running and not self._ending.is_set():
                return
            Worker.stop(self)
            self.error = self._told = None
            self._ready.clear()
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._ready.wait()

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """End what is at hand, and then the thread. Stopping one that does not run is fine; its error stays in `error`.

        Raises: `NotYet` if that takes longer; stopping again waits again.
        """
        with self._one_at_a_time:
            if self._thread is None:
                return
            self._ending.set()
            if self._told is not None:
                loop, event = self._told
                with suppress(RuntimeError):  # it ended by itself meanwhile, and its loop with it
                    loop.call_soon_threadsafe(event.set)
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                raise NotYet(f"the {self._name} did not end within {timeout_seconds} s: stop it again to wait longer")
            self._ending.clear()

    def _work(self) -> None:
        raise NotImplementedError

    def _ended(self) -> None:
        """Called last on the thread, however it ends."""

    def _told_to_end(self) -> asyncio.Event:
        """For work on an event loop: set on this loop when the worker is to end."""
        event = asyncio.Event()
        self._told = asyncio.get_running_loop(), event
        if self._ending.is_set():
            event.set()
        return event

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            logging.getLogger(type(self).__module__).exception("the %s ends", self._name)
            self.error = error
        finally:
            self._ready.set()
            self._ended()
