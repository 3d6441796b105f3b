"""A room without a network: the bundle of a small project is made, carried, unpacked, refused. In order: one folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.verbs import bundle, offline, places
from tests.setup.conftest import ROOT, SmallProject

HERE = (bundle.HERE, bundle.THIS_PYTHON)


@pytest.fixture(scope="module")
def wheels(project: SmallProject) -> Iterator[Path]:
    """The project with the code that reads bundles, and pip that finds its packages in a folder."""
    for name in ("__init__.py", "offline.py"):
        there = project.folder / "labkit" / "verbs" / name
        there.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "labkit" / "verbs" / name, there)
    shutil.copy(ROOT / ".gitignore", project.folder)
    folder = project.folder / "wheels"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            patch.delenv(name)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", folder.as_uri())
        yield folder


@pytest.fixture(scope="module")
def room(project: SmallProject, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the project for this machine, made as the verb makes it."""
    (project.folder / "my_lab").mkdir()
    (project.folder / "my_lab" / "mine.ipynb").write_text("{}", encoding="utf-8")
    return made(project, tmp_path_factory.mktemp("carried") / "a room.zip", dev=True)


def made(project: SmallProject, file: Path, *, dev: bool = False) -> Path:
    locks = ("requirements", "requirements-dev") if dev else ("requirements",)
    bundle.make(file, project.folder, [HERE], locks, downloads=file.parent / "downloads")
    return file


