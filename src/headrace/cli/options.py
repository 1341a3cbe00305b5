"""Commands and options in ``pf``'s spellings: several values behind one flag, abbreviated flag names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import cleandoc
from math import isfinite
from pathlib import Path
from typing import Any

import click

from headrace.cli.collection import resume_collection
from headrace.cli.session import Session, fail_usage
from headrace.errors import nearest

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What adds options to a command."""

HELP_NAMES = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
EVERYWHERE = "Options of every command"


class Form(click.HelpFormatter):
    """Help text with bold headings where colours are wanted."""

    has_color = False

    def write_heading(self, heading: str) -> None:
        """Write a section's title."""
        super().write_heading(click.style(heading, bold=True) if self.has_color else heading)


def make_form(context: click.Context) -> Form:
    """An empty help text that fits the terminal of ``context``."""
    form = Form(width=context.terminal_width, max_width=context.max_content_width)
    session = context.find_root().obj
    form.has_color = isinstance(session, Session) and session.terminal.out.has_color
    return form


class EverywhereOption(click.Option):
    """An option that every command takes; help lists these apart."""


def everywhere_options() -> list[click.Parameter]:
    """Fresh ``--quiet --verbose --debug --no-color``; each acts on the session as soon as it is read."""
    return [
        EverywhereOption(
            [*names], is_flag=True, expose_value=False, is_eager=True, callback=_switch(act), help=text
        )
        for names, act, text in (
            (("-q", "--quiet"), _be_quiet, "Write results and errors only."),
            (("--verbose",), _be_verbose, "Say what happens on the way."),
            (("-d", "--debug"), _debug, "Show the causes of errors as well."),
            (("--no-color",), Session.drop_color, "No colours (so does the variable NO_COLOR)."),
        )
    ]


def _switch(act: Callable[[Session], None]) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
        session = context.find_root().obj
        if value and isinstance(session, Session):
            act(session)

    return callback


def _be_quiet(session: Session) -> None:
    session.is_quiet = True


def _be_verbose(session: Session) -> None:
    session.is_verbose = True


def _debug(session: Session) -> None:
    session.is_debug = session.is_verbose = True


