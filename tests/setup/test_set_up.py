"""`lab.py` from an empty folder to the hand-over, and from every state it can be left in. In order: one folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from labkit.verbs import installing
from tests.setup.conftest import SmallProject


def test_verbs_that_only_look_set_nothing_up_in_a_fresh_folder(project: SmallProject) -> None:
    done = project.lab("down")

    assert done.returncode == 0
    assert done.stdout.strip() == "Nothing has been set up in this folder, so nothing runs and nothing is kept."
    assert not (project.folder / ".venv").exists()


def test_three_first_calls_at_once_set_up_once_and_all_go_on(project: SmallProject) -> None:
    installer, lines = project.folder / "venv.py", SimpleQueue[str]()
    whole = installer.read_text(encoding="utf-8")
    installer.write_text(whole.replace("import venv", "import venv; sys.stdin.read()"), encoding="utf-8")

    def heard(call: subprocess.Popen[str]) -> str:
        said = []
        for line in call.stdout or ():
            said.append(line)
            lines.put(line)
        return "".join(said)

    calls = [project.start("run", "-p", "a=1", PYTHONUNBUFFERED="1") for _ in range(3)]
    with ThreadPoolExecutor(len(calls)) as pool:
        hearing = [pool.submit(heard, call) for call in calls]
        try:
            waiting = [lines.get(timeout=120) for _ in calls[1:]]
        finally:
            installer.write_text(whole, encoding="utf-8")
            for call in calls:
                assert call.stdin is not None
                call.stdin.close()  # the installer, which waits for that, goes on
    said = [one.result() for one in hearing]

    assert [call.wait(120) for call in calls] == [0, 0, 0], [call.stderr and call.stderr.read() for call in calls]
    assert all("handed over: run -p a=1" in out for out in said)
    assert sum("Packages of requirements.lock" in out for out in said) == 1
    assert waiting == ["Another `lab.py` is setting this folder up; waiting for it.\n"] * 2


def test_what_it_hands_over_to_runs_in_its_own_environment(project: SmallProject) -> None:
    assert "in an environment of its own: True" in project.lab("run").stdout


def test_what_cells_assert_is_asserted_however_python_is_told_to_optimise(project: SmallProject) -> None:
    assert "asserts: True" in project.lab("run", PYTHONOPTIMIZE="1").stdout


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a folder's name is bytes")
def test_a_folder_whose_name_the_locale_cannot_read_is_noted_in_the_log_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "", "l\udcc3\udca4b"]
    with (tmp_path / "lock").open("w") as lock:
        installing.step("Packages", command, tmp_path, tmp_path / "log", lock.fileno(), lambda: 0, 0)
    assert "läb" in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_second_call_takes_less_than_a_second_of_the_processor_and_says_nothing_of_its_own(
    project: SmallProject,
) -> None:
    def seconds() -> float:
        """Of the processor, which others keep busy; on Windows, which tells no child's, of the clock."""
        clock, before = time.perf_counter(), os.times()
        assert project.lab("status").stdout.splitlines()[0] == "handed over: status"
        clock, after = time.perf_counter() - clock, os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return clock if os.name == "nt" else spent

    assert min(seconds() for _ in range(3)) < 1.0


def test_run_installs_only_what_it_needs_and_test_adds_to_it(project: SmallProject) -> None:
    assert not (project.site_packages / "tiny_dev.py").exists()

    done = project.lab("test")

    assert done.returncode == 0, done.stderr
    assert (project.site_packages / "tiny_dev.py").exists()
    assert "Packages of requirements.lock" not in done.stdout


def test_without_java_nothing_of_spark_is_fetched(project: SmallProject) -> None:
    done = project.lab("spark", JAVA_HOME=str(project.folder))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Spark needs ")
    assert len(done.stderr.splitlines()) == 1


def test_the_exit_code_of_the_verb_is_the_exit_code_of_lab_py(project: SmallProject) -> None:
    main = project.folder / "labkit" / "__main__.py"
    before = main.read_text(encoding="utf-8")
    main.write_text("raise SystemExit(7)\n", encoding="utf-8")
    try:
        assert project.lab("run").returncode == 7
    finally:
        main.write_text(before, encoding="utf-8")


