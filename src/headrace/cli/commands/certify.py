"""``headrace certify``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from headrace.cli.certificate_view import certificate_to_json, render_certificate, render_markdown
from headrace.cli.options import Verb, pairs_option, path_option
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, Problem, StateError
from headrace.operations.certify_project import CertifyRequest, certify_project

FORMS = ("text", "json", "markdown")


@click.command(
    "certify",
    cls=Verb,
    examples=(
        (
            "Every flow of a project",
            "headrace certify my_project --against promptflow --python stock/bin/python",
        ),
        (
            "With data of your own, and answers that vary",
            "headrace certify my_project --python stock/bin/python --data chat=lines.jsonl --lines 20 --repeats 5",
        ),
        (
            "For the record",
            "headrace certify my_project --python stock/bin/python --certificate parity.json",
        ),
    ),
)
@click.argument("project", type=click.Path(path_type=Path), metavar="PROJECT")
@click.option(
    "--against",
    type=click.Choice(("promptflow",)),
    default="promptflow",
    metavar="promptflow",
    help="The other engine.",
)
@path_option("--python", required=True, help="Interpreter that has promptflow installed.")
@pairs_option("--data", metavar="FLOW=FILE...", help="Lines for single flows; default: data beside the flow.")
@click.option(
    "--lines", type=click.IntRange(min=1), default=5, metavar="N", help="The most lines per flow; default 5."
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Answers per line and side.",
)
@path_option("--certificate", help="Write the certificate to this file as well, as JSON.")
@click.option(
    "-o",
    "--output",
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    metavar="|".join(FORMS),
    help="How it is printed; default text.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    project: Path,
    against: str,
    python: Path,
    data: Mapping[str, str],
    lines: int,
    repeats: int,
    certificate: Path | None,
    form: str,
) -> int:
    """Run the flows of a project here and under stock prompt flow, and say where answers differ.

    Every flow runs on the same lines on both sides, in a copy of the project. Where answers vary by
    themselves, as those of language models do, repeats on both sides tell noise from a difference.
    Ends with exit code 1 when a flow differs. Model nodes call their models on both sides.
    """
    del against  # there is one
    request = CertifyRequest(
        project=project,
        python=python,
        data={flow: Path(file) for flow, file in data.items()},
        n_lines=lines,
        repeats=repeats,
    )

    def tell(path: str, count: int) -> None:
        session.note(f"{path}: {plural(count, 'line')}")

    with command_workspace(session) as workspace:
        made = certify_project(workspace, request, tell)
    if certificate is not None:
        _write(certificate, json.dumps(certificate_to_json(made), indent=2, ensure_ascii=False, default=str))
    if form == "json":
        session.write_json(certificate_to_json(made))
    else:
        is_page = form == "markdown"
        session.write(render_markdown(made) if is_page else render_certificate(made, session.terminal))
    return ExitCode.OK if made.is_clean else ExitCode.FAILED


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        what = f"The certificate cannot be written to {path}."
        raise StateError(
            Problem(code="S808", what=what, fix="Name a file in a folder that can be written.")
        ) from error
