"""The machine, looked at for `doctor`: Python, folder, disk, memory, clock, loopback, proxy, browser, Java.

Owns what a room is (`Room`, whose surroundings a test replaces) and what a finding is. Needs nothing but the standard
library. Values of variables are never shown: proxies hold passwords.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from labkit import settings
from labkit.verbs.java import why_no_java

GB: Final = 1_000_000_000
SET_UP_BYTES: Final = 2 * GB
"""What set-up may need while it works: about 1.5 GB in `.venv`, and the installer's cache."""
WORKING_BYTES: Final = 500_000_000
"""Below this a notebook may not find room for its tables and logs."""
MEMORY_BYTES: Final = 2 * GB
LOCKED_PYTHONS: Final = ((3, 11), (3, 13))
"""The locks hold for these, both included."""
CLOCK_SECONDS: Final = 5.0
LOOPBACK_SECONDS: Final = 5.0
DAY_SECONDS: Final = 86_400.0
LONGEST_WINDOWS_PATH: Final = 90
"""A package's longest path inside `.venv` takes most of the 260 characters that Windows allows."""
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SYNCHRONISED: Final = ("onedrive", "dropbox", "google drive", "icloud", "mobile documents")

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What is looked at: the lab's folder as `lab.py` knows it, and the surroundings, which a test replaces."""

    root: Path
    python: Path
    """The interpreter of `.venv`, there or not."""
    installed: Mapping[str, str]
    """What `lab.py`'s stamp says, and below what it should say: lock -> hash."""
    wanted: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    version: tuple[int, int] = sys.version_info[:2]
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    memory_bytes: Callable[[], int | None] = lambda: available_memory()
    now: Callable[[], float] = time.time
    find: Callable[[str], str | None] = shutil.which
    no_java: Callable[[], str | None] = why_no_java

    @property
    def state(self) -> Path:
        return settings.data_dir(self.environ)


def python(room: Room) -> Finding:
    first, last = LOCKED_PYTHONS
    said = f"{'.'.join(map(str, room.version))} on {platform.system()} {platform.machine()}"
    allowed = f"Python {first[0]}.{first[1]} to {last[0]}.{last[1]}"
    if sys.maxsize < 2**32:
        return Finding("python", "wrong", f"{said}, 32-bit", f"run lab.py with a 64-bit {allowed}")
    if not first <= room.version <= last:
        return Finding("python", "warning", f"{said}: the locks hold for {allowed}", f"run lab.py with {allowed}")
    able = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if able.returncode and not room.find("uv") and not room.python.exists():
        mend = "Debian and Ubuntu: apt install python3-venv; or put uv on the PATH"
        return Finding("python", "wrong", f"{said}: it cannot make environments", mend)
    return Finding("python", "ok", said)


def folder(room: Room) -> Finding:
    """Where the lab lies, and whether it, the state and the reader's copies can be written."""
    for path in (room.root, room.state, room.root / "my_lab"):
        while not path.exists():
            path = path.parent
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b"written")
        except OSError as error:
            mend = "copy the lab's folder to a place you may write to, and work there"
            return Finding("folder", "wrong", f"{path} cannot be written ({error.strerror})", mend)
    where = str(room.root)
    if os.name == "nt" and len(where) > LONGEST_WINDOWS_PATH:
        return Finding("folder", "warning", f"{where} is long for Windows", "move it to a short path such as C:\\lab")
    if any(word in where.lower() for word in SYNCHRONISED):
        mend = "move it out of the synchronised folder: another program opening its files can hold them locked"
        return Finding("folder", "warning", where, mend)
    return Finding("folder", "ok", f"{where} can be written")


def disk(room: Room) -> Finding:
    need = WORKING_BYTES if room.installed else SET_UP_BYTES
    free = min(room.free_bytes(path) for path in (room.root, *([room.state] if room.state.exists() else [])))
    said = f"{free / GB:.1f} GB free"
    if free < need:
        return Finding("disk", "wrong", f"{said}, {need / GB:.1f} GB are needed", "free some space on this disk")
    return Finding("disk", "ok", said)


