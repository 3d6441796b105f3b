"""Which verbs there are, and which module has each: imported when that verb is called, so that `labkit` starts soon."""

import importlib
from typing import Final

import click

#: verb -> module of labkit.verbs that holds it as a click command of that name
VERBS: Final = {
    "run": "run",
    "lab": "lab",
    "progress": "progress",
    "test": "test",
    "bench": "bench",
    "render": "render",
    "docs": "docs",
    "spark": "spark",
    "parked": "parked",
    "rebuild": "rebuild",
    "up": "azure",
    "down": "azure",
    "status": "azure",
    "reset": "azure",
    "bundle": "bundle",
}


class Verbs(click.Group):
    """A group whose commands are looked up in `VERBS`, late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"labkit.verbs.{VERBS[cmd_name]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command
