"""`bundle`: everything that a room without a network needs, in one file; its form is in `labkit.verbs.offline`.

For each target (a system and a Python) pip downloads the wheels that the lock names for it, checked against the lock's
hashes. A lock's lines have markers, which pip would judge by the Python that runs it: they are judged here, by the
target. The file gets its name in one step when all is in it; what was downloaded stays until then, so that an
interrupted call goes on where it was.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from packaging.requirements import Requirement  # comes with JupyterLab

from labkit.errors import LabError
from labkit.verbs import offline, places, unpack

GLIBC: Final = (5, 12, 17, 24, 26, 27, 28)
"""Wheels for these (2.5 and on) run on every Linux since 2018; the oldest that a package offers is taken."""
MANYLINUX: Final = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True, slots=True)
class System:
    """How one system is named by wheels, and by the markers of a lock."""

    wheels: tuple[str, ...]
    """Tags, best first. Source: packaging.python.org, "Platform compatibility tags"."""
    markers: Mapping[str, str]
    """Source: packaging.python.org, "Dependency specifiers", environment markers."""


def _linux(machine: str) -> System:
    tags = [tag for minor in GLIBC for tag in (f"manylinux_2_{minor}", MANYLINUX.get(minor, "")) if tag]
    return System(
        tuple(f"{tag}_{machine}" for tag in tags),
        {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine},
    )


def _macos(machine: str, *versions: str) -> System:
    return System(
        tuple(f"macosx_{version}_{machine}" for version in versions),
        {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": machine},
    )


SYSTEMS: Final[Mapping[str, System]] = {
    "linux-x86_64": _linux("x86_64"),
    "linux-arm64": _linux("aarch64"),
    "macos-arm64": _macos("arm64", "11_0", "12_0", "13_0", "14_0"),
    "macos-x86_64": _macos("x86_64", "10_15", "11_0", "12_0", "13_0"),
    "windows-x86_64": System(
        ("win_amd64",),
        {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    ),
}
PATCHES: Final = (0, 99)
"""A Python's first release, and one after its last."""
PYTHONS: Final = ("3.11", "3.12", "3.13")
HERE, THIS_PYTHON = offline.this_target().rsplit("-py", 1)


