"""A bundle from the side of the machine without a network: is it whole, is it for this machine, and its packages.

Owns the bundle's form: a zip with `bundle.json`, `wheels/`, `lab/` (the project) and `__main__.py`, which unpacks the
project and sets it up. Every file's hash is in `bundle.json`, and is checked as the file is taken out; the installer
checks the packages once more against the lock. Needs nothing but the standard library: `lab.py` calls it before there
is anything else. How a bundle is made: `labkit.verbs.bundle`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

FORMAT: Final = 1
MANIFEST: Final = "bundle.json"
WHEELS: Final = "wheels"
PROJECT: Final = "lab"
SYSTEMS: Final = {"Darwin": "macos"}
MACHINES: Final = {"AMD64": "x86_64", "amd64": "x86_64", "aarch64": "arm64"}
PIECE_BYTES: Final = 1 << 20


class BundleError(Exception):
    """One sentence saying why this bundle cannot be used here, and the way out."""


def this_target() -> str:
    """What a package is chosen by, of this machine and this Python: such as `linux-x86_64-py3.11`."""
    system = SYSTEMS.get(platform.system(), platform.system().lower())
    machine = MACHINES.get(platform.machine(), platform.machine())
    return f"{system}-{machine}-py{sys.version_info[0]}.{sys.version_info[1]}"


def hash_of(file: IO[bytes], copy: IO[bytes] | None = None) -> str:
    """The SHA-256 of all that is read, written to `copy` meanwhile."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
        if copy is not None:
            copy.write(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def wheels_of(file: str, locks: Mapping[str, str], beside: Path) -> Iterator[str]:
    """A folder below `beside` with the bundle's packages for this machine, gone again afterwards.

    `locks`: the locks that are to be installed, with their hashes. Raises: `BundleError`.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no zip file, or only a part of one"
        raise BundleError(f"The bundle {file} cannot be read ({words}). Copy it here once more, whole.") from error
    with archive:
        manifest = _manifest(archive, file)
        _insist_on_this_machine(manifest, file)
        _insist_on_these_locks(manifest, locks, file)
        folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=beside))
        try:
            for name, digest in manifest["targets"][this_target()].items():
                _take_out(archive, name, digest, folder, file)
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _manifest(archive: zipfile.ZipFile, file: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
        known = manifest["format"] == FORMAT
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{file} is no whole bundle of the lab. Copy it here once more, whole.") from error
    if not known:
        raise BundleError(f"The bundle {file} was made by another version of the lab. Use the lab.py that is in it.")
    return manifest


def _insist_on_this_machine(manifest: Mapping[str, Any], file: str) -> None:
    here = this_target()
    if here not in manifest["targets"]:
        holds = ", ".join(sorted(manifest["targets"]))
        system, _, version = here.rpartition("-py")
        raise BundleError(
            f"The bundle {file} is for {holds}; this is {here}. Make one for it where there is a network: "
            f"`python3 lab.py bundle --platform {system} --python {version}`."
        )


def _insist_on_these_locks(manifest: Mapping[str, Any], locks: Mapping[str, str], file: str) -> None:
    for name, digest in locks.items():
        held = manifest["locks"].get(name)
        if name == "requirements-spark":
            raise BundleError("Spark is in no bundle: its publisher offers no wheel. Set it up with a network.")
        if held is None:
            raise BundleError(
                f"The bundle {file} holds nothing of {name}.lock. `lab.py bundle --dev` makes one that does."
            )
        if held != digest:
            raise BundleError(
                f"The bundle {file} was made for another {name}.lock. Use the project that is in it: "
                f"`{Path(sys.executable).name} {file}` unpacks it."
            )


def _take_out(archive: zipfile.ZipFile, name: str, digest: str, folder: Path, file: str) -> None:
    """Write one package there. Raises: `BundleError` if it is not what was put in."""
    path = folder / Path(name).name
    try:
        with archive.open(f"{WHEELS}/{name}") as packed, path.open("wb") as out:
            whole = hash_of(packed, out) == digest
    except (KeyError, zipfile.BadZipFile, zlib.error):
        whole = False
    if not whole:
        raise BundleError(
            f"The bundle {file} is damaged: {name} is not what was put in. Copy it here once more, whole."
        )
