"""`python -m labkit VERB`: the lab's commands.

Owns the list of verbs and how a refusal looks: one sentence, no traceback. Each verb's module is imported when that
verb is called, so that handing over stays quick.
"""

import importlib
import sys
from typing import Final

import click

#: verb -> module of labkit.verbs that holds it as a click command of that name
VERBS: Final = {
    "run": "run",
    "lab": "lab",
    "test": "test",
    "bench": "bench",
    "render": "render",
    "up": "azure",
    "down": "azure",
    "status": "azure",
    "reset": "azure",
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


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def labkit() -> None:
    """CQRS on Azure, taught by running it."""


if __name__ == "__main__":
    sys.exit(labkit(prog_name="python lab.py"))