@click.command()
@click.option("--platform", "systems", multiple=True, type=click.Choice(tuple(SYSTEMS)), help="For; may be repeated.")
@click.option("--python", "pythons", multiple=True, type=click.Choice(PYTHONS), help="For; may be repeated.")
@click.option("--dev", is_flag=True, help="What `test` and `bench` need too.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def bundle(systems: tuple[str, ...], pythons: tuple[str, ...], dev: bool, output: Path | None) -> None:
    """Make one file that sets the lab up without a network: for this machine and Python, or for those named."""
    targets = [(system, python) for system in systems or (HERE,) for python in pythons or (THIS_PYTHON,)]
    unknown = [system for system, python in targets if system not in SYSTEMS or python not in PYTHONS]
    if unknown:
        raise LabError(f"no bundle can be made for {HERE} with Python {THIS_PYTHON}: name --platform and --python")
    names = "-".join(dict.fromkeys([*(system for system, _ in targets), *(f"py{python}" for _, python in targets)]))
    file = output or places.ROOT / f"cqrs-on-azure-lab-{names}.zip"
    places.folder_for(file)
    locks = ("requirements", "requirements-dev") if dev else ("requirements",)
    with places.alone("bundle"):
        make(file, places.ROOT, targets, locks, downloads=places.state() / "wheels")
    click.echo(f"{file}: {file.stat().st_size / 1e6:.0f} MB. In the room: `python3 {file.name}`, or `lab.py --bundle`.")


def make(file: Path, root: Path, targets: Iterable[tuple[str, str]], locks: Sequence[str], *, downloads: Path) -> None:
    """Write the bundle of `root`. Raises: `LabError` in pip's words if a package cannot be had."""
    held: dict[str, dict[str, str]] = {}
    for system, python in targets:
        target = f"{system}-py{python}"
        folder = downloads / target
        for lock in locks:
            download(root / f"{lock}.lock", system, python, folder, title=f"{target} {lock}")
        held[target] = {path.name: _hash(path) for path in sorted(folder.glob("*.whl"))}
    manifest = {
        "format": offline.FORMAT,
        "locks": {lock: _hash(root / f"{lock}.lock") for lock in locks},
        "targets": held,
    }
    wheels = {name: downloads / target / name for target, names in held.items() for name in names}
    with _whole_or_not_at_all(file) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", Path(unpack.__file__).read_text(encoding="utf-8"))
        archive.writestr(offline.MANIFEST, json.dumps(manifest, indent=1))
        for path in project_files(root):
            archive.write(path, f"{offline.PROJECT}/{path.relative_to(root).as_posix()}")
        for name, path in sorted(wheels.items()):
            archive.write(path, f"{offline.WHEELS}/{name}", zipfile.ZIP_STORED)
    shutil.rmtree(downloads)


def download(lock: Path, system: str, python: str, folder: Path, *, title: str) -> None:
    """The wheels of this lock for this target, into `folder`; those that are there already are not fetched again."""
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    text, began = lock.read_text(encoding="utf-8"), time.monotonic()
    # one version of a package may be for the first releases of a Python and another for the last: both go in
    oldest, newest = (requirements_for(text, system, f"{python}.{patch}") for patch in PATCHES)
    rounds = [oldest, [line for line in newest if line not in oldest]]
    options = ["--implementation", "cp", "--abi", f"cp{python.replace('.', '')}"]
    options += [word for tag in SYSTEMS[system].wheels for word in ("--platform", tag)] + ["-d", str(folder)]
    total = sum(map(len, rounds))
    with tqdm(total=total, desc=title, unit="package", leave=False, disable=not sys.stderr.isatty()) as bar:
        for patch, chosen in zip(PATCHES, rounds, strict=True):
            asked = folder / f"{lock.stem}-{patch}.txt"
            asked.write_text("\n".join([*chosen, ""]), encoding="utf-8")
            words = [*options, "--python-version", f"{python}.{patch}", "-r", str(asked)]
            if chosen and (reason := _pip_download(words, bar.update)) is not None:
                raise LabError(f"{title}: pip cannot get every package of the lock ({reason}); no bundle was written")
    click.echo(f"{title:<46} {total:>4} packages {time.monotonic() - began:6.1f} s")


def _pip_download(options: Sequence[str], met: Callable[[int], object]) -> str | None:
    """Why pip did not get all of it; None: it did. `met` is told of each package."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off", "--require-hashes", "--no-deps", "--only-binary", ":all:", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ["without a word"]
    try:
        for line in process.stdout or ():
            said.append(line.strip())
            met(line.startswith("Collecting "))
        return next((line for line in reversed(said) if line.startswith("ERROR")), said[-1]) if process.wait() else None
    finally:
        process.terminate()
        process.wait()


def requirements_for(lock: str, system: str, python: str) -> list[str]:
    """The lock's requirements that hold there, with their hashes and without their markers; `python`: 3.11.5."""
    environment = {
        **SYSTEMS[system].markers,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_version": python,
    }
    chosen = []
    for line in lock.replace("\\\n", " ").splitlines():
        if not line or line[0] in "# ":
            continue
        asked, *hashes = line.split("--hash=")
        requirement = Requirement(asked)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            chosen.append(" ".join([str(requirement), *(f"--hash={digest.strip()}" for digest in hashes)]))
    return chosen


def project_files(root: Path) -> list[Path]:
    """The files of the project: those that git tracks; in a tree without git, those that .gitignore does not name."""
    with contextlib.suppress(OSError):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
        if listed.returncode == 0 and listed.stdout:
            return [path for name in listed.stdout.split("\0") if name and (path := root / name).is_file()]
    ignored = [line.rstrip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").split()] + [".git"]
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)]
        found += [Path(folder, name) for name in files if not any(fnmatch.fnmatch(name, p) for p in ignored)]
    return sorted(path for path in found if path.suffix != ".zip")


@contextlib.contextmanager
def _whole_or_not_at_all(file: Path) -> Iterator[Path]:
    """A hidden file beside it to write to, which gets the name when all is written; on any end else it is gone."""
    for left in file.parent.glob(f".{file.name}.*.part"):  # of a call that was killed
        left.unlink()
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield beside
        os.replace(beside, file)
    except OSError as error:
        error.filename = str(file)
        raise
    finally:
        beside.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
