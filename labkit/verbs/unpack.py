"""Unpack the lab from this bundle into a folder, and set it up there without a network: `python3 BUNDLE [FOLDER]`.

It is in a bundle as `__main__.py`. Keeps to the grammar that Python 2.7 and 3 share, so that an old Python gets as far
as `lab.py`, which says that it is too old.
"""

import os
import shutil
import subprocess
import sys
import zipfile

PREFIX = "lab/"


def main(bundle, arguments):
    # type: (str, list[str]) -> int
    folder = os.path.abspath(arguments[0] if arguments else "cqrs-on-azure-lab")
    if os.path.exists(folder):
        sys.stderr.write("{0} is there already: name another folder, or run lab.py in it.\n".format(folder))
        return 1
    beside = folder + ".unpacking"
    shutil.rmtree(beside, ignore_errors=True)
    with zipfile.ZipFile(bundle) as archive:
        for member in archive.infolist():
            if member.filename.startswith(PREFIX):
                path = archive.extract(member, beside)
                if member.external_attr >> 16:
                    os.chmod(path, member.external_attr >> 16)
    os.rename(os.path.join(beside, PREFIX.rstrip("/")), folder)
    shutil.rmtree(beside)
    sys.stdout.write("Unpacked into {0}\n".format(folder))
    sys.stdout.flush()
    return subprocess.call([sys.executable, os.path.join(folder, "lab.py"), "--bundle", bundle])


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[0]), sys.argv[1:]))
