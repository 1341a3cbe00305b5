"""``headrace deploy logs``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import command_deployment, file_argument, overlay_option
from headrace.cli.options import Verb
from headrace.cli.session import Session, fail_usage
from headrace.deploy.moves import check_there
from headrace.errors import ExitCode


@click.command(
    "logs",
    cls=Verb,
    examples=(
        ("Of all deployments", "headrace deploy logs"),
        ("More of one of them", "headrace deploy logs --deployment green --lines 500"),
    ),
)
@file_argument()
@overlay_option()
@click.option("--deployment", "name", metavar="NAME", help="Only of this one.")
@click.option("-n", "--lines", "n_lines", type=int, default=100, metavar="N", help="How many; default 100.")
@click.pass_obj
def command(session: Session, *, file: Path, environment: str | None, name: str | None, n_lines: int) -> int:
    """Show the last lines that the servers of deployments have written."""
    if n_lines < 1:
        fail_usage("--lines takes a number of at least 1.")
    with command_deployment(session, file, environment) as opened:
        state = opened.target.read_state()
        name = opened.named(name) if name else None
        check_there(opened.endpoint, state, *([name] if name else []))
        names = [name] if name else [item.name for item in state.deployments]
        for one in names:
            if len(names) > 1:
                session.write(f"==> {one}")
            for line in opened.target.read_logs(one, n_lines):
                session.write(line)
    return ExitCode.OK
