"""Where ``headrace compare`` writes its result, and in which forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from headrace.cli.board import render_board
from headrace.cli.session import Session, fail_usage
from headrace.errors import Problem, StateError
from headrace.evaluation.report.as_json import render_json
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.junit import render_junit
from headrace.evaluation.report.markdown import render_markdown
from headrace.operations.compare_runs import ComparisonResult

FORMS = ("table", "json", "markdown", "html", "junit")
_SUFFIXES = {".json": "json", ".md": "markdown", ".html": "html", ".xml": "junit", ".htm": "html"}
_RENDERERS = {"json": render_json, "markdown": render_markdown, "html": render_html, "junit": render_junit}


class Destination(NamedTuple):
    """Where a result goes: its form, and a file, or ``None`` for standard output."""

    form: str
    file: Path | None


def outputs_option(known: Sequence[str] = FORMS) -> Callable[[Any], Any]:
    """``-o/--output`` for :func:`read_destinations`; the first form is the default."""
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FORM|FILE",
        help=f"{', '.join(known)}, or a file whose name says which, repeatable; default {known[0]}.",
    )


def read_destinations(outputs: Sequence[str], known: Sequence[str] = FORMS) -> tuple[Destination, ...]:
    """Read ``--output`` values: forms and files, as many as are wanted; ``known`` are the forms that there are.

    A file takes the form that its name says, else a form that is given beside it. A form that no file takes goes to
    standard output, where the table goes when nothing else is asked for.

    Raises:
        UsageError: C507 for a file name that does not say its form, and for two forms on standard output.
    """
    forms = list(dict.fromkeys(text for text in outputs if text in known))
    suffixes = {suffix: form for suffix, form in _SUFFIXES.items() if form in known}
    found: list[Destination] = []
    for path in dict.fromkeys(Path(text) for text in outputs if text not in known):
        form = suffixes.get(path.suffix)
        if form is None and not forms:
            fail_usage(
                f'--output does not know the form of "{path.name}".',
                f"Name a {_listed(tuple(suffixes))} file, or give the form as well: {', '.join(known)}.",
            )
        found.append(Destination(form if form is not None else forms.pop(0), path))
    if len(forms) > 1:
        fail_usage(
            f"Standard output takes one form, and --output names {len(forms)}: {', '.join(forms)}.",
            "Leave one of them, and name a file for each of the others.",
        )
    if forms or not found:
        found.insert(0, Destination(forms[0] if forms else known[0], None))
    return tuple(found)


def _listed(suffixes: Sequence[str]) -> str:
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"


def render_result(session: Session, result: ComparisonResult, destination: Destination) -> str:
    """The result in the form of ``destination``; a table in a file has neither colours nor the terminal's width."""
    render = _RENDERERS.get(destination.form)
    if render is not None:
        return render(result.comparison, result.context)
    terminal = session.terminal if destination.file is None else session.plain_terminal()
    return render_board(result.comparison, result.recommendation, result.context, terminal)


def files_of(destinations: Iterable[Destination]) -> list[Path]:
    """The files that are written."""
    return [destination.file for destination in destinations if destination.file is not None]


def make_room(path: Path) -> None:
    """Make the folder of a file that was asked for, before anything runs: a wrong path costs nothing then.

    Raises:
        StateError: S808 when it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path) from error


def write_output(path: Path, text: str) -> None:
    """Write a file that was asked for.

    Raises:
        StateError: S808 when it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(path) from error


def cannot_write(path: Path) -> StateError:
    """S808 for ``path``."""
    fix = "Name a file in a folder that you may write to."
    return StateError(Problem(code="S808", what=f"{path} cannot be written.", fix=fix))