def memory(room: Room) -> Finding:
    free = room.memory_bytes()
    if free is None:
        return Finding("memory", "ok", "this system does not say")
    said = f"{free / GB:.1f} GB available"
    if free < MEMORY_BYTES / 4:
        return Finding("memory", "wrong", said, "close other programs: a notebook and its Azure need about 1 GB")
    if free < MEMORY_BYTES:
        return Finding("memory", "warning", said, "keep one notebook open at a time, and other programs closed")
    return Finding("memory", "ok", said)


def available_memory() -> int | None:
    """Bytes a new program may have, a container's limit included; None where it is not told without a package."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _total_memory()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        return free if limit == "max" else min(free, int(limit) - int(used))
    except (OSError, ValueError):
        return free


def _total_memory() -> int | None:
    """What the machine has, where what is free cannot be told: macOS; not on Windows."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def clock(room: Room) -> Finding:
    """Against what is known without a network: when the lab's files were written, and the clock of their disk."""
    now = room.now()
    mend = "set the clock: tokens are signed with the time, and an order's id names its day"
    written = max(path.stat().st_mtime for path in (room.root / "lab.py", room.root / "requirements.lock"))
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now < written - DAY_SECONDS:
        return Finding("clock", "wrong", f"{shown}, which is before this folder was written", mend)
    with tempfile.NamedTemporaryFile(dir=room.root if os.access(room.root, os.W_OK) else None) as file:
        apart = os.stat(file.name).st_mtime - now
    if abs(apart) > CLOCK_SECONDS:
        return Finding("clock", "warning", f"{shown}; the disk's clock is {apart:+.0f} s from it", mend)
    return Finding("clock", "ok", shown)


def loopback(room: Room) -> Finding:
    """A port of 127.0.0.1 is opened and reached, and `localhost` is that."""
    mend = "allow programs to talk to 127.0.0.1: a firewall or security program forbids it"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.settimeout(LOOPBACK_SECONDS)
            client.connect(server.getsockname())
            server.accept()[0].close()
        names = {found[4][0] for found in socket.getaddrinfo("localhost", None)}
    except OSError as error:
        return Finding("loopback", "wrong", f"a port on 127.0.0.1 cannot be opened and reached ({error})", mend)
    if not names & {"127.0.0.1", "::1"}:
        return Finding(
            "loopback", "warning", "localhost is another machine", "mend the file `hosts`: 127.0.0.1 localhost"
        )
    return Finding("loopback", "ok", "ports on 127.0.0.1 can be opened and reached")


def proxy(room: Room) -> Finding:
    """Which variables name one; never what they say."""
    names = [name for name in room.environ if name.upper() in PROXIES and room.environ[name]]
    if not names:
        return Finding("proxy", "ok", "no variable names one")
    for name in names:
        if not _names_a_host(room.environ[name]):
            return Finding("proxy", "wrong", f"{name} is no address", f"unset {name}, or write it as http://host:8080")
    spared = [name for name in ("NO_PROXY", "no_proxy") if "127.0.0.1" in room.environ.get(name, "")]
    said = f"{', '.join(sorted(names))} set"
    if spared:
        return Finding("proxy", "ok", f"{said}, and {spared[0]} spares 127.0.0.1")
    mend = "nothing for the notebooks, which spare the loopback; for programs of your own: NO_PROXY=127.0.0.1,localhost"
    return Finding("proxy", "warning", said, mend)


def _names_a_host(address: str) -> bool:
    """As HTTP clients read it: a host, perhaps with a scheme and a port. What it says may be a password."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def browser(room: Room) -> Finding:
    try:
        return Finding("browser", "ok", f"{webbrowser.get().__class__.__name__.lower()} opens")
    except webbrowser.Error:
        mend = "`lab.py lab --no-browser` prints an address: open that where there is a browser"
        return Finding("browser", "warning", "none that this Python can open", mend)


def java(room: Room) -> Finding:
    """A note: no notebook needs it."""
    why_not = room.no_java()
    said = f"{why_not.rstrip('.')} (no notebook does)" if why_not else "runs Spark; no notebook needs it"
    return Finding("java", "ok", said)
