"""Forecasts as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from headrace.cli.options import choose_form
from headrace.cli.session import Session
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.cli.wording import duration
from headrace.domain.forecast import Forecast

_UNKNOWN = "–"


def show_forecasts(session: Session, forecasts: Sequence[Forecast]) -> None:
    """Write forecasts: a table for a person, JSON for a program."""
    if choose_form(None, session) == "json":
        session.write_json(forecasts_to_json(forecasts))
    else:
        terminal = session.terminal
        click.echo(render_forecasts(forecasts, ink=terminal.out, width=terminal.width), color=True)


def render_forecasts(forecasts: Sequence[Forecast], *, ink: Ink, width: int | None) -> str:
    """One row per run, a total where there are several, and what the numbers are made from."""
    columns = [
        Column(title="run", least=20, wraps=True),
        Column(title="lines", is_right=True),
        Column(title="calls", is_right=True),
        Column(title="cached", is_right=True),
        Column(title="tokens in", is_right=True),
        Column(title="tokens out", is_right=True),
        Column(title="cost", is_right=True),
        Column(title="time", is_right=True),
        Column(title="expected from", least=20, leaves=0),
    ]
    rows = [_row(item) for item in forecasts]
    if len(forecasts) > 1:
        rows.append(_row(total(forecasts), styles=("bold",)))
    notes = []
    if any(item.source_run is None and item.calls != 0 for item in forecasts):
        notes.append(
            "Prompts are counted as far as flow inputs fill them, at four characters a token; answers are not."
        )
        notes.append("For all numbers, run a few lines first: headrace run create with a small data file.")
    return "\n".join([render_table(columns, rows, ink=ink, width=width), *([""] if notes else []), *notes])


def forecasts_to_json(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """The forecasts and their total as plain data."""
    return {"runs": [asdict(item) for item in forecasts], "total": asdict(total(forecasts))}


def total(forecasts: Sequence[Forecast]) -> Forecast:
    """All runs, one after another; what is not known of one is not known of all."""

    def add(name: str) -> float | None:
        values = [getattr(item, name) for item in forecasts]
        return None if None in values else sum(values)

    return Forecast(
        label="total",
        n_lines=sum(item.n_lines for item in forecasts),
        calls=add("calls"),
        cached_calls=sum(item.cached_calls for item in forecasts),
        prompt_tokens=add("prompt_tokens"),
        completion_tokens=add("completion_tokens"),
        cost_usd=add("cost_usd"),
        duration_s=add("duration_s"),
        source_run=None,
    )


def _row(item: Forecast, styles: tuple[str, ...] = ()) -> list[Cell]:
    source = "" if item.label == "total" else item.source_run or "its prompts"
    texts = (
        item.label,
        f"{item.n_lines:,}",
        _count(item.calls),
        _count(item.cached_calls),
        _count(item.prompt_tokens),
        _count(item.completion_tokens),
        _UNKNOWN if item.cost_usd is None else f"${item.cost_usd:,.4f}",
        _UNKNOWN if item.duration_s is None else duration(1000 * item.duration_s),
        source,
    )
    return [Cell(text, styles) for text in texts]


def _count(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"
