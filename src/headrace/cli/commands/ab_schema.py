"""``headrace ab schema``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.formats.traffic_schema import traffic_schema


@click.command(
    "schema",
    cls=Verb,
    examples=(("For an editor", "headrace ab schema > traffic.schema.json"),),
)
@click.pass_obj
def command(session: Session) -> int:
    """Print the JSON Schema of traffic files, for editors.

    With it an editor completes keys and underlines what cannot be read. Name it in the first line of
    the file: # yaml-language-server: $schema=traffic.schema.json
    """
    session.write_json(traffic_schema())
    return ExitCode.OK