def altered(room: Path, file: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The bundle with other content."""
    with zipfile.ZipFile(room) as whole, zipfile.ZipFile(file, "w") as other:
        for name in whole.namelist():
            other.writestr(name, change(name, whole.read(name)))
    return file


def with_manifest(room: Path, file: Path, **parts: object) -> Path:
    """The bundle with other words about itself."""

    def change(name: str, content: bytes) -> bytes:
        return json.dumps({**json.loads(content), **parts}).encode() if name == offline.MANIFEST else content

    return altered(room, file, change)


def nowhere(project: SmallProject) -> dict[str, str]:
    """No package is to be had from anywhere: an index that refuses, no folder, no cache."""
    empty = str(project.folder.parent / "empty")
    return {
        "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1",
        "PIP_CACHE_DIR": empty, "UV_CACHE_DIR": empty,
    }  # fmt: skip


def test_without_a_network_the_bundle_sets_up_and_hands_over(project: SmallProject, room: Path) -> None:
    assert "The package index cannot be reached" in project.lab("run", **nowhere(project)).stderr
    shutil.rmtree(project.folder / ".venv")

    done = project.lab("run", "--bundle", str(room), "-p", "a=1", **nowhere(project))

    assert done.returncode == 0, done.stderr
    assert "handed over: run -p a=1" in done.stdout
    assert (project.site_packages / "tiny_core.py").exists()
    assert not list((project.folder / ".lab").glob("bundle-*")), "what was unpacked meanwhile is gone"
    assert project.lab("bench", f"--bundle={room}", **nowhere(project)).returncode == 0
    assert (project.site_packages / "tiny_dev.py").exists()


def test_a_bundle_that_holds_what_a_verb_needs_is_enough_where_more_was_installed(
    project: SmallProject, wheels: Path, tmp_path: Path
) -> None:
    assert (project.site_packages / "tiny_dev.py").exists()
    lock = project.folder / "requirements.lock"
    before = lock.read_bytes()
    project.lock("requirements", {"tiny_core": "1.1"})
    file = made(project, tmp_path / "newer.zip")

    done = project.lab("run", "--bundle", str(file), **nowhere(project))
    lock.write_bytes(before)

    assert done.returncode == 0, done.stderr
    assert "1.1" in (project.site_packages / "tiny_core.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", ["", "run", "lab", "doctor", "lock", "status", "nonsense"])
def test_a_bundle_that_is_not_there_is_told_though_nothing_needs_it(
    project: SmallProject, room: Path, tmp_path: Path, verb: str
) -> None:
    assert project.lab("run", "--bundle", str(room), **nowhere(project)).returncode == 0

    done = project.lab(*verb.split(), "--bundle", str(tmp_path / "no file.zip"), **nowhere(project))
    nameless = project.lab(*verb.split(), "--bundle", **nowhere(project))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"There is no file {tmp_path / 'no file.zip'}: name the bundle, with its folder.\n"
    assert nameless.stderr == "Which file is the bundle? It is named behind `--bundle`.\n"


def test_the_bundle_alone_is_enough(project: SmallProject, room: Path, tmp_path: Path) -> None:
    there = tmp_path / "Übung 3"
    there.mkdir()
    command = [sys.executable, str(room), "the lab"]
    environment = project.environment(**nowhere(project))
    done = subprocess.run(command, cwd=there, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"Everything is installed in {there / 'the lab'}" in done.stdout
    assert (there / "the lab" / "lab.py").read_bytes() == (ROOT / "lab.py").read_bytes()
    assert not (there / "the lab" / "my_lab").exists()
    assert "127.0.0.1:9" not in (there / "the lab" / ".lab" / "setup.log").read_text(encoding="utf-8")
    again = subprocess.run(command, cwd=there, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
    assert "is there already: name another folder" in again.stderr


def refused(project: SmallProject, file: Path, verb: str = "run") -> str:
    shutil.rmtree(project.folder / ".venv", ignore_errors=True)
    done = project.lab(verb, "--bundle", str(file), **nowhere(project))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (project.folder / ".venv").exists(), "nothing is begun with a bundle that does not fit"
    return done.stderr


def test_a_bundle_for_another_machine_is_refused_with_the_call_that_makes_one_for_this(
    project: SmallProject, room: Path, tmp_path: Path
) -> None:
    said = refused(project, with_manifest(room, tmp_path / "theirs.zip", targets={"plan9-mips-py3.12": {}}))
    system, version = HERE
    assert f"is for plan9-mips-py3.12; this is {system}-py{version}" in said
    assert f"`python3 lab.py bundle --platform {system} --python {version}`" in said


def test_a_bundle_of_other_locks_or_of_too_few_is_refused(project: SmallProject, room: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((project.folder / "requirements.lock").read_bytes()).hexdigest()
    file = with_manifest(room, tmp_path / "fewer.zip", locks={"requirements": digest})
    assert "holds nothing of requirements-dev.lock. `lab.py bundle --dev`" in refused(project, file, "bench")
    other = with_manifest(room, tmp_path / "other.zip", locks={"requirements": "0" * 64})
    assert "was made for another requirements.lock" in refused(project, other)
    assert "another version of the lab" in refused(project, with_manifest(room, tmp_path / "later.zip", format=2))


def test_spark_which_has_no_wheel_is_in_no_bundle(room: Path, tmp_path: Path) -> None:
    with pytest.raises(offline.BundleError, match="Spark is in no bundle"):
        offline.wheels_of(str(room), {"requirements-spark": "0" * 64}, tmp_path).__enter__()


def test_a_damaged_or_foreign_file_is_refused(project: SmallProject, room: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.zip"
    half.write_bytes(room.read_bytes()[:-300])
    assert "is no whole bundle" in refused(project, half), "what is left ends in a package, which is a zip itself"
    half.write_bytes(room.read_bytes()[:200])
    assert "it is no zip file, or only a part of one" in refused(project, half)
    assert "There is no file " in refused(project, tmp_path / "none.zip")
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("a", "b")
    assert "is no whole bundle of the lab" in refused(project, foreign)
    flipped = bytearray(room.read_bytes())
    flipped[flipped.index(b"version = '1.0'") + 3] ^= 1
    half.write_bytes(flipped)
    assert "is damaged: tiny_core-1.0-py3-none-any.whl" in refused(project, half)


def test_a_package_that_was_exchanged_in_the_bundle_is_refused_by_the_lock_if_by_nothing_else(
    project: SmallProject, room: Path, tmp_path: Path
) -> None:
    def exchange(name: str, content: bytes) -> bytes:
        return content + b"\0" if name.endswith(".whl") else content

    file = altered(room, tmp_path / "altered.zip", exchange)
    assert "is damaged: tiny_core-1.0-py3-none-any.whl is not what was put in" in refused(project, file)
    with zipfile.ZipFile(file) as archive:
        wheels = {path.removeprefix("wheels/") for path in archive.namelist() if path.startswith("wheels/")}
        hashes = {name: hashlib.sha256(archive.read(f"wheels/{name}")).hexdigest() for name in wheels}
    lying = with_manifest(file, tmp_path / "lying.zip", targets={offline.this_target(): hashes})

    done = project.lab("run", "--bundle", str(lying), **nowhere(project))

    assert done.returncode == 1
    assert "is not the one the lock names, so it was not installed" in done.stderr


def test_a_package_that_cannot_be_had_leaves_no_bundle(project: SmallProject, wheels: Path, tmp_path: Path) -> None:
    (wheels / "tiny_core-1.0-py3-none-any.whl").rename(tmp_path / "away")
    try:
        with pytest.raises(LabError, match=r"cannot get every package .*tiny_core.*; no bundle was written"):
            made(project, tmp_path / "room.zip")
    finally:
        (tmp_path / "away").rename(wheels / "tiny_core-1.0-py3-none-any.whl")
    assert not list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".*.part"))


def test_a_disk_that_fills_keeps_the_former_bundle_and_leaves_no_half_file(
    project: SmallProject, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "room.zip"
    file.write_bytes(b"the former one")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(OSError, match="No space left") as refusal:
        made(project, file)
    assert refusal.value.filename == str(file)
    assert file.read_bytes() == b"the former one"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["room.zip"]


@pytest.mark.skipif(os.name == "nt", reason="only on systems with signals a test can send to one process")
def test_what_a_killed_call_left_goes_with_the_next_and_what_it_had_fetched_is_used(
    project: SmallProject, wheels: Path, tmp_path: Path
) -> None:
    left = tmp_path / ".room.zip.123.part"
    left.write_bytes(b"half")
    code = (
        "import sys; from pathlib import Path; from labkit.verbs import bundle\n"
        "bundle.project_files = lambda root: print('writing', flush=True) or iter(sys.stdin.readline, None)\n"
        f"bundle.make(Path(sys.argv[1]), Path(sys.argv[2]), [{HERE!r}], ['requirements'], downloads=Path(sys.argv[3]))"
    )
    downloads = tmp_path / "downloads"
    command = [sys.executable, "-c", code, str(tmp_path / "room.zip"), str(project.folder), str(downloads)]
    call = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert call.stdout is not None
    while "writing" not in (line := call.stdout.readline()):
        assert line, "it ended before it wrote"
    assert list(tmp_path.glob(".*.part")), "it was writing"
    call.send_signal(signal.SIGKILL)
    call.wait()
    call.stdout.close()
    assert not (tmp_path / "room.zip").exists()
    assert list(downloads.rglob("*.whl"))

    made(project, tmp_path / "room.zip")

    assert zipfile.is_zipfile(tmp_path / "room.zip")
    assert not list(tmp_path.glob(".*.part"))
    assert not downloads.exists()


def test_the_markers_of_the_lock_are_judged_by_the_target_and_not_by_this_python() -> None:
    lock = (
        "both==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via x\n"
        "mac==1 ; sys_platform == 'darwin' \\\n    --hash=sha256:3\n"
        "win==2 ; os_name == 'nt' and python_full_version >= '3.12' \\\n    --hash=sha256:4\n"
        "old==1 ; python_full_version < '3.11.5' \\\n    --hash=sha256:5\n"
    )
    both = "both==1 --hash=sha256:1 --hash=sha256:2"
    old = "old==1 --hash=sha256:5"
    assert bundle.requirements_for(lock, "linux-x86_64", "3.11.0") == [both, old]
    assert bundle.requirements_for(lock, "linux-x86_64", "3.11.99") == [both]
    assert bundle.requirements_for(lock, "macos-arm64", "3.13.0") == [both, "mac==1 --hash=sha256:3"]
    assert bundle.requirements_for(lock, "windows-x86_64", "3.12.0") == [both, "win==2 --hash=sha256:4"]
    assert bundle.requirements_for(lock, "windows-x86_64", "3.11.0") == [both, old]


def test_every_system_can_be_named_and_this_machine_names_one_of_them() -> None:
    assert bundle.HERE in bundle.SYSTEMS
    lock = (places.ROOT / "requirements.lock").read_text(encoding="utf-8")
    held = {system: set(bundle.requirements_for(lock, system, "3.12.0")) for system in bundle.SYSTEMS}
    assert all(len(packages) > 100 for packages in held.values())
    assert held["linux-x86_64"] == held["linux-arm64"]
    assert {line.split("==")[0] for line in held["windows-x86_64"] - held["linux-x86_64"]} >= {"colorama", "pywinpty"}


def test_a_tree_without_git_is_packed_without_what_the_lab_makes(project: SmallProject, wheels: Path) -> None:
    names = {path.relative_to(project.folder).parts[0] for path in bundle.project_files(project.folder)}
    assert {"lab.py", "labkit", "pyproject.toml", "requirements.lock"} <= names
    assert not names & {".venv", ".lab", "my_lab", "small_lab.egg-info"}


def test_the_program_in_the_bundle_can_be_read_by_an_old_python() -> None:
    from tests.setup.test_lab_py import insist_on_the_grammar_of_python_2_7

    insist_on_the_grammar_of_python_2_7(places.ROOT / "labkit" / "verbs" / "unpack.py")
