"""``headrace ab watch``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from headrace.cli.options import Number, Verb
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, Problem
from headrace.operations.ab_revisions import find_revisions
from headrace.operations.read_offline import OfflineReader
from headrace.operations.watch_ab import MIN_EVERY_S, Watch, look_once, run_watch


@click.command(
    "watch",
    cls=Verb,
    examples=(
        ("Look at one test and roll back what breaches a guardrail", "headrace ab watch prompts"),
        ("All tests of the store, with a page", "headrace ab watch --all --page 8790"),
        ("From a scheduler", "headrace ab watch --all --once"),
    ),
)
@click.argument("tests", nargs=-1, metavar="[TEST]...")
@click.option("--all", "is_all", is_flag=True, help="All tests of the store, also those that begin later.")
@click.option(
    "--every",
    type=Number(MIN_EVERY_S, 31_536_000),
    metavar="SECONDS",
    help="Time between two looks; default what the traffic file says.",
)
@click.option("--once", is_flag=True, help="Look once, do what is due, and end.")
@click.option(
    "--page",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Show a page on this machine; 0 takes any port.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    tests: tuple[str, ...],
    is_all: bool,
    every: float | None,
    once: bool,
    page: int | None,
) -> int:
    """Look at online tests again and again, and do what their rules say.

    An arm that breaches a guardrail gives its traffic to the baseline, ramps take their steps, a bandit moves shares,
    and webhooks hear of it. Nothing is promoted. Several watches of one test do no harm. A server that splits traffic
    watches its test by itself; --page shows it in a browser. Ends with Ctrl-C.
    """
    if bool(tests) == is_all:
        fail_usage("headrace ab watch needs names of tests, or --all.", "headrace ab status lists the tests.")
    if once and page is not None:
        fail_usage("--once and --page contradict each other.", "Give one of them.")

    def tell(text: str, problems: Sequence[Problem]) -> None:
        session.note(text)
        if problems:
            session.show_problems(*problems)

    with command_workspace(session) as workspace:
        for test in tests:
            find_revisions(workspace.store, test)
        beside = None if page is None else OfflineReader(workspace).beside
        watch = Watch(
            workspace.store, tests, tell, every_s=every, keeps_looks=page is not None, beside=beside
        )
        if once:
            look_once(workspace, watch, tell)
            return ExitCode.OK
        try:
            run_watch(workspace, watch, tell, page_port=page)
        except KeyboardInterrupt:  # the way to stop a watch: nothing went wrong
            session.note("\nStopped.")
    return ExitCode.OK