class Number(click.FloatRange):
    """A number that can be computed with, within limits where they are given: neither infinite nor "nan"."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of a word of the command line."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class ManyValues(click.Option):
    """An option that takes several values after one flag, as ``pf`` does: ``--inputs a=1 b=2``.

    Attributes:
        may_be_empty: Whether the bare flag is allowed; it then stands for no value.
    """

    may_be_empty = False


class ManyValuesOrNone(ManyValues):
    """The same, where the bare flag means something."""

    may_be_empty = True


class Verb(click.Command):
    """A command with examples in its help. Its callback returns an exit code."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params += everywhere_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring ``args`` into click's form, then parse them."""
        try:
            return super().parse_args(ctx, expand_arguments(self.params, args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # the parser does not always say which command it is about
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Do the command's work; everything that it needs is imported by now."""
        resume_collection()
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Purpose, usage, arguments, options, examples."""
        for paragraph in cleandoc(self.help or "").split("\n\n"):
            formatter.write_text(paragraph)
            formatter.write_paragraph()
        formatter.write_usage(ctx.command_path, " ".join(_usage_pieces(self, ctx)), prefix="Usage: ")
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        own = [param for param in options if param in self.params and not isinstance(param, EverywhereOption)]
        general = [param for param in options if param not in own]
        for title, params in (("Options", own), (EVERYWHERE, general)):
            rows = [row for row in (param.get_help_record(ctx) for param in params) if row]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=26)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write(_examples(self.examples, formatter.width))

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        form = make_form(ctx)
        self.format_help(ctx, form)
        return form.getvalue().strip("\n")


def _usage_pieces(command: click.Command, ctx: click.Context) -> list[str]:
    required = [
        f"{param.opts[0]} {param.make_metavar(ctx)}"
        for param in command.params
        if isinstance(param, click.Option) and param.required
    ]
    arguments = [param.make_metavar(ctx) for param in command.params if isinstance(param, click.Argument)]
    return [*required, *arguments, "[OPTIONS]"]


def _examples(examples: Sequence[tuple[str, str]], width: int) -> str:
    lines = []
    for purpose, command in examples:
        lines += [f"  # {purpose}", *_wrap_command(command, width - 2)]
    return "\n".join(lines) + "\n"


def _wrap_command(command: str, width: int) -> list[str]:
    """A command on several lines as a shell reads it, broken before options, long values on a line of their own."""
    lines = ["  "]
    for piece in re.split(r" (?=--|\S+=')", command):
        if len(lines[-1]) + len(piece) >= width and lines[-1].strip():
            lines[-1] += "\\"
            lines.append("      ")
        lines[-1] += piece + " "
    return [line.rstrip() for line in lines]


def expand_arguments(params: Sequence[click.Parameter], arguments: Sequence[str]) -> list[str]:
    """Write ``--inputs a=1 b=2`` as ``--inputs a=1 --inputs b=2`` and complete abbreviated option names.

    A value that looks like an option ends the list. In a command that also takes bare arguments only
    ``key=value`` continues it, so that run names after it stay run names.

    Args:
        params: Parameters of the command.
        arguments: As they stand on the command line.
    """
    options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
    has_bare_arguments = any(isinstance(param, click.Argument) for param in params)
    expanded: list[str] = []
    flag: str | None = None
    n_values = 0
    for position, argument in enumerate(arguments):
        if argument == "--":
            pending = _bare_flag(flag, options[flag]) if flag is not None and n_values == 0 else []
            return expanded + pending + list(arguments[position:])
        is_value = not argument.startswith("-") or argument == "-"
        if flag is not None and is_value and (n_values == 0 or "=" in argument or not has_bare_arguments):
            expanded += [flag, argument]
            n_values += 1
            continue
        if flag is not None and n_values == 0:
            expanded += _bare_flag(flag, options[flag])
        flag = None
        name = argument if is_value else complete_option(argument, options)
        option = options.get(name)
        if isinstance(option, ManyValues):
            flag, n_values = name, 0
        else:
            expanded.append(name)
    if flag is not None and n_values == 0:
        expanded += _bare_flag(flag, options[flag])
    return expanded


def _bare_flag(flag: str, option: click.Option) -> list[str]:
    may_be_empty = isinstance(option, ManyValues) and option.may_be_empty
    return [flag, ""] if may_be_empty else [flag]


def complete_option(argument: str, options: Mapping[str, click.Option]) -> str:
    """The full option name where ``argument`` is the beginning of exactly one, else ``argument``."""
    name, equals, value = argument.partition("=")
    if not name.startswith("--") or name in options:
        return argument
    found = [option for option in options if option.startswith(name)]
    return found[0] + equals + value if len(found) == 1 else argument


def strip_quotes(text: str) -> str:
    """``text`` without one surrounding pair of quotes, which some shells leave in place; as in ``pf``."""
    for quote in "\"'":
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            return text[1:-1]
    return text


def split_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Names given one per flag, or several with commas between them."""
    return tuple(name for text in texts for part in text.split(",") if (name := strip_quotes(part.strip())))


def parse_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` texts; values are always strings.

    Raises:
        UsageError: C507 for a text without ``=`` or without a key.
    """
    pairs = {}
    for text in texts:
        key, equals, value = strip_quotes(text).partition("=")
        if not equals or not key:
            fail_usage(
                f"{option} takes key=value pairs; one of its values is not.", f"Write {option} name=value."
            )
        pairs[key] = strip_quotes(value)
    return pairs


def read_pairs(context: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Callback of an option that takes ``key=value`` pairs."""
    return parse_pairs(param.opts[0], [value for value in values if value])


def unquote(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Callback of an option whose value shells may leave quoted, e.g. ``'${node.variant}'``."""
    return None if value is None else strip_quotes(value)


def path_option(*names: str, help: str, **attributes: Any) -> Callable[..., Any]:  # noqa: A002 - click's word
    """An option that names a file or folder; whether it exists is checked where it is used."""
    return click.option(*names, type=click.Path(path_type=Path), metavar="PATH", help=help, **attributes)


def pairs_option(*names: str, help: str, **attributes: Any) -> Callable[..., Any]:  # noqa: A002 - click's word
    """An option that takes ``key=value`` pairs, several after one flag."""
    attributes = {"metavar": "KEY=VALUE...", "callback": read_pairs, "cls": ManyValues, **attributes}
    return click.option(*names, multiple=True, help=help, **attributes)


def environment_option() -> Callable[[Any], Any]:
    """``--env``: which overlay of the experiment file counts."""
    return click.option(
        "--env", "environment", metavar="NAME", help="Lay experiment.NAME.yaml over the experiment file."
    )


def evaluators_option(**attributes: Any) -> Callable[[Any], Any]:
    """``--evaluator``: what judges answers."""
    return click.option(
        "--evaluator",
        "evaluators",
        multiple=True,
        metavar="NAME",
        help="Built-in evaluator, flow, FILE.py:NAME or MODULE:NAME; may be repeated.",
        **attributes,
    )


def judges_option() -> Callable[[Any], Any]:
    """``--judge``: the models that graders ask."""
    return click.option(
        "--judge",
        "judges",
        multiple=True,
        metavar="MODEL",
        help="CONNECTION/MODEL that the graders ask; repeated, a panel.",
    )


def all_options(*options: Decorator) -> Decorator:
    """Several options as one decorator; help shows them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def init_option() -> Callable[[Any], Any]:
    """``--init``: what the class of a flex flow is made with."""
    return click.option(
        "--init",
        cls=ManyValues,
        multiple=True,
        metavar="KEY=VALUE...",
        help="What the class of a flex flow is made with, or one .json file.",
    )


def variables_option() -> Callable[..., Any]:
    """``--environment-variables`` as texts, for :func:`headrace.cli.inputs.read_variables`."""
    return click.option(
        "--environment-variables",
        cls=ManyValuesOrNone,
        multiple=True,
        metavar="KEY=VALUE...",
        help="Set these for the flow's tools, or read a .env file; the bare flag takes the nearest .env.",
    )


def cache_option() -> Callable[[Any], Any]:
    """``--cache/--no-cache``: whether results of nodes are used again; ``None`` when it is not given."""
    return click.option(
        "--cache/--no-cache",
        default=None,
        help="Use results of nodes again where the same was done before, or call every node.",
    )


def form_option(*choices: str, help: str) -> Callable[..., Any]:  # noqa: A002 - click's word
    """``-o/--output``: in which form results are printed; the command's parameter is called ``form``."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(choices), metavar="|".join(choices), help=help
    )


def choose_form(form: str | None, session: Session) -> str:
    """The form that was asked for, else a table for a person and JSON for a program."""
    return form or ("table" if session.terminal.has_tty_out else "json")


def run_name_option(help: str = "The run.") -> Callable[..., Any]:  # noqa: A002 - click's word
    """``-n/--name`` of a run that exists."""
    return click.option("-n", "--name", required=True, metavar="RUN", help=help)


def yes_option(help: str = "Do not ask.") -> Callable[..., Any]:  # noqa: A002 - click's word
    """``-y/--yes``."""
    return click.option("-y", "--yes", "--assume-yes", "yes", is_flag=True, help=help)


def limit_options(default: int) -> Callable[..., Any]:
    """``-r/--max-results`` and ``--all-results``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option("--all-results", is_flag=True, help="All of them.")(function)
        return click.option(
            "-r",
            "--max-results",
            type=click.IntRange(min=1),
            default=default,
            metavar="N",
            help=f"At most N of them; default {default}.",
        )(function)

    return decorate


def nearest_option(name: str, context: click.Context) -> str | None:
    """The option closest to ``name`` of the command that ``context`` is about."""
    params = context.command.get_params(context)
    known = [option for param in params for option in param.opts if option.startswith("--")]
    return nearest(name, known)
