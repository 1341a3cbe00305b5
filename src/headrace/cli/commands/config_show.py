"""``headrace config show``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.formats.pf_config import read_settings


@click.command("show", cls=Verb, examples=(("What counts here", "headrace config show"),))
@click.pass_obj
def command(session: Session) -> int:
    """Show prompt flow's settings that count in this folder.

    Those of the nearest pf.yaml at or above it, and your own, which win. Printed as JSON.
    """
    session.write_json(read_settings(session.settings, session.folder))
    return ExitCode.OK
