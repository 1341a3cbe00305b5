"""``headrace ab status``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from headrace.cli.ab_view import render_tests, render_view, revision_to_json, view_to_json
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.domain.traffic import Revision
from headrace.errors import ExitCode
from headrace.evaluation.report.online_text import render_online_markdown
from headrace.evaluation.report.revisions import say_shares
from headrace.operations.ab_revisions import latest_revisions
from headrace.operations.follow_ab import AbFollower
from headrace.operations.read_offline import OfflineReader


@click.command(
    "status",
    cls=Verb,
    examples=(
        ("The tests of this store", "headrace ab status"),
        ("Where one of them stands", "headrace ab status prompts"),
        ("For a chat", "headrace ab status prompts --output markdown"),
    ),
)
@click.argument("test", metavar="[TEST]", required=False)
@form_option("json", "table", "markdown", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, test: str | None, form: str | None) -> int:
    """Say where an online test stands; without TEST, list the tests.

    May be called as often as one likes: intervals and evidence hold however often one looks.
    """
    form = choose_form(form, session)
    with command_workspace(session) as workspace:
        now = workspace.now()
        if test is None:
            _list(session, latest_revisions(workspace.store), form, now)
            return ExitCode.OK
        view = OfflineReader(workspace).beside(AbFollower(workspace.store, test).look(now))
    if form == "json":
        session.write_json(view_to_json(view))
    elif form == "markdown":
        session.write(
            render_online_markdown(view.report, say_shares(view.history[-1]), view.offline).rstrip("\n")
        )
    else:
        session.write(render_view(view, session.terminal, now))
    return ExitCode.OK


def _list(session: Session, latest: Sequence[Revision], form: str, now: datetime) -> None:
    if form == "json":
        session.write_json([revision_to_json(revision) for revision in latest])
    elif not latest:
        session.note("No online tests yet. Begin one with: headrace flow serve --traffic FILE")
    elif form == "markdown":
        session.write("\n".join(f"- {revision.test}: {say_shares(revision)}" for revision in latest))
    else:
        session.write(render_tests(latest, session.terminal, now))
