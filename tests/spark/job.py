"""The Spark job in a process group of its own, for tests: started, listened to, killed.

Importing this makes the job's own modules importable (`spark_projection`), as the job itself does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from labkit.lab import Lab
from labkit.settings import Target
from labkit.verbs import spark

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "deploy" / "databricks"
PATIENCE_SECONDS = 240.0
WITHOUT_SPARK = "only on machines with Java 17 or 21, where `lab.py test` installs Spark"
"""Why a test is skipped; in CI `lab.py test` refuses to begin on a machine without (`labkit.verbs.java`)."""
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""A JVM that ends within minutes has no use for what its optimizing compiler makes of it, and much of two cores goes
into that. Without that compiler Java keeps 48 MB for code, which Spark fills within a few batches and then runs
uncompiled: 240 MB are what it keeps otherwise."""

if str(BUNDLE) not in sys.path:
    sys.path.insert(0, str(BUNDLE))


class Job:
    """One run of `projection_job.py` with the options of `lab.py spark`. `by`: the script that runs it, if one does."""

    def __init__(self, folder: Path, lab: Lab, target: Target, *more: str, by: tuple[str, ...] = ()) -> None:
        self.tables, self.checkpoint = folder / "tables", folder / "checkpoint"
        self.log = folder / "job.log"
        (python, *script), environment = spark.job(lab, target, str(self.tables), str(self.checkpoint), *more)
        environment = {**environment, "JAVA_TOOL_OPTIONS": SHORT_LIVED}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [python, *by, *script],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._lines: Queue[dict[str, Any] | None] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"batch"'):  # Java's own warnings come here too
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def next_trigger(self) -> dict[str, Any] | None:
        """What the next trigger did; None when the job has ended."""
        try:
            return self._lines.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise AssertionError(self.last_words()) from None

    def wait(self) -> list[dict[str, Any]]:
        """What it did until its own end."""
        done = []
        while (trigger := self.next_trigger()) is not None:
            done.append(trigger)
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.last_words()
        return done

    def kill(self) -> None:
        """`kill -9` of the driver with its JVM. The workers end when their pipes do."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