def test_a_half_installed_package_is_installed_again(project: SmallProject) -> None:
    (project.folder / ".venv" / "lab-stamp.json").unlink()
    (project.site_packages / "tiny_core.py").unlink()
    (project.site_packages / "tiny_core-1.0.dist-info" / "RECORD").unlink()

    done = project.lab("run")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Going on with a set-up that was interrupted."
    assert "Python environment" not in done.stdout
    assert "handed over: run" in done.stdout


def test_a_package_whose_removal_broke_off_is_installed_again(project: SmallProject) -> None:
    """`rm -rf .venv`, interrupted, leaves what it had not come to."""
    (project.folder / ".venv" / "lab-stamp.json").unlink()
    (project.site_packages / "tiny_core.py").unlink()

    done = project.lab("run")

    assert done.returncode == 0, done.stderr
    assert "Python environment" not in done.stdout
    assert "handed over: run" in done.stdout


@pytest.mark.parametrize("gone", ["", "_internal"])
def test_an_environment_whose_removal_broke_off_within_pip_is_made_again(project: SmallProject, gone: str) -> None:
    (project.folder / ".venv" / "lab-stamp.json").unlink()
    shutil.rmtree(project.site_packages / "pip" / gone)

    done = project.lab("run")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Python environment")
    assert "handed over: run" in done.stdout


def test_a_package_that_is_not_the_locked_one_is_refused_in_one_sentence_and_loses_nothing(
    project: SmallProject,
) -> None:
    project.lock("requirements-dev", {"tiny_dev": "1.1"})
    lock = project.folder / "requirements-dev.lock"
    good = lock.read_text(encoding="utf-8")
    lock.write_text(good.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n", encoding="utf-8")

    done = project.lab("test")

    assert done.returncode == 1
    assert "is not the one the lock names, so it was not installed" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert project.lab("run").returncode == 0
    lock.write_text(good, encoding="utf-8")


def test_an_index_out_of_reach_is_one_sentence_and_the_way_out(project: SmallProject) -> None:
    offline = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}

    done = project.lab("test", **offline)

    assert done.returncode == 1
    assert "The package index cannot be reached. Connect to the network" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only on systems with a device that is always full")
@pytest.mark.parametrize("file", [".lab/setup.log", ".venv/lab-stamp.new"])
def test_a_disk_that_is_full_is_one_sentence_and_the_same_command_goes_on(project: SmallProject, file: str) -> None:
    (project.folder / ".venv" / "lab-stamp.json").unlink()
    path = project.folder / file
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")

    done = project.lab("run")

    assert done.returncode == 1
    assert done.stderr.strip() == (
        "The disk is full. Free about 2 GB, then run the same command again: it goes on where it stopped."
    )
    path.unlink()
    again = project.lab("run")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Going on with a set-up that was interrupted.")


@pytest.mark.skipif(os.name == "nt", reason="only on systems with signals a test can send to one process")
def test_an_interrupted_set_up_goes_on_where_it_was(project: SmallProject) -> None:
    shutil.rmtree(project.folder / ".venv")
    call = project.half_an_environment("(packages / 'pip' / '__main__.py').unlink()")
    call.send_signal(signal.SIGINT)
    assert call.wait(60) == 130  # and only then its input ends, which the installer waits for
    _, said = call.communicate(timeout=60)

    assert said.strip() == "Interrupted. Nothing is lost: the same command goes on from here."
    again = project.lab("run")
    assert again.returncode == 0, again.stderr
    assert "handed over: run" in again.stdout


@pytest.mark.skipif(os.name == "nt", reason="only on systems where an installer inherits the set-up lock")
def test_a_set_up_that_was_killed_is_taken_over_when_its_installer_has_ended(project: SmallProject) -> None:
    shutil.rmtree(project.folder / ".venv")
    killed = project.half_an_environment()
    killed.kill()
    killed.wait(60)

    taken_over = project.start("run", PYTHONUNBUFFERED="1")
    assert taken_over.stdout is not None
    assert taken_over.stdout.readline() == "Another `lab.py` is setting this folder up; waiting for it.\n"
    assert taken_over.poll() is None
    killed.communicate(timeout=60)  # at the end of its input the installer goes on
    said, complained = taken_over.communicate(timeout=60)

    assert taken_over.returncode == 0, complained
    assert said.splitlines()[0] == "Going on with a set-up that was interrupted."
    assert "handed over: run" in said


