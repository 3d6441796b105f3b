"""One line of JSON for each trigger: what it took in, and how long it took."""

from __future__ import annotations

import json
import sys

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)


class Progress(StreamingQueryListener):
    """Spark calls it after each trigger that had events."""

    def onQueryStarted(self, event: QueryStartedEvent) -> None:
        """Nothing to tell yet."""

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        told = event.progress
        if told.numInputRows:
            line = {"batch": told.batchId, "events": told.numInputRows, "ms": dict(told.durationMs)}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def onQueryIdle(self, event: QueryIdleEvent) -> None:
        """There was nothing to do."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:
        """The job ends, or raises by itself."""
