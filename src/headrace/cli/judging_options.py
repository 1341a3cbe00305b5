"""Options of commands that say how arms are judged; what an experiment file says gives way to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click

from headrace.cli.options import Number, all_options
from headrace.domain.comparison import Family

JUDGING = ("metrics", "margins", "baseline", "alpha", "cluster", "slices", "family")
"""Parameters that say how recorded answers are judged."""

CHANGES = (*JUDGING, "cache", "data", "environment", "repeats", "line_id", "seed")
"""Parameters that may be given beside an experiment file."""


def judging_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--metric`` and what goes with it."""
    options = (
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="NAME",
            help="Score that decides, then further ones; NAME:lower where less is better.",
        ),
        click.option(
            "--baseline", metavar="ARM", help="Arm that the others are compared with; default the first."
        ),
        click.option(
            "--repeats",
            type=click.IntRange(min=1),
            metavar="K",
            help="How often every line is answered; default 1.",
        ),
        click.option(
            "--line-id", metavar="COLUMN", help="Data column that identifies a line; default: its number."
        ),
        click.option("--cluster", metavar="COLUMN", help="Data column of lines that belong together."),
        click.option(
            "--slice",
            "slices",
            multiple=True,
            metavar="COLUMN",
            help="Data column to break the results down by.",
        ),
        click.option(
            "--margin",
            "margins",
            multiple=True,
            metavar="NAME=VALUE",
            help="Difference of a score that does not matter; with it, arms can be equivalent or no worse.",
        ),
        click.option(
            "--family",
            type=click.Choice(get_args(Family)),
            help="How p is adjusted over the arms: Holm, Benjamini-Hochberg or not; default baseline.",
        ),
        click.option("--seed", type=int, metavar="N", help="Seed of resampling; default 0."),
        click.option(
            "--alpha",
            type=Number(0, 1, min_open=True, max_open=True),
            metavar="P",
            help="Chance of a wrong verdict that you accept; default 0.05.",
        ),
    )

    return all_options(*options)
