"""``headrace label take``."""

from __future__ import annotations

import sys

import click

from headrace.cli.label_view import (
    QUIT,
    SKIP,
    UNDO,
    choice_name,
    read_choice,
    render_answer,
    render_question,
)
from headrace.cli.options import Verb
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.label_answers import SCALES, LabelRequest, LabelSession

DEFAULT_LINES = 50
_ENDS = ("\x04", "\x1a", "\x1b")
"""Keys that end a session like q: Ctrl-D, Ctrl-Z and Escape."""


@click.command(
    "take",
    cls=Verb,
    examples=(
        ("50 lines of two runs, by one person", "headrace label take first second --metric f1 --by Ada"),
        (
            "More of them later; what is labelled stays",
            "headrace label take first second --metric f1 --by Ada --n 80",
        ),
        (
            "One line that was chosen, with pass and fail",
            "headrace label take first --metric f1 --line 7 --scale pass-fail",
        ),
    ),
)
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option("--metric", required=True, metavar="NAME", help="What is asked about.")
@click.option(
    "--n", "n_lines", type=click.IntRange(min=1), metavar="N", help=f"Lines to draw; default {DEFAULT_LINES}."
)
@click.option("--line", "lines", type=click.IntRange(min=0), multiple=True, metavar="NUMBER",
              help="Ask about this line instead; its labels do not count as random.")  # fmt: skip
@click.option("--by", metavar="NAME", help="Who labels; default: the user of the machine.")
@click.option("--seed", type=int, default=0, metavar="N", help="Another draw; default 0.")
@click.option(
    "--scale",
    type=click.Choice(tuple(SCALES)),
    metavar="|".join(SCALES),
    help="What may be said; default: what suits the scores of the metric.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    runs: tuple[str, ...],
    metric: str,
    n_lines: int | None,
    lines: tuple[int, ...],
    by: str | None,
    seed: int,
    scale: str | None,
) -> int:
    """Label answers that are drawn at random, one after the other.

    For each drawn line the answers of all runs are shown, without saying whose they are and in an
    order that does not tell. Each label is kept at once: leave with q or Ctrl-C, and the same
    command goes on where you were. Reads lines from standard input where that is no terminal.
    """
    if not runs:
        fail_usage(
            "No run is named.", "Name the runs whose answers are to be labelled: headrace label take RUN..."
        )
    if lines and n_lines is not None:
        fail_usage("--line and --n contradict each other.", "Give one of them.")
    request = LabelRequest(
        runs=runs,
        metric=metric,
        n_lines=None if lines else n_lines or DEFAULT_LINES,
        lines=lines,
        seed=seed,
        labeller=find_labeller(session, by),
    )
    with command_workspace(session) as workspace:
        labels = LabelSession(workspace, request)
        try:
            is_interrupted = not _ask_all(session, labels, metric, scale or labels.scale)
        finally:
            _say_goodbye(session, labels)
    return ExitCode.INTERRUPTED if is_interrupted else ExitCode.OK


def find_labeller(session: Session, by: str | None) -> str:
    """Who labels: as was said, else the user of the machine."""
    environment = session.settings.environment
    return by if by is not None else environment.get("USER") or environment.get("USERNAME") or ""


def _ask_all(session: Session, labels: LabelSession, metric: str, scale: str) -> bool:
    """Ask until all is said; false after Ctrl-C."""
    shown = None
    try:
        while (answer := labels.current) is not None:
            if answer is not shown:
                _show(session, labels, metric)
                shown = answer
            text = _read(render_question(scale, session.terminal.out))
            if text is None:
                return True
            choice = read_choice(text, scale)
            if choice == QUIT:
                return True
            _take(session, labels, choice, text.strip())
    except KeyboardInterrupt:
        return False
    return True


def _take(session: Session, labels: LabelSession, choice: float | str | None, text: str) -> None:
    """Do what the person has chosen."""
    if isinstance(choice, float):
        labels.give(choice)
    elif choice == SKIP:
        labels.skip()
    elif choice == UNDO:
        if not labels.undo():
            session.note("There is nothing to take back.")
    elif text:
        session.note(f"{text[:20]!r} is none of the keys.")


def _show(session: Session, labels: LabelSession, metric: str) -> None:
    answer = labels.current
    if answer is not None:
        terminal = session.terminal
        session.write(
            render_answer(
                answer,
                place=labels.n_done + labels.n_skipped + 1,
                count=len(labels.answers),
                metric=metric,
                ink=terminal.out,
                width=min(terminal.width, 100),
                has_unicode=terminal.has_unicode,
            )
        )


def _read(question: str) -> str | None:
    """One key at a terminal, else one line; ``None`` at the end of the input."""
    click.echo(question, nl=False, color=True)
    if not sys.stdin.isatty():
        text = sys.stdin.readline()
        click.echo(choice_name(text))
        return text or None
    key = click.getchar()
    click.echo(choice_name(key) if key.isprintable() else "")
    return None if key in _ENDS else key


def _say_goodbye(session: Session, labels: LabelSession) -> None:
    count = len(labels.answers)
    said = f"{labels.n_done} of {plural(count, 'answer')} labelled."
    if labels.n_skipped:
        said += (
            f" {plural(labels.n_skipped, 'answer')} left out: label them as well, because labels without the hard "
            "answers are no random sample."
        )
    elif labels.n_done < count:
        said += " The same command goes on from here."
    session.note(f"\n{said}")
