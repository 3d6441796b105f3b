"""Spark's daemon of Python workers, from the installed pyspark instead of the zips that Spark puts before it.

A worker looks anew at each import path before each task, and for a zip that is to read its whole directory again, once
for each package in it: 0.16 s of processor time for a task that may do nothing else. Only for a Spark of this machine,
where the driver's Python is the workers'.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    for place in [one for one in sys.path if one.endswith((".zip", ".jar"))]:
        sys.path.remove(place)
        sys.path_importer_cache.pop(place, None)

    from pyspark.daemon import manager

    manager()
