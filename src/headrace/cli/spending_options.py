"""``--max-cost`` and ``--max-tokens``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headrace.cli.options import Number
from headrace.domain.run import Cap


def cap_options() -> Callable[[Any], Any]:
    """``--max-cost`` and ``--max-tokens``; :func:`read_cap` makes one value of them."""

    def decorate(command: Any) -> Any:
        tokens = click.option(
            "--max-tokens",
            type=click.IntRange(min=1),
            metavar="N",
            help="Stop before more than N tokens are spent; the run can be resumed.",
        )
        cost = click.option(
            "--max-cost",
            type=Number(min=0, min_open=True),
            metavar="USD",
            help="Stop before model calls cost more than this; the run can be resumed.",
        )
        return cost(tokens(command))

    return decorate


def read_cap(max_cost: float | None, max_tokens: int | None) -> Cap | None:
    """What may be spent, if that is limited."""
    if max_cost is None and max_tokens is None:
        return None
    return Cap(cost_usd=max_cost, tokens=max_tokens)
