"""``headrace flow build``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option, unquote
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.build_flow import DOCKER, FLOW_ONLY, FORMATS, BuildRequest, BuiltFlow, build_flow

EXECUTABLE = "executable"
EXTRAS = ("azure", "otlp", "otlp-grpc", "azuremonitor", "entra", "parquet")


@click.command(
    "build",
    cls=Verb,
    examples=(
        ("A folder for docker build", "headrace flow build --source my_flow --output dist"),
        ("The version that was evaluated", "headrace flow build --source my_flow@prod --output dist"),
        (
            "An archive that runs with uvicorn",
            "headrace flow build --source my_flow --output dist --format zip",
        ),
        (
            "With another variant",
            "headrace flow build --source my_flow --output dist --variant '${answer.few_shot}'",
        ),
    ),
)
@path_option("--source", required=True, help="Flow folder, flow file, or a version such as my_flow@prod.")
@path_option("-o", "--output", required=True, help="Folder to write; an earlier build in it is replaced.")
@click.option(
    "-f",
    "--format",
    "kind",
    type=click.Choice((*FORMATS, EXECUTABLE)),
    default=DOCKER,
    metavar="|".join(FORMATS),
    help=f"Default {DOCKER}.",
)
@click.option(
    "-v", "--variant", metavar="'${NODE.VARIANT}'", callback=unquote, help="Use this variant of a node."
)
@click.option(
    "--extra",
    "extras",
    multiple=True,
    type=click.Choice(EXTRAS),
    metavar="|".join(EXTRAS),
    help="Install this extra of headrace as well; azure comes by itself where a connection needs it.",
)
@click.option("--dry-run", is_flag=True, help="List the files, and write none.")
@click.option("--flow-only", is_flag=True, hidden=True, help="Only the flow, straight into --output.")
@click.pass_obj
def command(
    session: Session,
    *,
    source: Path,
    output: Path,
    kind: str,
    variant: str | None,
    extras: tuple[str, ...],
    dry_run: bool,
    flow_only: bool,
) -> int:
    """Pack a flow for a container, or to run with uvicorn alone.

    Writes the flow with what it includes, its connections with every secret as a variable, the
    part of headrace that serves, and a Dockerfile; or all of it as one archive or wheel. The same
    version is the same bytes.
    """
    if kind == EXECUTABLE:
        fail_usage(
            "headrace does not make executables.",
            "Use --format docker or zip, or serve the flow from its folder with headrace flow serve.",
        )
    request = BuildRequest(
        source=source,
        output=output,
        kind=FLOW_ONLY if flow_only else kind,
        variant=variant,
        extras=extras,
        is_dry=dry_run,
    )
    with command_workspace(session) as workspace:
        built = build_flow(workspace, request)
        workspace.warn(built.warnings)
    if dry_run:
        session.write(f"{built.version} would be built in {output}:")
        session.write("\n".join(f"{size:>11,}  {path}" for path, size in built.files.items()))
    else:
        session.write(f"Built {built.version} in {output}.")
    _say_more(session, built)
    return ExitCode.OK


def _say_more(session: Session, built: BuiltFlow) -> None:
    said = (
        ("Left out, because they may hold secrets", built.left_out),
        ("Left out, because .amlignore says so", built.ignored),
        (
            "Packed although nothing in the flow names them; a line in .amlignore leaves them out",
            built.unnamed,
        ),
        ("Keys were taken out of", built.emptied),
        ("Not installed, because headrace brings their names", built.replaced),
        ("Not installed here, so no version of them is pinned", built.unpinned),
        ("The server needs these variables", built.settings),
    )
    for what, names in said:
        if names:
            session.note(f"{what}: {', '.join(names)}.")
