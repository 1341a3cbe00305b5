"""``headrace run update``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from headrace.cli.commands.run_show import show_run
from headrace.cli.options import Verb, pairs_option, run_name_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.operations.update_run import update_run

_TEXTS = ("display_name", "description")


@click.command(
    "update",
    cls=Verb,
    examples=(
        ("Another title", "headrace run update --name first --set display_name='Before the fix'"),
        ("Tags", "headrace run update --name first --set tags.team=search tags.stage=trial"),
    ),
)
@run_name_option()
@pairs_option("--set", "settings", required=True, help="display_name=…, description=… or tags.KEY=….")
@click.pass_obj
def command(session: Session, *, name: str, settings: Mapping[str, str]) -> int:
    """Change the title, description or tags of a run.

    As with pf, the tags that one call gives replace those that the run had. The run is printed as
    JSON.
    """
    texts, tags = read_changes(settings)
    with command_workspace(session) as workspace:
        update_run(workspace, name, tags=tags, **texts)
        return show_run(session, workspace, name)


def read_changes(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str] | None]:
    """What ``--set`` changes: texts by name, and the tags if it gives any.

    Raises:
        UsageError: C507 for anything else.
    """
    texts: dict[str, str] = {}
    tags: dict[str, str] = {}
    for key, value in settings.items():
        head, dot, tag = key.partition(".")
        if head == "tags" and tag:
            tags[tag] = value
        elif key in _TEXTS:
            texts[key] = value
        else:
            fail_usage(
                f'--set cannot change "{head}{dot}{tag}" of a run.',
                "Set display_name=…, description=… or tags.KEY=….",
            )
    return texts, tags or None
