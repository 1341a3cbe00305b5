"""Options of commands that run lines: what runs them, what they may spend, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from headrace.cli.options import Decorator, Number, all_options, path_option
from headrace.domain.run import Cap
from headrace.operations.line_runners import Where

_OPTIONS = (
    click.option(
        "--max-concurrency", type=click.IntRange(min=1), metavar="N", help="Lines in flight at once."
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        metavar="N",
        help="Run lines in N processes, for tools that keep the processor busy or crash; 0: in threads.",
    ),
    click.option(
        "--on",
        metavar="ray|ray://HOST:PORT|azureml://…",
        help="Run lines with Ray, in one that is started here or in a cluster; or one run as jobs of Azure ML.",
    ),
    click.option(
        "--max-cost",
        type=Number(min=0, min_open=True),
        metavar="USD",
        help="Stop before model calls cost more than this; the run can be resumed.",
    ),
    click.option(
        "--max-tokens",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop before more than N tokens are spent; the run can be resumed.",
    ),
    path_option("--events", help="Write what happens into this file as it happens, one JSON object a line."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningOptions:
    """How lines are run.

    Attributes:
        where: What runs them.
        cap: What they may spend; ``None`` for any amount.
        events: File that events are written to.
    """

    where: Where
    cap: Cap | None
    events: Path | None


def running_options() -> Decorator:
    """``--max-concurrency``, ``--workers``, ``--on``, ``--max-cost``, ``--max-tokens`` and ``--events``.

    The command takes them as one :class:`RunningOptions`, its argument ``running``.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(
            *arguments: Any,
            max_concurrency: int | None,
            workers: int | None,
            on: str | None,
            max_cost: float | None,
            max_tokens: int | None,
            events: Path | None,
            **others: Any,
        ) -> Any:
            running = RunningOptions(
                where=Where(workers=workers, max_concurrency=max_concurrency, on=on),
                cap=_read_cap(max_cost, max_tokens),
                events=events,
            )
            return command(*arguments, running=running, **others)

        return all_options(*_OPTIONS)(run)

    return decorate


def _read_cap(max_cost: float | None, max_tokens: int | None) -> Cap | None:
    if max_cost is None and max_tokens is None:
        return None
    return Cap(cost_usd=max_cost, tokens=max_tokens)
