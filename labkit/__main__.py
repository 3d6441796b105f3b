"""`python -m labkit VERB`: the lab's commands.

Owns how a verb ends. Which verbs there are is in `verbs.names`; what a refusal says, in `verbs.refusals`: one sentence,
no traceback.
"""

import importlib
import sys

import click

from labkit.verbs.names import Verbs


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def labkit() -> None:
    """CQRS on Azure, taught by running it."""


def main() -> int:
    """Run a verb. A refusal, of the lab, of Azure or of the file system, is one sentence and exit code 1."""
    try:
        labkit(prog_name="python lab.py")
    except Exception as error:  # the outermost loop
        refusals = importlib.import_module("labkit.verbs.refusals")
        sentence = refusals.told(error)
        if sentence is None:
            raise
        click.echo(sentence, err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
