"""`test`: hand over to the stages of tests/, where the checks are."""

from __future__ import annotations

import sys

import click

from labkit.verbs import places


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("stages", nargs=-1, type=click.UNPROCESSED)
def test(stages: tuple[str, ...]) -> None:
    """Run every check, or only the STAGES named."""
    raise SystemExit(places.left_to_end([sys.executable, "-m", "tests.stages", *stages], places.ROOT))
