"""``headrace certify``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

import click

from headrace.cli.certificate_view import certificate_to_json, render_certificate, render_markdown
from headrace.cli.options import Number, Verb, pairs_option, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, Problem, StateError, UsageError
from headrace.operations.certify_project import CertifyRequest, certify_project
from headrace.operations.certify_quality import QualityRequest
from headrace.operations.compare_arguments import parse_metric

FORMS = ("text", "json", "markdown")
PLANNED = "planned"
_FEW_LINES = 5


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
            "Answers that are no worse, by an evaluation",
            "headrace certify my_project --python stock/bin/python --metric f1 --evaluator evaluation/answer "
            "--margin 0.05 --repeats planned",
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
    "--lines",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most lines per flow; default 5, and all of them with --metric.",
)
@click.option(
    "--repeats",
    metavar="N|planned",
    default="1",
    help="Answers per line and side; with --metric also planned.",
)
@click.option(
    "--metric", metavar="NAME", help="Score on which answers must be no worse; NAME:lower likewise."
)
@click.option(
    "--evaluator",
    metavar="EVALUATOR",
    help="What scores them: an evaluation flow, FILE.py:NAME or a built-in.",
)
@click.option(
    "--margin", type=Number(), metavar="VALUE", help="Largest difference of the score that does not matter."
)
@pairs_option("--evaluation-mapping", help="Where the evaluator's inputs come from.")
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
    lines: int | None,
    repeats: str,
    metric: str | None,
    evaluator: str | None,
    margin: float | None,
    evaluation_mapping: Mapping[str, str],
    certificate: Path | None,
    form: str,
) -> int:
    """Run the flows of a project here and under stock prompt flow, and say where answers differ.

    Every flow runs on the same lines on both sides, in a copy of the project. Where answers vary by
    themselves, as those of language models do, repeats on both sides tell noise from a difference.
    With --metric, answers may differ: they are scored, and the test is whether those from here are
    worse by less than the margin, if at all. Ends with exit code 1 when a flow differs, or is not
    shown to be no worse. Model nodes call their models on both sides.
    """
    del against  # there is one
    request = CertifyRequest(
        project=project,
        python=python,
        data={flow: Path(file) for flow, file in data.items()},
        n_lines=lines or (None if metric else _FEW_LINES),
        repeats=1 if repeats == PLANNED else _read_repeats(repeats),
        quality=_read_quality(session, metric, evaluator, margin, evaluation_mapping, repeats),
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


def _read_repeats(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        fail_usage(f'--repeats does not take "{text}".', f"Give a whole number above zero, or {PLANNED}.")
    return int(text)


def _read_quality(
    session: Session,
    metric: str | None,
    evaluator: str | None,
    margin: float | None,
    mapping: Mapping[str, str],
    repeats: str,
) -> QualityRequest | None:
    """What is to be shown of the answers; ``None`` to compare them only.

    Raises:
        UsageError: C507 when options are missing that belong together, G903 for a margin that makes no sense.
    """
    is_planned = repeats == PLANNED
    if metric is None:
        if evaluator is not None or margin is not None or mapping or is_planned:
            fail_usage(
                "--evaluator, --margin, --evaluation-mapping and planned repeats belong to --metric.",
                "Name the score: --metric NAME.",
            )
        return None
    if evaluator is None or margin is None:
        fail_usage("--metric needs --evaluator and --margin.", "Give both.")
    if not 0 < margin < inf:
        what = "A margin must be above zero."
        raise UsageError(Problem(code="G903", what=what, fix="Give a number above zero."))
    return QualityRequest(
        metric=replace(parse_metric(metric), margin=margin),
        evaluator=evaluator,
        folder=session.folder,
        column_mapping=mapping,
        is_planned=is_planned,
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        what = f"The certificate cannot be written to {path}."
        raise StateError(
            Problem(code="S808", what=what, fix="Name a file in a folder that can be written.")
        ) from error
