"""`lab.py` read by Pythons too old to run the lab, and its agreement with what it hands over to."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labkit.__main__ import VERBS
from tests.setup.conftest import ROOT

SINCE_PYTHON_3 = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef, ast.Await, ast.Match)


@pytest.fixture(scope="module")
def lab() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lab_py", ROOT / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_construct_is_one_that_python_2_7_can_read() -> None:
    insist_on_the_grammar_of_python_2_7(ROOT / "lab.py")


def insist_on_the_grammar_of_python_2_7(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text.encode("ascii")
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, SINCE_PYTHON_3), ast.dump(node)
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            arguments = node.args
            assert not arguments.kwonlyargs
            assert not arguments.posonlyargs
            assert all(argument.annotation is None for argument in arguments.args)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            assert not any(isinstance(element, ast.Starred) for element in node.elts)
        if isinstance(node, ast.Dict):
            assert None not in node.keys
        if isinstance(node, ast.Call):
            starred = [isinstance(argument, ast.Starred) for argument in node.args]
            assert starred.count(True) <= 1
            assert True not in starred[:-1]


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13)])
def test_a_python_too_old_is_named_in_one_sentence_with_the_way_out(version: tuple[int, int, int]) -> None:
    pretend = f"import sys, runpy; sys.version_info = {version}; sys.argv = ['lab.py', 'run', '-p', 'a=1']"
    done = subprocess.run(
        [sys.executable, "-c", f"{pretend}; runpy.run_path('lab.py', run_name='__main__')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"This is Python 3.{version[1]}; the lab needs 3.11 or newer. ")
    assert len(done.stderr.splitlines()) == 1


def test_it_offers_the_verbs_that_labkit_has(lab: ModuleType) -> None:
    handed_over = {verb for verb, locks, _ in lab.VERBS if locks}
    assert handed_over == set(VERBS)
    assert {verb for verb, _, _ in lab.VERBS} - handed_over == {"doctor"}


def test_an_unknown_verb_is_answered_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, "lab.py", "rum"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("There is no verb `rum`.")
    assert all(f"\n  {verb} " in done.stderr for verb in VERBS)


def test_a_python_that_keeps_no_docstrings_can_look_at_the_machine_too() -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "lab.py", "doctor", "--help"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "what mends it" in done.stdout


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse((ROOT / "lab.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    of_verbs = {alias.name for node in taken if node.module == "labkit.verbs" for alias in node.names}
    others = {str(node.module) for node in taken if node.module != "labkit.verbs"}

    # of labkit what needs no more itself, as test_doctor.py says of each
    assert of_verbs == {"doctor", "environment", "java", "locks", "offline"}
    names |= others - {"labkit.verbs.installing"}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
