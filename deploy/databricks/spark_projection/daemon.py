"""Spark's daemon of Python workers, from the installed pyspark instead of the zips that Spark puts before it.

A worker looks anew at each import path before each task, and for a zip that is to read its whole directory again, once
for each package in it: for Spark's own, more work than a small task has otherwise. Only for a Spark of this machine,
where the driver's Python is the workers'.

What a job has shipped is found before all else of its name. Left alone it is not: Spark puts it behind the first place
to look in, which is the folder that the job was called in, and what the daemon has imported is what each worker has.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    for place in [one for one in sys.path if one.endswith((".zip", ".jar"))]:
        sys.path.remove(place)
        sys.path_importer_cache.pop(place, None)

    from pyspark.daemon import manager

    sys.modules.pop("spark_projection", None)  # to find this module, Python has imported its package
    sys.path.insert(0, __file__)  # no folder: nothing is found in it
    manager()
