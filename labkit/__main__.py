"""`python -m labkit VERB`: the lab's commands.

Owns the list of verbs and how a refusal looks: one sentence, no traceback. Each verb's module is imported when that
verb is called, so that handing over stays quick.
"""

import errno
import importlib
import sys
from typing import Final

import click

from labkit.errors import LabError

#: verb -> module of labkit.verbs that holds it as a click command of that name
VERBS: Final = {
    "run": "run",
    "lab": "lab",
    "progress": "progress",
    "test": "test",
    "bench": "bench",
    "render": "render",
    "docs": "docs",
    "parked": "parked",
    "rebuild": "rebuild",
    "up": "azure",
    "down": "azure",
    "status": "azure",
    "reset": "azure",
    "bundle": "bundle",
}


NOT_WRITABLE: Final = {
    errno.EACCES: "cannot be written. Copy the lab's folder to a place you may write to, and run it there.",
    errno.EPERM: "cannot be written. Copy the lab's folder to a place you may write to, and run it there.",
    errno.EROFS: "is on a read-only disk. Copy the lab's folder to a place you may write to, and run it there.",
    errno.ENOSPC: "does not fit: the disk is full. Free some space, then run the same command again.",
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


def main() -> int:
    """Run a verb. A refusal, of the lab or of the file system, is one sentence and exit code 1."""
    try:
        labkit(prog_name="python lab.py")
    except LabError as refusal:
        click.echo(f"{_sentence(str(refusal))}", err=True)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        click.echo(f"{error.filename or 'A file'}: {NOT_WRITABLE[error.errno]}", err=True)
    return 1


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


if __name__ == "__main__":
    sys.exit(main())
