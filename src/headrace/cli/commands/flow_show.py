"""``headrace flow show``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.version_view import render_version, version_to_json
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.versions import find_version, read_files


@click.command(
    "show",
    cls=Verb,
    examples=(
        ("A version", "headrace flow show ask_docs@7"),
        ("What a tag means, if it is what it was", "headrace flow show @prod --expect 5f3a9c01d2e4"),
    ),
)
@click.argument("version", metavar="VERSION")
@click.option("--expect", metavar="DIGEST", help="Fail unless the version has this digest, or begin of one.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form; default text.")
@click.pass_obj
def command(session: Session, *, version: str, expect: str | None, output: str) -> int:
    """Show a version of a flow: its id, its files and its flow file.

    VERSION is FLOW@NUMBER, FLOW@TAG, @TAG, FLOW@DIGEST or the name of a run.
    """
    with command_workspace(session) as workspace:
        found = find_version(workspace, version, expects=expect)
        if output == "json":
            session.write_json(version_to_json(found))
            return ExitCode.OK
        graph = read_files(workspace, found).get(found.manifest.file, b"")
    session.write(render_version(found, graph.decode("utf-8", "replace"), ink=session.terminal.out))
    return ExitCode.OK