def test_an_environment_whose_python_is_gone_is_made_again(project: SmallProject) -> None:
    project.python.unlink()

    done = project.lab("run")

    assert done.returncode == 0, done.stderr
    assert "Python environment" in done.stdout
    assert "handed over: run" in done.stdout


@pytest.mark.parametrize("lost", [["pyvenv.cfg"], ["pyvenv.cfg", "lab-stamp.json"]])
def test_an_environment_that_has_lost_what_makes_it_one_is_made_again_and_nothing_goes_elsewhere(
    project: SmallProject, lost: list[str]
) -> None:
    for name in lost:
        (project.folder / ".venv" / name).unlink()

    done = project.lab("test", PIP_REQUIRE_VIRTUALENV="1")  # a pip that is outside of one refuses

    assert done.returncode == 0, done.stderr
    assert "Python environment" in done.stdout
    assert "in an environment of its own: True" in done.stdout


def test_a_changed_lock_makes_the_environment_again_without_what_left_the_lock(project: SmallProject) -> None:
    stray = project.site_packages / "left_the_lock.py"
    stray.write_text("", encoding="utf-8")
    assert project.lab("test").returncode == 0
    project.lock("requirements", {"tiny_core": "2.0"})

    done = project.lab("run")

    assert done.returncode == 0, done.stderr
    assert "handed over: run" in done.stdout
    assert (project.site_packages / "tiny_core-2.0.dist-info").exists()
    assert (project.site_packages / "tiny_dev.py").exists(), "what `test` needs stays for whoever has run it"
    assert not stray.exists()
    assert not list(project.folder.glob(".venv-old-*"))


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a running program's file can be moved")
def test_the_environments_own_python_can_make_the_environment_again(project: SmallProject) -> None:
    project.lock("requirements", {"tiny_core": "3.0"})

    done = project.lab("run", python=project.python)

    assert done.returncode == 0, done.stderr
    assert "handed over: run" in done.stdout
    assert (project.site_packages / "tiny_core-3.0.dist-info").exists()
    assert not list(project.folder.glob(".venv-old-*"))


def test_a_folder_that_was_moved_is_set_up_again(project: SmallProject) -> None:
    elsewhere = project.folder.with_name("moved")
    project.folder.rename(elsewhere)
    try:
        moved = SmallProject(elsewhere)
        done = moved.lab("run")
        assert "handed over: run" in done.stdout, done.stderr
        assert str(elsewhere) in (moved.site_packages / "small_lab.pth").read_text(encoding="utf-8")
    finally:
        elsewhere.rename(project.folder)


def test_what_is_done_in_a_copied_folder_is_done_there_and_not_in_the_original(project: SmallProject) -> None:
    elsewhere = project.folder.with_name("copied")
    shutil.copytree(project.folder, elsewhere, symlinks=True)
    copied = SmallProject(elsewhere)
    done = copied.lab("down")
    assert "handed over: down" in done.stdout, done.stderr
    assert str(elsewhere) in (copied.site_packages / "small_lab.pth").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a folder's mode forbids writing in it")
def test_a_read_only_folder_is_one_sentence_and_the_way_out(project: SmallProject) -> None:
    bare = project.folder.with_name("read-only")
    bare.mkdir()
    for name in ("lab.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(project.folder / name, bare)
    shutil.copytree(project.folder / "labkit", bare / "labkit")
    bare.chmod(0o555)

    done = subprocess.run(
        [*without_root_rights(), sys.executable, str(bare / "lab.py"), "run"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"Cannot write in {bare} (Permission denied). "
        "Copy the lab's folder to a place you may write to, and run it there."
    )


def without_root_rights() -> list[str]:
    """What to put before a command so that file modes hold for it, though the tests may run as root."""
    if os.geteuid() != 0:
        return []
    assert shutil.which("setpriv"), "run these tests as an ordinary user, or install util-linux"
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
