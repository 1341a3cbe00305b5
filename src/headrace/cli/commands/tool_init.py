"""``headrace tool init``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from headrace.cli.options import Verb, pairs_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.init_tool import init_tool


@click.command(
    "init",
    cls=Verb,
    examples=(
        ("A file with a tool", "headrace tool init --tool count_words"),
        (
            "A package that offers it to every flow",
            "headrace tool init --package text_tools --tool count_words --set category=text icon=count.png",
        ),
    ),
)
@click.option("--tool", required=True, metavar="NAME", help="Name of the tool's function.")
@click.option("--package", metavar="NAME", help="Package that the tool goes into; made when it is missing.")
@pairs_option("--set", "extra", help="icon, category, tags and others, for the decorator.")
@click.pass_obj
def command(session: Session, *, tool: str, package: str | None, extra: Mapping[str, str]) -> int:
    """Write a new tool to start from.

    Without --package it is a Python file for a node with source type code. With it, an
    installable package offers the tool under the id PACKAGE.TOOL.TOOL. Nothing that exists is
    overwritten.
    """
    options = {name: _parsed(value) for name, value in extra.items()}
    for path in init_tool(session.folder, tool, package, options):
        session.write(str(session.shorten(path)))
    return ExitCode.OK


def _parsed(text: str) -> Any:
    """A mapping or list written as JSON; other texts as they are."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
