"""Options of who may ask a served flow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headrace.cli.options import all_options, path_option
from headrace.cli.session import Session, fail_usage
from headrace.operations.serve_access import KEYS_VARIABLE, AccessChoice


def access_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--keys`` and what else says who may ask, and how often; :func:`read_access` takes their values."""
    options = (
        path_option(
            "--keys", "key_file", help="Keys of callers, a file of headrace serve-key; read again on changes."
        ),
        click.option(
            "--issuer", metavar="URL", help="Take the tokens of this issuer, such as Microsoft Entra ID."
        ),
        click.option(
            "--audience",
            "audiences",
            multiple=True,
            metavar="NAME",
            help="For whom tokens must be; may be repeated.",
        ),
        click.option(
            "--scope", "scopes", multiple=True, metavar="NAME", help="A token holds one of these, or a role."
        ),
        click.option(
            "--role", "roles", multiple=True, metavar="NAME", help="A token holds one of these, or a scope."
        ),
        click.option(
            "--jwks",
            "key_set",
            metavar="URL|FILE",
            help="Keys of the issuer; default: where it says they are.",
        ),
        click.option(
            "--no-auth",
            "is_open",
            is_flag=True,
            help="Let everybody ask who reaches the address, for what stands behind a check of its own.",
        ),
        click.option(
            "--cors",
            "origins",
            multiple=True,
            metavar="ORIGIN",
            help="Let pages of this origin ask from a browser; may be repeated.",
        ),
        *rate_options("of each caller"),
    )
    return all_options(*options)


def rate_options(whose: str) -> tuple[Callable[[Any], Any], ...]:
    """``--requests-per-minute`` and ``--concurrent``; ``whose`` ends their helps."""
    return (
        click.option(
            "--requests-per-minute", type=click.IntRange(1), metavar="N", help=f"Limit {whose}, per process."
        ),
        click.option(
            "--concurrent",
            type=click.IntRange(1),
            metavar="N",
            help=f"Requests at once {whose}, per process.",
        ),
    )


def key_options(*options: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--keys`` of the commands that write the file, and further options."""
    keys = path_option("--keys", "key_file", help=f"The file of keys; default: {KEYS_VARIABLE}.")
    return all_options(keys, *options)


def read_access(session: Session, given: dict[str, Any]) -> AccessChoice:
    """What the options say."""
    file: Path | None = given["key_file"]
    return AccessChoice(**{**given, "key_file": session.folder / file if file is not None else None})


def read_key_path(session: Session, given: Path | None) -> Path:
    """The file of keys that a command is about.

    Raises:
        UsageError: C507 when neither the option nor the environment names one.
    """
    named = given or session.settings.environment.get(KEYS_VARIABLE)
    if not named:
        fail_usage(
            "Nothing says which file holds the keys.", f"Name it with --keys FILE, or set {KEYS_VARIABLE}."
        )
    return session.folder / named
