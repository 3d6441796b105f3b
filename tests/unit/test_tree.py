"""What must not be in any tracked file: keys, places of one machine, addresses of a package index."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = re.compile(r"(AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{20,}")
PLACE = re.compile(r"(?<![\w.])(/(home/[a-z]|root/|Users/[A-Za-z])|[A-Za-z]:\\\\?Users\\\\?[A-Za-z])")
INDEX = re.compile("pypi" + r"\.org|" + "python" + r"hosted\.org|registry\.npmjs", re.IGNORECASE)
LINES_AT_MOST = 500
LABKIT_CODE_LINES_AT_MOST = 5678


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("only on a clone: this copy of the tree has no git data")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def found(pattern: re.Pattern[str], *, but: tuple[str, ...] = ()) -> list[str]:
    hits = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path.name not in but and (match := pattern.search(text)):
            hits.append(f"{path.relative_to(ROOT)}: {match[0][:24]}")
    return hits


def test_no_key_is_tracked() -> None:
    assert not found(KEY)


def test_no_place_of_one_machine_is_tracked() -> None:
    # outputs.py and the two tests look for such places, so they name them
    assert not found(PLACE, but=("outputs.py", "test_outputs.py", "test_tree.py"))


def test_no_file_names_a_package_index() -> None:
    assert not found(INDEX)


def test_no_test_stops_the_clock_of_the_whole_process() -> None:
    # A server in a thread of the same process would wait for hours: give the module under test a `time` of its own.
    clock = re.compile(r"setattr\(\"?(\w+\.)*(time|asyncio)(, \"|\.)(sleep|time|monotonic|perf_counter)(_ns)?\"")
    stopped = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests")
        for line in path.read_text(encoding="utf-8").splitlines()
        if clock.search(line)
    ]
    assert not stopped


def test_no_module_has_grown_past_where_it_must_be_split() -> None:
    long = [
        path for path in tracked() if path.suffix == ".py" and len(path.read_text("utf-8").splitlines()) > LINES_AT_MOST
    ]
    assert not long


def code_lines(path: Path) -> int:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    text = path.read_text(encoding="utf-8")
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
            held |= set(range(token.start[0], token.end[0] + 1))
    return len(held - prose)


def test_what_the_notebooks_import_stays_small_enough_to_read() -> None:
    # Apart: the command line, which no notebook imports, and the checks of exercises, which readers are not to read.
    labkit = ROOT / "labkit"
    apart = (labkit / "verbs", labkit / "checks.py")
    modules = [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(labkit)]
    modules = [path for path in modules if not any(path.is_relative_to(one) for one in apart)]
    assert sum(code_lines(path) for path in modules) <= LABKIT_CODE_LINES_AT_MOST


def test_the_command_of_ci_is_the_command_of_the_readme() -> None:
    assert "python3 lab.py test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python3 lab.py test" in (ROOT / "README.md").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"run: (.*)", workflow) == ["python lab.py test"]
