"""`python dying.py SCRIPT ...`: the job, which kills its process group once a batch is in `orders` and nowhere else.

The first batch is let live.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

DIES_IN_BATCH = 1


def main() -> None:
    del sys.argv[0]
    sys.path[:1] = [str(Path(sys.argv[0]).parent), str(Path(__file__).resolve().parents[2])]
    from spark_projection.tables import Tables

    merge_orders = Tables.merge_orders

    def once_in_orders(self: Tables, rows: Any, days: Any, commit: Any) -> None:
        merge_orders(self, rows, days, commit)
        if commit.batch_id == DIES_IN_BATCH:
            os.killpg(0, signal.SIGKILL)

    Tables.merge_orders = once_in_orders  # type: ignore[method-assign]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
