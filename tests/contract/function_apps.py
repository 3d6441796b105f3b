"""What the tests of both function apps do: load one as the host does, compare its answers, look at its packages."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import distribution, distributions
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import pytest
from packaging.requirements import Requirement

MOMENT = ("date", "transfer-encoding", "staleness-seconds", "content-length")
"""Headers that the HTTP server adds, or that name the moment."""


class AppFolder:
    """A folder of `deploy/`, and the settings that its app reads."""

    def __init__(self, name: str, settings: Collection[str]) -> None:
        self.path = Path(__file__).resolve().parents[2] / "deploy" / name
        self._settings = settings

    def loaded(self, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> Any:
        """The module as the Functions host loads it, with these settings as its environment."""
        for name in self._settings:
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location(f"{self.path.name}_app", self.path / "function_app.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def asked_for(self) -> set[str]:
        """The distributions that its requirements name."""
        lines = (self.path / "requirements.txt").read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith("#")}


async def statuses_of_same_answers(
    app: Any, url: str, requests: Iterable[tuple[str, str, bytes, dict[str, str]]]
) -> set[int]:
    """Send each request to uvicorn at `url` and to the only function of `app`; the answers have to be the same."""
    (function,) = app.get_functions()
    statuses = set()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for method, target, body, headers in requests:
            by_uvicorn = await client.request(method, target, content=body, headers=headers)
            request = func.HttpRequest(method, f"https://shop.example{target}", headers=headers, body=body)
            answer = await function.get_user_function()(request, None)
            expected = comparable(by_uvicorn.status_code, by_uvicorn.headers, by_uvicorn.content)
            assert comparable(answer.status_code, answer.headers, answer.get_body()) == expected, (method, target)
            statuses.add(answer.status_code)
    return statuses


def comparable(status: int, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
    told = {name.lower(): value for name, value in headers.items()}
    return status, {name: value for name, value in told.items() if name not in MOMENT}, body


PROBE = """
import sys
before = set(sys.modules)
import azure.functions, azure.cosmos, {modules}
files = {{getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}}
print("\\n".join(filter(None, files)))
"""


def used_by(modules: str) -> set[str]:
    """The distributions of which a file is loaded, in a process of its own, with these modules."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE.format(modules=modules)], capture_output=True, text=True, check=True
    )
    loaded = {Path(line).resolve() for line in probe.stdout.splitlines()}
    return {plain(one.name) for one in distributions() if loaded & {Path(one.locate_file(f)) for f in one.files or []}}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_what_they_require(names: set[str]) -> set[str]:
    """These distributions and all that they require, without extras."""
    seen: set[str] = set()
    waiting = [plain(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            wanted = [Requirement(line) for line in distribution(name).requires or []]
            waiting += [
                plain(other.name) for other in wanted if not other.marker or other.marker.evaluate({"extra": ""})
            ]
    return seen
