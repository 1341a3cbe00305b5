"""``headrace deploy import``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.import_view import notes_to_json, render_notes
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.deployment import FILE_NAME
from headrace.formats.paths import is_folder
from headrace.operations.import_deployment import check_imported, import_deployment
from headrace.operations.new_files import write_files

_STDOUT = "-"


@click.command(
    "import",
    cls=Verb,
    examples=(
        ("The files of one endpoint", "headrace deploy import azure"),
        (
            "One deployment, of a registered model",
            "headrace deploy import azure/blue.yml --flow flows/triage",
        ),
        (
            "Of the LLMOps template",
            "headrace deploy import web_classification/configs/deployment_config.json",
        ),
    ),
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--flow", metavar="FLOW", help="The flow that is served, where PATH does not lead to it.")
@click.option(
    "--output", metavar="FILE", help=f"Where to write it, or - to print it; default: {FILE_NAME} beside PATH."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How to print what became of each key.",
)
@click.option("-y", "--yes", "--force", "yes", is_flag=True, help="Overwrite files that are there.")
@click.pass_obj
def command(
    session: Session, /, *, path: Path, flow: str | None, output: str | None, form: str, yes: bool
) -> int:
    """Take over a managed online endpoint of prompt flow as a deployment file.

    PATH is the YAML file of a deployment, the folder with those of an endpoint, or the
    deployment_config.json of Microsoft's LLMOps template. Deployments keep their names, so each of
    them answers as before. What is taken, translated, left out and still to do is listed.
    """
    folder = path if is_folder(path) else path.parent
    target = folder / FILE_NAME if output in (None, _STDOUT) else Path(str(output))
    with command_workspace(session) as workspace:
        found = import_deployment(workspace, path, target, flow)
    if output == _STDOUT:
        main, *overlays = found.files.items()
        session.write(main[1].rstrip("\n"))
        for file, text in overlays:
            session.write(f"---\n# {file.name}\n{text}".rstrip("\n"))
        session.note(render_notes(found.notes))
        return ExitCode.OK
    write_files(found.files, is_replacing=yes)
    problems = check_imported(found.files)
    if form == "json":
        files = [str(session.shorten(file)) for file in found.files]
        session.write_json(
            {
                "files": files,
                "notes": notes_to_json(found.notes),
                "problems": [item.to_json() for item in problems],
            }
        )
    else:
        for file in found.files:
            session.write(str(session.shorten(file)))
        session.write(render_notes(found.notes))
    if problems:
        session.show_problems(*problems)
    return ExitCode.DEFINITION if problems else ExitCode.OK
