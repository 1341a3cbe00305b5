"""``headrace deploy traffic``."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from headrace.cli.deploy_options import (
    JSON,
    allow_option,
    command_deployment,
    file_option,
    overlay_option,
    read_shares,
    shape_option,
    tell_progress,
)
from headrace.cli.deploy_runs import run_prepared
from headrace.cli.options import Number, Verb
from headrace.cli.session import Session, fail_usage
from headrace.errors import ExitCode, Problem
from headrace.operations.apply_deployment import ApplyChoice
from headrace.operations.open_deployment import OpenDeployment
from headrace.operations.plan_deployment import prepare_traffic
from headrace.providers.loading import load_by_name

_FOLLOWING = "headrace.operations.follow_shares"
_ENDING = "headrace.operations.watch_ab:ending_at_signal"
"""Reached by name: shares that a person says need no online tests."""

_EVERY_S = 5.0


@click.command(
    "traffic",
    cls=Verb,
    examples=(
        ("Half and half", "headrace deploy traffic blue=50 green=50"),
        ("The others keep their proportions", "headrace deploy traffic green=25"),
        ("Everything at once", "headrace deploy traffic green=100 --allow shift"),
        ("Half for the version of the file, unless it has more", "headrace deploy traffic new=50 --at-least"),
        (
            "The shares of an online test, again and again",
            "headrace deploy traffic --from-test traffic.yaml --follow",
        ),
    ),
)
@click.argument("shares", nargs=-1, metavar="[NAME=PERCENT]...")
@click.option("--at-least", is_flag=True, help="Leave who has as much already as it is.")
@file_option()
@overlay_option()
@click.option(
    "--from-test",
    "test",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Take the shares of the online test of this traffic file; default that of the deployment file.",
)
@click.option(
    "--follow", is_flag=True, help="With --from-test: do so with each change, until the process is stopped."
)
@click.option(
    "--every",
    type=Number(0.5, 31_536_000),
    metavar="SECONDS",
    help="With --follow: time between two looks at the test; default 5.",
)
@allow_option()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@shape_option()
@click.pass_obj
def command(
    session: Session,
    *,
    shares: tuple[str, ...],
    at_least: bool,
    file: Path,
    environment: str | None,
    test: str | None,
    follow: bool,
    every: float | None,
    allowed: tuple[str, ...],
    dry_run: bool,
    form: str,
) -> int:
    """Share the requests among the deployments of an endpoint.

    In a file without arms, new is its version, whichever place holds it. Whose share grows is looked at and asked for
    the answer to a sample first. Applying a file without arms leaves the shares as they are; the shares of arms are
    those of their file. With --from-test arms get the whole percents that the online test has for them now, none once
    they are rolled back; requests are assigned one by one there.
    """
    _check_options(
        has_shares=bool(shares),
        is_test=test is not None,
        is_at_least=at_least,
        is_following=follow,
        is_timed=every is not None,
        is_ending=dry_run or form == JSON,
    )
    with command_deployment(session, file, environment) as opened:
        if test is None:
            given = read_shares(shares)
            again = opened.choice.command("traffic", *shares, *(["--at-least"] if at_least else []))
            return run_prepared(
                session,
                opened,
                lambda state: prepare_traffic(opened, given, state, is_at_least=at_least),
                allowed=allowed,
                again=again,
                form=form,
                is_dry=dry_run,
            )
        again = opened.choice.command("traffic", "--from-test", *([test] if test else []))
        traffic = load_by_name(f"{_FOLLOWING}:find_test")(opened, Path(test) if test else None)
        wanted = load_by_name(f"{_FOLLOWING}:SharesOfTest")(opened, traffic, opened.workspace.now())
        if follow:
            return _follow(session, opened, wanted, allowed, f"{again} --follow", every or _EVERY_S)
        revision = wanted.revision()
        return run_prepared(
            session,
            opened,
            lambda state: wanted.prepare(revision, state),
            allowed=allowed,
            again=again,
            form=form,
            is_dry=dry_run,
        )


def _check_options(
    *,
    has_shares: bool,
    is_test: bool,
    is_at_least: bool,
    is_following: bool,
    is_timed: bool,
    is_ending: bool,
) -> None:
    if is_test == has_shares:
        fail_usage(
            "Shares are given, or taken from a test.", "Write NAME=PERCENT, or --from-test, one of them."
        )
    if is_at_least and is_test:
        fail_usage("--at-least is about shares that are given, and not those of a test.", "Leave it out.")
    if (is_following or is_timed) and not is_test:
        fail_usage("Only the shares of a test can be followed.", "Add --from-test traffic.yaml.")
    if is_following and is_ending:
        fail_usage(
            "--follow does not end, so it takes neither --dry-run nor --format json.", "Leave one out."
        )


def _follow(
    session: Session,
    opened: OpenDeployment,
    wanted: object,
    allowed: Collection[str],
    again: str,
    every_s: float,
) -> int:
    def tell(text: str, problems: Sequence[Problem]) -> None:
        session.note(text)
        if problems:
            session.show_problems(*problems)

    is_over = threading.Event()
    choice = ApplyChoice(allowed=allowed, on_progress=tell_progress(session), again=again)
    follower = load_by_name(f"{_FOLLOWING}:SharesFollower")(wanted, opened, choice, tell)
    try:
        with load_by_name(_ENDING)(is_over.set):
            follower.run(is_over, every_s)
    except KeyboardInterrupt:  # the way to stop it in a terminal: nothing went wrong
        session.note("\nStopped. The shares stay as they are.")
    return ExitCode.OK
