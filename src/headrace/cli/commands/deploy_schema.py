"""``headrace deploy schema``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.formats.deployment_schema import deployment_schema


@click.command(
    "schema",
    cls=Verb,
    examples=(("For an editor", "headrace deploy schema > deployment.schema.json"),),
)
@click.pass_obj
def command(session: Session) -> int:
    """Print the JSON Schema of deployment files, for editors.

    With it an editor completes keys and underlines what cannot be read. Name it in the first line of
    the file: # yaml-language-server: $schema=deployment.schema.json
    """
    session.write_json(deployment_schema())
    return ExitCode.OK
