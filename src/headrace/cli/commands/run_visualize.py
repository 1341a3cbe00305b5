"""``headrace run visualize``."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.visualize_runs import visualize_runs

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@click.command(
    "visualize",
    cls=Verb,
    examples=(
        ("One run", "headrace run visualize --name first"),
        ("Two runs side by side", "headrace run visualize --name first,second --html-path both.html"),
    ),
)
@click.option(
    "-n",
    "--name",
    "--names",
    "names",
    required=True,
    metavar="RUN[,RUN...]",
    help="The runs, separated by commas.",
)
@path_option(
    "--html-path", help="Write the page here; default: .headrace/reports. No browser is opened then."
)
@click.pass_obj
def command(session: Session, *, names: str, html_path: Path | None) -> int:
    """Show runs as a page in the browser.

    One HTML file that needs no network: for every line its inputs, outputs, errors and nodes, the
    lines of several runs side by side. Its path is printed; a browser is only opened where there
    is a screen and a terminal.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        fail_usage("--name names no run.", "Write --name RUN or --name RUN,RUN.")
    with command_workspace(session) as workspace:
        path = visualize_runs(workspace, wanted, html_path)
    session.write(str(path))
    if html_path is None and _has_screen(session):
        webbrowser.open(path.resolve().as_uri())
    return ExitCode.OK


def _has_screen(session: Session) -> bool:
    if not session.terminal.has_tty_out:
        return False
    return sys.platform in ("darwin", "win32") or any(map(session.settings.environment.get, _DISPLAYS))
