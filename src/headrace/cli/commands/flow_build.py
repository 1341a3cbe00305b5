"""``headrace flow build``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option, unquote
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.build_flow import BuiltFlow, build_flow

DOCKER, EXECUTABLE = "docker", "executable"


@click.command(
    "build",
    cls=Verb,
    examples=(
        ("A folder for docker build", "headrace flow build --source my_flow --output dist"),
        (
            "With another variant",
            "headrace flow build --source my_flow --output dist --variant '${answer.few_shot}'",
        ),
    ),
)
@path_option("--source", required=True, help="Flow folder, or flow file.")
@path_option("-o", "--output", required=True, help="Folder to write; an earlier build in it is replaced.")
@click.option(
    "-f",
    "--format",
    "kind",
    type=click.Choice((DOCKER, EXECUTABLE)),
    default=DOCKER,
    metavar=DOCKER,
    help=f"Default {DOCKER}.",
)
@click.option(
    "-v", "--variant", metavar="'${NODE.VARIANT}'", callback=unquote, help="Use this variant of a node."
)
@click.option("--flow-only", is_flag=True, hidden=True, help="Only the flow, straight into --output.")
@click.pass_obj
def command(
    session: Session, *, source: Path, output: Path, kind: str, variant: str | None, flow_only: bool
) -> int:
    """Pack a flow for a container.

    Writes the flow with what it includes, its connections with every secret as an environment
    variable, and a Dockerfile whose image serves it with headrace flow serve.
    """
    if kind == EXECUTABLE:
        fail_usage(
            "headrace does not make executables.",
            "Use --format docker, or serve the flow from its folder with headrace flow serve.",
        )
    with command_workspace(session) as workspace:
        built = build_flow(workspace, source, output, variant=variant, is_flow_only=flow_only)
        workspace.warn(built.warnings)
    session.write(f"Built {source} in {output}.")
    _say_more(session, built)
    return ExitCode.OK


def _say_more(session: Session, built: BuiltFlow) -> None:
    if built.left_out:
        session.note(f"Left out, because they may hold secrets: {', '.join(built.left_out)}.")
    if built.settings:
        session.note(f"The container needs these variables: {', '.join(built.settings)}.")
