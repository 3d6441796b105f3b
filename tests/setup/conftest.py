"""A small project with the real `lab.py` and locks of tiny packages made here, so that set-up is tried whole, offline.

Its `labkit` prints what it was handed. Its build backend is in its tree, its packages are two wheels of one module.
Its first environment is made by Python alone; those after it get the pip of the first by a hard link to each file,
because unpacking and compiling pip takes longer than all else that a set-up does.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BACKEND = """
import locale, zipfile
NAME = "small_lab-0.1"
def get_requires_for_build_editable(config_settings=None):
    return []
def build_editable(folder, config_settings=None, metadata_directory=None):
    import pathlib
    wheel = NAME + "-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / wheel, "w") as archive:
        archive.writestr("small_lab.pth", (str(pathlib.Path.cwd()) + "\\n").encode(locale.getpreferredencoding(False)))
        archive.writestr(NAME + ".dist-info/METADATA", "Metadata-Version: 2.1\\nName: small-lab\\nVersion: 0.1\\n")
        archive.writestr(NAME + ".dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(NAME + ".dist-info/RECORD", "")
    return wheel
"""
VENV = """
import os, shutil, sys
from pathlib import Path
del sys.path[0]  # this folder, in which Python found this file instead of its own
import venv
kept, folder = Path({kept!r}), Path(sys.argv[1])
venv.EnvBuilder(symlinks=os.name != "nt", with_pip=not kept.exists()).create(folder)
packages, = folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
if not kept.exists():
    shutil.copytree(packages, kept.with_name(str(os.getpid())), copy_function=os.link).rename(kept)
else:
    not_yet = shutil.ignore_patterns("RECORD")
    shutil.copytree(kept, packages, copy_function=os.link, dirs_exist_ok=True, ignore=not_yet)
    for script in [line.split(",")[0] for line in open(*kept.glob("pip-*/RECORD")) if line.startswith("..")]:
        (packages / script).touch()
    for record in kept.glob("*/RECORD"):  # the last file that an installer writes
        os.link(record, packages / record.relative_to(kept))
"""
"""What `python -m venv FOLDER` does in the small project."""
LABKIT = """
import sys, tiny_core
print("handed over:", *sys.argv[1:])
print("in an environment of its own:", sys.prefix != sys.base_prefix)
print("asserts:", __debug__)
"""


def _hear_interrupts() -> None:
    """A shell starts what runs in the background with interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class SmallProject:
    folder: Path

    def lab(
        self, *arguments: str, python: str | Path = sys.executable, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `lab.py` there to its end."""
        command = [str(python), str(self.folder / "lab.py"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=self.environment(**environment), check=False
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.folder / "lab.py"), *arguments]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(**environment),
            preexec_fn=None if os.name == "nt" else _hear_interrupts,
        )

    def half_an_environment(self, also: str = "pass") -> subprocess.Popen[str]:
        """A call of `run` that makes an environment: pip is there, but for its record, and `also` has been done.

        It stays so until the input of the call ends.
        """
        installer, half = self.folder / "venv.py", self.folder / "half"
        whole = installer.read_text(encoding="utf-8")
        waits = f"{also}; Path({str(half)!r}).touch(); sys.stdin.read()\n    for record"
        installer.write_text(whole.replace("for record", waits), encoding="utf-8")
        call = self.start("run")
        while not half.exists():
            assert call.poll() is None
            time.sleep(0.01)
        half.unlink()
        installer.write_text(whole, encoding="utf-8")
        return call

    def environment(self, **more: str) -> dict[str, str]:
        """No index but the project's wheels, and the plain pip that every machine has."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
        path = os.pathsep.join(p for p in own["PATH"].split(os.pathsep) if not shutil.which("uv", path=p))
        return {**own, "PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (self.folder / "wheels").as_uri(), **more}

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site_packages(self) -> Path:
        pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
        return next((self.folder / ".venv").glob(pattern))

    def lock(self, name: str, packages: dict[str, str]) -> None:
        """Write a lock of these packages and versions, with wheels to match."""
        lines = [f"{package}=={version} \\\n    --hash=sha256:{self.wheel(package, version)}"
                 for package, version in packages.items()]  # fmt: skip
        (self.folder / f"{name}.lock").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def wheel(self, package: str, version: str) -> str:
        """Make a wheel of one module; returns its SHA-256."""
        path = self.folder / "wheels" / f"{package}-{version}-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        metadata = f"{package}-{version}.dist-info"
        files = {
            f"{package}.py": f"version = {version!r}\n",
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
            f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = [f"{name},sha256={digest(text)},{len(text)}" for name, text in files.items()]
        files[f"{metadata}/RECORD"] = "\n".join([*record, f"{metadata}/RECORD,,", ""])
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 5, 9, 0, 0)), text)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Not set up yet. Its path has a space and an umlaut in it, as a home on Windows or macOS may."""
    folder = tmp_path_factory.mktemp("small") / "the läb"
    (folder / "labkit" / "verbs").mkdir(parents=True)
    shutil.copy(ROOT / "lab.py", folder)
    for name in ("__init__", "environment", "installing", "java"):
        shutil.copy(ROOT / "labkit" / "verbs" / f"{name}.py", folder / "labkit" / "verbs")
    small = SmallProject(folder)
    small.lock("requirements", {"tiny_core": "1.0"})
    small.lock("requirements-dev", {"tiny_dev": "1.0"})
    small.lock("requirements-spark", {"tiny_spark": "1.0"})
    files = {
        "backend.py": BACKEND,
        "venv.py": VENV.format(kept=str(folder.with_name("pip"))),
        "labkit/__init__.py": "",
        "labkit/__main__.py": LABKIT,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return small
