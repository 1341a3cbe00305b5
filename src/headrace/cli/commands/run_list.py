"""``headrace run list``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import click

from headrace.cli.options import Verb, choose_form, form_option, limit_options
from headrace.cli.run_view import count_evaluations, is_folded, render_run_table, run_to_json
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.domain.run import Run
from headrace.errors import ExitCode
from headrace.operations.run_owner import as_of


class Listing(NamedTuple):
    """Runs to show, newest first; how many runs evaluate each; how many evaluation runs are left out."""

    runs: tuple[Run, ...]
    evaluations: Mapping[str, int]
    n_folded: int


@click.command(
    "list",
    cls=Verb,
    examples=(
        ("The last 50", "headrace run list"),
        (
            "The runs of one experiment, for a program",
            "headrace run list --experiment ask_docs_20260101_120000_000000 -o json",
        ),
    ),
)
@limit_options(50)
@click.option("--experiment", metavar="ID", help="Only the runs of this experiment.")
@click.option("--evaluations", is_flag=True, help="Also the runs that score the arms of experiments.")
@click.option("--archived-only", is_flag=True, help="Only the archived runs.")
@click.option("--include-archived", is_flag=True, help="Also the archived runs.")
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(
    session: Session,
    *,
    max_results: int,
    all_results: bool,
    experiment: str | None,
    evaluations: bool,
    archived_only: bool,
    include_archived: bool,
    form: str | None,
) -> int:
    """List runs, newest first.

    A table at a terminal, JSON otherwise. The runs with which headrace compare scores its arms are
    left out, so that every row is an answer to something you asked; the column evaluations counts
    them. Evaluation runs that you created yourself are listed. Archived runs are left out as well.
    """
    if archived_only and include_archived:
        fail_usage("--archived-only and --include-archived contradict each other.", "Give one of them.")
    limit = None if all_results else max_results
    is_archived = True if archived_only else None if include_archived else False
    with command_workspace(session) as workspace:
        read = partial(workspace.store.list_runs, experiment=experiment, is_archived=is_archived)
        listing = read_listing(read, limit, folds=not evaluations)
        now = workspace.now()
    listing = listing._replace(runs=tuple(as_of(run, now) for run in listing.runs))
    if choose_form(form, session) == "json":
        session.write_json([run_to_json(run) for run in listing.runs])
    elif not listing.runs and archived_only:
        session.note("No run is archived.")
    elif not listing.runs:
        session.note("No runs yet. Make one with: headrace run create --flow FLOW --data DATA")
    else:
        terminal = session.terminal
        width = terminal.width if terminal.has_tty_out else None
        session.write(
            render_run_table(listing.runs, listing.evaluations, ink=terminal.out, width=width, now=now)
        )
        if listing.n_folded:
            folded = plural(listing.n_folded, "evaluation run")
            session.note(f"\nwithout {folded} of experiments; --evaluations lists them as well")
    return ExitCode.OK


def read_listing(read_runs: Callable[..., tuple[Run, ...]], limit: int | None, *, folds: bool) -> Listing:
    """Read the newest runs.

    Args:
        read_runs: Reads at most ``limit`` runs, newest first.
        limit: The most rows; ``None`` for all.
        folds: Whether evaluation runs of experiments are left out; they do not count for ``limit`` then.
    """
    n_read = limit
    read = read_runs(limit=n_read)
    runs = _unfolded(read) if folds else read
    while limit is not None and n_read is not None and len(runs) < limit and len(read) == n_read:
        n_read *= 2
        read = read_runs(limit=n_read)
        runs = _unfolded(read)
    runs = runs[:limit]
    # What evaluates a run is newer than it, so all of that has been read.
    shown = {run.spec.name for run in runs}
    n_folded = sum(run.spec.source_run in shown for run in read if is_folded(run)) if folds else 0
    return Listing(runs=runs, evaluations=count_evaluations(read), n_folded=n_folded)


def _unfolded(runs: Sequence[Run]) -> tuple[Run, ...]:
    return tuple(run for run in runs if not is_folded(run))
