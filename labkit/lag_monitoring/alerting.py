"""`Alerter`: how an alert leaves the process, as a CloudEvent published to an Event Grid topic.

Owns the thread between the monitor and the topic: samples come in by `observe`, what `alerts` makes of them goes out in
its order, and what could not be published is kept and tried again. Refuses to know when an alert begins, who is told.

Killed between alert and publication, nothing is forgotten: give the kept samples as `history` to the next one. It folds
them, and publishes the newest alert of each rule again, under the same id; the receiver knows it by that.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

import msgspec
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from msgspec.structs import replace

from labkit.events.relay import pause_seconds
from labkit.lag_monitoring.alerts import Alert, Alerts
from labkit.lag_monitoring.measures import LagSample
from labkit.worker import Worker

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
MOST_IN_A_REQUEST = 500
"""Each has some 500 bytes; a request to a topic has at most 1 MB."""
HOPELESS_STATUS = frozenset({400, 401, 403, 404, 413})
"""Answers of a topic that publishing again does not change."""


def to_cloud_event(alert: Alert, source: str) -> CloudEvent[dict[str, object]]:
    """`source` and id together name the event, however often it is published."""
    data: dict[str, object] = msgspec.to_builtins(replace(alert, value=alert.value and round(alert.value, 3)))
    kind = f"lab.alert.{alert.what}"
    return CloudEvent(source, kind, id=alert.event_id, subject=alert.rule, time=alert.at, data=data)


class Alerter(Worker):
    """`start` and `stop` it: it looks at what has been observed, tries once more to publish, and ends.

    `observe` is called by the monitor and never waits.
    """

    def __init__(
        self,
        publisher: EventGridPublisherClient,
        alerts: Alerts,
        *,
        source: str = "/lab",
        history: Iterable[LagSample] = (),
    ) -> None:
        super().__init__("alerter")
        self.published: list[Alert] = []
        self._publisher = publisher
        self._alerts = alerts
        self._source = source
        self._samples: queue.SimpleQueue[LagSample] = queue.SimpleQueue()
        newest = {alert.rule: alert for sample in history for alert in alerts.observe(sample)}
        self._unpublished = deque(sorted(newest.values(), key=lambda alert: alert.at))

    def observe(self, sample: LagSample) -> None:
        """Look at this sample, on the alerter's own thread."""
        self._samples.put(sample)

    def _work(self) -> None:
        self._ready.set()
        failed, next_try, going = 0, 0.0, True
        while going:
            left = next_try - time.monotonic() if self._unpublished else TICK_SECONDS
            going = self._look(min(max(left, 0.0), TICK_SECONDS))
            if self._unpublished and (time.monotonic() >= next_try or not going):
                pause = self._publish(failed + 1)
                failed, next_try = failed + 1 if pause else 0, time.monotonic() + pause

    def _look(self, seconds: float) -> bool:
        """Take one sample in, or let a moment pass; False when told to stop and no sample is left."""
        ending = self._ending.is_set()
        try:
            sample = self._samples.get(timeout=0 if ending else seconds)
        except queue.Empty:
            self._unpublished.extend(self._alerts.tick(datetime.now(UTC)))
            return not ending
        self._unpublished.extend(self._alerts.observe(sample))
        return True

    def _publish(self, attempt: int) -> float:
        """What waits, in one request; how long to wait before the next try if it failed, else 0.

        Raises: what no other try can change.
        """
        waiting = list(islice(self._unpublished, MOST_IN_A_REQUEST))
        try:
            self._publisher.send([to_cloud_event(alert, self._source) for alert in waiting])
        except AzureError as error:
            if isinstance(error, HttpResponseError) and error.status_code in HOPELESS_STATUS:
                raise
            log.warning("%d alerts could not be published: %r", len(waiting), error)
            return pause_seconds(error, attempt)
        for _ in waiting:
            self.published.append(self._unpublished.popleft())
        return 0.0
