"""`python -m labkit VERB`: the lab's commands.

Owns the list of verbs. What a refusal says is in `verbs.refusals`: one sentence, no traceback. Each verb's module is
imported when that verb is called, so that handing over stays quick.
"""

import importlib
import sys
from typing import Final

import click

OF_THE_AZURE: Final = ("up", "down", "status", "reset")
"""Together in the module `azure`; each other verb has a module of its own name."""
VERBS: Final = (
    *("run", "lab", "progress", "test", "bench", "render", "docs", "spark", "parked", "rebuild"),
    *OF_THE_AZURE,
    "bundle",
)


class Verbs(click.Group):
    """A group whose commands are looked up in `VERBS`, late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"labkit.verbs.{'azure' if cmd_name in OF_THE_AZURE else cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def labkit() -> None:
    """CQRS on Azure, taught by running it."""


def main() -> int:
    """Run a verb. A refusal, of the lab, of Azure or of the file system, is one sentence and exit code 1."""
    try:
        labkit(prog_name="python lab.py")
    except Exception as error:  # the outermost loop
        sentence = importlib.import_module("labkit.verbs.refusals").told(error)
        if sentence is None:
            raise
        click.echo(sentence, err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
