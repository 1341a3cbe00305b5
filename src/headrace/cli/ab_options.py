"""Arguments that commands of online tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headrace.cli.session import Session


def test_argument() -> Callable[..., Any]:
    """``TEST``: the name of an online test."""
    return click.argument("test", metavar="TEST")


def by_option() -> Callable[..., Any]:
    """``--by``: who changes something."""
    return click.option("--by", metavar="NAME", help="Who wants it, for the history; default the user.")


def choose_person(session: Session, given: str | None) -> str:
    """Who wants a change: as given, else the user of the environment."""
    environment = session.settings.environment
    return given or environment.get("USER") or environment.get("USERNAME") or "somebody"
