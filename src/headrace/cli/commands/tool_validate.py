"""``headrace tool validate``."""

from __future__ import annotations

from typing import Any

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.check_tools import CheckedTools, check_tools


@click.command(
    "validate",
    cls=Verb,
    examples=(
        ("The tools of a file", "headrace tool validate --source count_words.py"),
        ("All tools of an installed package", "headrace tool validate --source text_tools"),
        ("One package tool", "headrace tool validate --source promptflow.tools.serpapi.SerpAPI.search"),
    ),
)
@click.option("--source", required=True, metavar="SOURCE", help="Python file, package, or id of a tool.")
@click.pass_obj
def command(session: Session, *, source: str) -> int:
    """Check tools by themselves, without a flow.

    Imports them and looks at their signatures, settings of inputs, icons, and at what a package
    says about them. Printed as JSON in prompt flow's shape. Ends with exit code 3 when one of
    them has an error.
    """
    checked = check_tools(source)
    session.write_json(_to_json(checked))
    if checked.findings and session.terminal.has_tty_err:
        session.show_problems(*(item.problem for item in checked.findings))
    if not checked.n_tools:
        session.note(f"{source} holds no function with @tool.")
    return ExitCode.DEFINITION if checked.n_invalid else ExitCode.OK


def _to_json(checked: CheckedTools) -> dict[str, Any]:
    errors = [
        {
            "message": item.problem.what,
            "function_name": item.function,
            "location": item.location,
            "code": item.problem.code,
            "fix": item.problem.fix,
        }
        for item in checked.findings
    ]
    return {
        "result": "Failed" if checked.n_invalid else "Succeeded",
        "total_count": checked.n_tools,
        "invalid_count": checked.n_invalid,
        **({"errors": errors} if errors else {}),
    }
