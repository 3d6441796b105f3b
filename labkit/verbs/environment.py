"""`.venv`: is it there, and make it so. Called by `lab.py` before there is anything else: the standard library alone.

Owns `.venv` and what is installed in it: each lock installed whole is noted, with its hash, in a stamp inside `.venv`,
written last. So a half-made, moved or outdated `.venv` is recognised by what the stamp does not say, and mended or made
again. One process at a time does so, under an OS lock that the installer inherits: an orphaned pip is waited for, never
joined by a second one. Refuses to know: verbs, and how an installer is run (`installing`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from labkit.verbs.installing import SetUpError, step

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv"
CONFIG: Final = VENV / "pyvenv.cfg"
"""Without it, the Python of `.venv` is the one that it was made from, and what it installs goes there."""
STAMP: Final = VENV / "lab-stamp.json"
PROJECT: Final = "pyproject.toml"
STATE: Final = ROOT / ".lab"
LOG: Final = STATE / "setup.log"
WINDOWS: Final = os.name == "nt"
PYTHON: Final = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
BASE_PYTHON: Final[str] = getattr(sys, "_base_executable", None) or sys.executable
"""What makes `.venv`: never an interpreter of an environment, which might be the one that is to be replaced."""
SITE_PACKAGES: Final = "Lib/site-packages" if WINDOWS else "lib/python*/site-packages"


# --- is it there? -----------------------------------------------------------------------------------------------------


def wanted(locks: Sequence[str]) -> dict[str, str]:
    """What the stamp must hold: the hash of each lock, and of what the project says of itself."""
    files = {**{lock: ROOT / f"{lock}.lock" for lock in locks}, PROJECT: ROOT / PROJECT}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def read_stamp() -> dict[str, str]:
    """What is installed whole, by name, with its hash: empty for a `.venv` that is absent, half-made or moved."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return dict(stamp["installed"]) if stamp["folder"] == str(ROOT) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def is_ready(locks: Sequence[str]) -> bool:
    return PYTHON.exists() and CONFIG.exists() and wanted(locks).items() <= read_stamp().items()


def write_stamp(installed: Mapping[str, str]) -> None:
    beside = STAMP.with_suffix(".new")
    beside.write_text(json.dumps({"folder": str(ROOT), "installed": installed}, indent=1) + "\n", encoding="utf-8")
    beside.replace(STAMP)


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[int]:
    """Hold the folder's set-up lock; yields its file descriptor for the installer to inherit."""
    try:
        STATE.mkdir(mode=0o700, exist_ok=True)  # keys and data: for the owner alone
        file = open(STATE / "setup.lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise SetUpError(
            f"Cannot write in {ROOT} ({error.strerror}). Copy the lab's folder to a place you may write to, and run it "
            "there."
        ) from error
    with file:
        if not try_lock(file):
            sys.stdout.write("Another `lab.py` is setting this folder up; waiting for it.\n")
            while not try_lock(file):
                time.sleep(0.2)
        yield file.fileno()


def try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


# --- make it so -------------------------------------------------------------------------------------------------------


def set_up(locks: Sequence[str], lock_fd: int, offline: str | None = None) -> None:
    """Bring `.venv` to where `locks` are installed. Called under the lock; does nothing that is already done.

    `offline`: a folder with all packages; no index is asked then, and no setting of the installer's is read.
    Raises: `SetUpError`.
    """
    if is_ready(locks):
        return
    uv = shutil.which("uv")
    if offline and importlib.util.find_spec("ensurepip"):
        uv = None  # which would fetch pip for a new environment from the index
    installed = read_stamp() if starts() else {}
    also = sorted(set(installed) - set(locks) - {PROJECT})  # what `test` was given stays when another verb comes
    if not offline:  # a bundle may hold no more than the verb needs
        locks = [*locks, *(name for name in also if (ROOT / f"{name}.lock").exists())]
    goal = wanted(locks)
    if installed.get(locks[0]) != goal[locks[0]]:
        if STAMP.exists() or not works(uv):
            make_venv(uv, lock_fd, offline)
        else:
            sys.stdout.write("Going on with a set-up that was interrupted.\n")
            forget_half_installed()
        installed = {}
    for name in (locks[0], PROJECT, *locks[1:]):
        if installed.get(name) != goal[name]:
            if name == PROJECT:
                install_project(installer(uv, offline), lock_fd)
            else:
                install_lock(name, installer(uv, offline), lock_fd)
            installed[name] = goal[name]
            write_stamp(installed)


