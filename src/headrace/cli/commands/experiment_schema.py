"""``headrace experiment schema``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.formats.experiment_schema import experiment_schema


@click.command(
    "schema",
    cls=Verb,
    examples=(("For an editor", "headrace experiment schema > experiment.schema.json"),),
)
@click.pass_obj
def command(session: Session) -> int:
    """Print the JSON Schema of experiment files, for editors.

    With it an editor completes keys and underlines what cannot be read. Name it in the first line of
    the file: # yaml-language-server: $schema=experiment.schema.json
    """
    session.write_json(experiment_schema())
    return ExitCode.OK
