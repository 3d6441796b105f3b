"""Spark is installed for those who start it, where a Java for it is found: told before anything is downloaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labkit.verbs import java
from tests.setup.test_lab_py import lab

__all__ = ["lab"]


def installed(folder: Path, said: str, code: int = 0) -> str:
    """A JAVA_HOME whose Java says this."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({said!r})\nsys.exit({code})\n", "utf-8")
    program.chmod(0o755)
    return str(folder)


pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems where a script is a program")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment\n', 17),
        ('java version "1.8.0_401"\n', 8),
        ('openjdk version "21" 2023-09-19\n', 21),
        ("The operation could not be completed.\n", None),
    ],
)
def test_the_version_is_what_java_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: int | None
) -> None:
    monkeypatch.setenv("JAVA_HOME", installed(tmp_path / "jdk", said))

    assert java.version() == version


def test_without_java_the_sentence_says_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(java.NoSpark, match=r"^Spark needs Java 17 or 21, and there is none: .*JAVA_HOME"):
        java.is_for(["spark"], windows=False)


@pytest.mark.parametrize("version", ["11.0.2", "24.0.1"])
def test_another_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", installed(tmp_path / "jdk", f'openjdk version "{version}"\n'))

    with pytest.raises(java.NoSpark, match=f"this one is Java {version.partition('.')[0]}:"):
        java.is_for(["bench", "spark"], windows=False)


@pytest.mark.parametrize("argv", [["run"], ["lab"], ["bench", "start"]])
def test_nobody_else_is_asked_for_java(lab: ModuleType, argv: list[str]) -> None:
    assert lab.with_spark(argv, ("requirements",)) == ("requirements",)


@pytest.mark.parametrize("argv", [["spark"], ["bench", "spark", "--short"], ["test"]])
def test_who_starts_spark_gets_its_lock_once(lab: ModuleType, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setattr(java, "is_for", lambda argv, bundled: True)

    assert lab.with_spark(argv, ("requirements",)) == ("requirements", "requirements-spark")
    assert lab.with_spark(argv, ("requirements", "requirements-spark")) == ("requirements", "requirements-spark")


def test_the_tests_set_up_from_a_bundle_go_without_spark_and_say_so(
    lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", installed(tmp_path / "jdk", 'openjdk version "17.0.15"\n'))
    monkeypatch.setattr(java.is_for, "__kwdefaults__", {"windows": False})

    assert lab.with_spark(["test"], ("requirements",), "room.zip") == ("requirements",)
    assert "Spark is in no bundle" in capsys.readouterr().out
    assert lab.with_spark(["spark"], ("requirements",), "room.zip") == ("requirements", "requirements-spark"), "refused"
    assert lab.with_spark(["test"], ("requirements",)) == ("requirements", "requirements-spark")


def test_the_other_checks_need_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert not java.is_for(["test", "ruff", "mypy"], windows=False)


@pytest.mark.parametrize("argv", [["test"], ["test", "pytest"], ["bench", "spark", "--short"], ["spark"]])
def test_with_java_spark_is_installed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setenv("JAVA_HOME", installed(tmp_path / "jdk", 'openjdk version "17.0.15"\n'))

    assert java.is_for(argv, windows=False)


def test_the_tests_go_without_spark_but_not_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)

    assert not java.is_for(["test"], windows=False)
    assert "The tests of the Spark job are left out. Spark needs Java 17 or 21" in capsys.readouterr().out

    monkeypatch.setenv("CI", "true")
    with pytest.raises(java.NoSpark):
        java.is_for(["test"], windows=False)


def test_on_windows_the_way_out_is_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    assert not java.is_for(["test"], windows=True)
    with pytest.raises(java.NoSpark, match="run it in WSL"):
        java.is_for(["spark"], windows=True)