def starts() -> bool:
    """Whether the Python of `.venv` does, is of this version, and installs into `.venv` and nowhere else."""
    check = f"import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info[:2] != {sys.version_info[:2]})"
    with contextlib.suppress(OSError):
        return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    return False


def works(uv: str | None) -> bool:
    """Whether `.venv` starts, and has an installer, whole."""
    return starts() and (uv is not None or any(map(is_whole, VENV.glob(f"{SITE_PACKAGES}/pip-*.dist-info"))))


def make_venv(uv: str | None, lock_fd: int, offline: str | None) -> None:
    """A fresh `.venv`, an old one moved out of the way first: in one step, so that a refusal leaves it whole."""
    if VENV.exists():
        if read_stamp() and PYTHON.exists():  # an embedded Azure that runs from it would miss its files
            subprocess.run([PYTHON, "-P", "-m", "labkit", "down"], capture_output=True, check=False)
        old = ROOT / f".venv-old-{os.getpid()}"
        try:
            VENV.rename(old)
        except OSError as error:
            raise SetUpError(
                f"{VENV} must be made again and cannot be moved away ({error.strerror}): something still uses it. "
                "Close JupyterLab and running notebooks, then run the same command again."
            ) from error
    for old in ROOT.glob(".venv-old-*"):
        shutil.rmtree(old, ignore_errors=True)
    command = [BASE_PYTHON, "-m", "venv", str(VENV)]
    if uv:
        command = [uv, "venv", "--quiet", "--offline" if offline else "--seed", "--python", BASE_PYTHON, str(VENV)]
    run("Python environment", command, lock_fd)


def forget_half_installed() -> None:
    """Drop the metadata of packages whose installation, or removal, broke off, so that the installer does them again.

    Folders beginning with `~` are what pip moved aside and did not delete.
    """
    for metadata in [one for one in installed_packages() if not is_whole(one)]:
        shutil.rmtree(metadata)
    for aside in VENV.glob(f"{SITE_PACKAGES}/~*"):
        shutil.rmtree(aside, ignore_errors=True)


def is_whole(metadata: Path) -> bool:
    """Whether all files of a package are there. RECORD names them, and is the last one that an installer writes."""
    record = metadata / "RECORD"
    files = record.read_text(encoding="utf-8", errors="replace").splitlines() if record.exists() else []
    return bool(files) and all((metadata.parent / file.rsplit(",", 2)[0]).exists() for file in files)


def installed_packages() -> list[Path]:
    """The metadata folders of the packages in `.venv`, half-installed ones too."""
    return list(VENV.glob(f"{SITE_PACKAGES}/*.dist-info"))


def installer(uv: str | None, offline: str | None) -> list[str]:
    """How an installing command begins. Offline it knows one folder, whatever is configured."""
    only = ["--no-index", "--find-links", offline] if offline else []
    if uv:
        command = [uv, "pip", "install", "--python", str(PYTHON), "--compile-bytecode"]
        return [*command, *(["--offline", "--no-config", *only] if offline else [])]
    command = [str(PYTHON), "-m", "pip", *(["--isolated"] if offline else [])]
    return [*command, "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", *only]


def install_lock(lock: str, install: Sequence[str], lock_fd: int) -> None:
    path = ROOT / f"{lock}.lock"
    packages = sum("==" in line for line in path.read_text(encoding="utf-8").splitlines())
    command = [*install, "--require-hashes", "--only-binary", ":all:", "--no-build-isolation", "-r", str(path)]
    run(f"Packages of {path.name}", command, lock_fd, packages)


def install_project(install: Sequence[str], lock_fd: int) -> None:
    """The project itself, editable. A call of its own: pip refuses it beside requirements that have hashes."""
    run("The lab itself", [*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], lock_fd)
    compiled: list[Any] = [PYTHON, "-m", "compileall", "-q", ROOT / "labkit", ROOT / "localazure"]
    subprocess.run(compiled, capture_output=True, check=False)  # so that all starts are quick


def run(title: str, command: Sequence[str], lock_fd: int, packages: int = 0) -> None:
    step(title, command, ROOT, LOG, lock_fd, lambda: len(installed_packages()), packages)
