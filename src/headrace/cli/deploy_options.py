"""Arguments that commands of deployments share, and how their progress is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from headrace.cli.identity_view import saying_identity
from headrace.cli.options import split_names
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.deploy.apply import Progress
from headrace.deploy.safety import check_allowed
from headrace.formats.deployment import FILE_NAME
from headrace.operations.open_deployment import DeploymentChoice, OpenDeployment, open_deployment

TEXT, JSON, MARKDOWN = "text", "json", "markdown"


def file_option() -> Callable[..., Any]:
    """``-f/--file`` in commands whose arguments are something else."""
    return click.option(
        "-f",
        "--file",
        type=click.Path(path_type=Path),
        default=Path(FILE_NAME),
        metavar="FILE",
        help=f"Deployment file, or its folder; default {FILE_NAME}.",
    )


def file_argument() -> Callable[..., Any]:
    """``[FILE]``: the deployment file."""
    return click.argument(
        "file", type=click.Path(path_type=Path), default=Path(FILE_NAME), metavar="[FILE]", required=False
    )


def overlay_option() -> Callable[..., Any]:
    """``--environment``: which overlay counts."""
    return click.option(
        "--env", "--environment", "environment", metavar="NAME", help="Lay FILE.NAME.yaml over the file."
    )


def allow_option() -> Callable[..., Any]:
    """``--allow``: which refusals are overridden."""
    return click.option(
        "--allow",
        "allowed",
        multiple=True,
        metavar="NAME",
        callback=_allowed,
        help="Override a refusal, such as shift or dirty, by its name; may be repeated.",
    )


def _allowed(context: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    del context, param
    names = split_names(values)
    check_allowed(names)
    return names


def shape_option(*more: str) -> Callable[..., Any]:
    """``--format``: for people or for programs; ``more`` are further forms that a command has."""
    forms = (TEXT, JSON, *more)
    return click.option(
        "--format",
        "-o",
        "--output",
        "form",
        type=click.Choice(forms),
        default=TEXT,
        metavar="|".join(forms),
        help=f"How to print; default {TEXT}.",
    )


@contextmanager
def command_deployment(session: Session, file: Path, environment: str | None) -> Iterator[OpenDeployment]:
    """Open the deployment that a command is about; what is waited for is said on standard error."""
    choice = DeploymentChoice(file=file, environment=environment)
    with (
        saying_identity(session),
        command_workspace(session) as workspace,
        open_deployment(workspace, choice, lambda line: session.note(f"    {line}")) as opened,
    ):
        yield opened


def read_shares(texts: tuple[str, ...]) -> dict[str, int]:
    """Read ``blue=90 green=10``.

    Raises:
        UsageError: C507 for anything else.
    """
    shares: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        is_share = number.isascii() and number.isdigit() and int(number) <= 100
        if not name or not is_share or name in shares:
            fail_usage(
                f"{text} is no share of a deployment.",
                "Write NAME=PERCENT, in whole numbers up to 100, each once.",
            )
        shares[name] = int(number)
    if not shares:
        fail_usage("Nobody is given a share.", "Write NAME=PERCENT for one or more deployments.")
    return shares


def tell_progress(session: Session) -> Callable[[Progress], None]:
    """Says on standard error which step is made, and how long it took."""

    def hear(progress: Progress) -> None:
        number = f"[{progress.number}/{progress.n_changes}]"
        if progress.moment == "begun":
            session.note(f"{number} {progress.change.what}")
        elif progress.moment == "skipped":
            session.note(f"{number} skipped")
        elif progress.moment == "done" and progress.duration_ms is not None:
            session.note(f"{number} done in {progress.duration_ms / 1000:.1f} s")

    return hear
