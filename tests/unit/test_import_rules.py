"""Which module may know which: DESIGN's arrows, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEARNING = ("write_model", "events", "projections", "read_queries", "lag_monitoring")
ALLOWED_BETWEEN = {
    "write_model": {"events"},
    "events": set(),
    "projections": {"events"},
    "read_queries": {"projections", "events"},
    "lag_monitoring": {"projections", "events"},
}
IO = {
    *("asyncio", "socket", "ssl", "select", "selectors", "time", "os", "io", "pathlib", "subprocess", "threading"),
    *("sqlite3", "http", "urllib", "random", "secrets", "azure", "deltalake", "duckdb", "aiohttp", "uvicorn"),
    *("starlette", "localazure"),
}


def modules(package: str) -> list[str]:
    return [name_of(path) for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def path_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(module: str, *, at_run_time: bool = False) -> set[str]:
    """What a module imports, anywhere in it; with `at_run_time`, without what only type checkers read."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    package = module if path_of(module).name == "__init__.py" else module.rpartition(".")[0]
    return set(names(tree, package, at_run_time=at_run_time))


def names(tree: ast.AST, package: str, *, at_run_time: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        yield from names(node, package, at_run_time=at_run_time)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("module", ["labkit.write_model.orders", "labkit.events.envelope", "labkit.projections.folds"])
def test_the_pure_modules_do_no_io_and_reach_none(module: str) -> None:
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for other in imported(name, at_run_time=True):
            assert other.split(".")[0] not in IO, f"{name} imports {other}"
            if within(other, "labkit") and path_of(other).exists() and other not in seen:
                waiting.append(other)


@pytest.mark.parametrize("folder", LEARNING)
def test_between_the_folders_the_arrows_run_one_way(folder: str) -> None:
    forbidden = set(LEARNING) - ALLOWED_BETWEEN[folder] - {folder}
    for module in modules(f"labkit/{folder}"):
        for other in imported(module):
            assert not any(within(other, f"labkit.{name}") for name in forbidden), f"{module} imports {other}"


def test_only_the_package_and_its_command_import_the_lab() -> None:
    for module in modules("labkit"):
        if module not in ("labkit", "labkit.__main__"):
            assert not any(within(other, "labkit.lab") for other in imported(module, at_run_time=True)), module


def test_only_settings_import_the_embedded_azure() -> None:
    for module in modules("labkit"):
        if module != "labkit.settings":
            found = {other for other in imported(module, at_run_time=True) if within(other, "localazure")}
            assert not found, f"{module} imports {found}"


def test_the_embedded_azure_never_imports_the_lab() -> None:
    for module in modules("localazure"):
        assert not any(within(other, "labkit") for other in imported(module)), module


def test_the_wire_format_knows_no_sockets_no_loop_and_no_clock() -> None:
    for module in modules("localazure/amqp"):
        found = {other.split(".")[0] for other in imported(module)} & {
            "asyncio",
            "socket",
            "time",
            "threading",
            "select",
        }
        assert not found, f"{module} imports {found}"


@pytest.mark.parametrize("service", ["eventhubs", "cosmos", "eventgrid"])
def test_the_services_know_nothing_of_sockets(service: str) -> None:
    for module in modules(f"localazure/{service}"):
        found = {other.split(".")[0] for other in imported(module)} & {"socket", "socketserver", "select", "uvicorn"}
        assert not found, f"{module} imports {found}"


def test_event_hubs_know_nothing_of_asyncio() -> None:
    for module in modules("localazure/eventhubs"):
        assert "asyncio" not in imported(module), module


def test_importing_labkit_loads_no_azure_sdk() -> None:
    code = "import sys, labkit, labkit.__main__; sys.exit(any(name.startswith('azure') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def changed_from_outside(tree: ast.AST) -> list[str]:
    """Attributes of others that begin with an underscore and are set or deleted, and attributes set by name."""
    found = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and node.attr.startswith("_")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return found + [name for name in calls if name in ("setattr", "delattr", "object.__setattr__")]


@pytest.mark.parametrize("module", modules("labkit"))
def test_the_sdks_stay_as_they_are_nobody_changes_what_is_private_to_another(module: str) -> None:
    assert not changed_from_outside(ast.parse(path_of(module).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "text", ["client._ask = mine", "del client._ask", "a.b._c += 1", "setattr(client, name, mine)"]
)
def test_what_changes_an_sdk_is_noticed(text: str) -> None:
    assert changed_from_outside(ast.parse(text))
