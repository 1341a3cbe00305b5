"""``--scores`` and ``--to``: where the scores of a comparison go besides the board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from headrace.cli.options import Decorator, all_options, path_option
from headrace.cli.session import Session
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.score_records import check_scores_file, score_records, write_scores
from headrace.operations.track_comparison import TRACKERS, check_tracker, track_comparison


def record_options() -> Decorator:
    """``--scores`` and ``--to``; :func:`check_records` and :func:`write_records` take their values."""
    return all_options(
        path_option("--scores", help="Write every score here as well, as .csv or .parquet."),
        click.option(
            "--to",
            "trackers",
            multiple=True,
            type=click.Choice(tuple(TRACKERS)),
            help="Write runs, params, metrics and the report to this tracker as well.",
        ),
    )


def check_records(scores: Path | None, trackers: Sequence[str]) -> None:
    """Find out before anything runs whether the records can be written.

    Raises:
        UsageError: C507 for a file of another form, C505 when a package is not installed.
    """
    if scores is not None:
        check_scores_file(scores)
    for tracker in trackers:
        check_tracker(tracker)


def write_records(
    session: Session, result: ComparisonResult, scores: Path | None, trackers: Sequence[str]
) -> None:
    """Write what was asked for, and note where it is.

    Raises:
        StateError: S808 when the file cannot be written.
        RemoteError: P710 when a tracker does not take the comparison.
    """
    if scores is not None:
        write_scores(score_records(result), scores)
        session.note(f"scores: {session.shorten(scores)}")
    for tracker in trackers:
        session.note(track_comparison(result, tracker))
