"""The command tree as a table: names, one-line helps and where each command is found.

Help and version are answered from this table alone; a command's module is imported when it is called. A test
compares the one-line helps with those of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import click

from headrace import __version__
from headrace.cli.absent import find_instead
from headrace.cli.options import HELP_NAMES, everywhere_options, make_form
from headrace.cli.session import fail_usage
from headrace.errors import ExitCode, nearest

COMMAND_ATTRIBUTE = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A command: its one-line help, the module that holds it, and the title of the help that lists it.

    The title counts for commands without a group; commands in a row with the same one stand together.
    """

    help: str
    module: str
    title: str = "More"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A group of commands; ``default`` names the one that is meant where none is named."""

    help: str
    commands: Mapping[str, Place]
    default: str | None = None


def _place(module: str, text: str, title: str = "More") -> Place:
    return Place(help=text, module=f"headrace.cli.commands.{module}", title=title)


_MOVING = "Move projects from prompt flow"


TREE: Mapping[str, Branch | Place] = {
    "init": _place(
        "init", "Create a project: a flow that is evaluated, gated, tested and deployed.", "Begin"
    ),
    "flow": Branch(
        help="Write, check and try out flows.",
        commands={
            "init": _place("flow_init", "Create a flow that runs, to start from."),
            "save": _place("flow_save", "Make a flex flow of a function or class that exists."),
            "validate": _place("flow_validate", "Check a flow and report every problem at once."),
            "test": _place("flow_test", "Run a flow, or one of its nodes, once."),
            "serve": _place("flow_serve", "Serve a flow over HTTP."),
            "build": _place("flow_build", "Pack a flow for a container, or to run with uvicorn alone."),
            "versions": _place("flow_versions", "List the versions of flows that were run."),
            "tag": _place("flow_tag", "Put a tag on a version of a flow."),
            "diff": _place("flow_diff", "Say what differs between two versions of a flow."),
            "show": _place("flow_show", "Show a version of a flow: its id, its files and its flow file."),
            "restore": _place("flow_restore", "Write the files of a version into a folder."),
        },
    ),
    "data": Branch(
        help="Look after versions of data, and make data of live requests.",
        commands={
            "versions": _place("data_versions", "List the versions of data that runs have read."),
            "show": _place("data_show", "Show a version of data: its id, its runs and its first lines."),
            "restore": _place("data_restore", "Write the file of a version of data."),
            "from-traffic": _place(
                "data_from_traffic", "Make data of logged live requests, for the next experiment."
            ),
            "delete": _place("data_delete", "Delete the kept file of a version of data."),
        },
    ),
    "run": Branch(
        help="Run flows over data and look at what was recorded.",
        commands={
            "create": _place("run_create", "Run a flow over every line of a data file."),
            "list": _place("run_list", "List runs, newest first."),
            "evaluate": _place("run_evaluate", "Judge the answers of a run."),
            "show": _place("run_show", "Show one run."),
            "show-details": _place("run_show_details", "Show the inputs and outputs of a run's lines."),
            "show-metrics": _place("run_show_metrics", "Show the metrics that a run logged."),
            "stream": _place("run_stream", "Show the lines of a run as they are finished."),
            "visualize": _place("run_visualize", "Show runs as a page in the browser."),
            "update": _place("run_update", "Change the title, description or tags of a run."),
            "resume": _place("run_resume", "Go on with a run that was interrupted."),
            "archive": _place("run_archive", "Leave a run out of lists."),
            "restore": _place("run_restore", "Put an archived run back on lists."),
            "trace": _place("run_trace", "Draw where the time of one line went."),
            "explain": _place("run_explain", "Say which nodes of a line were called, and what had changed."),
            "export": _place("run_export", "Write a run into a folder, laid out as pf lays out its runs."),
            "delete": _place("run_delete", "Delete a run and everything recorded with it."),
        },
    ),
    "doctor": _place(
        "doctor", "Say of every flow of a project whether it runs here, and what it needs.", _MOVING
    ),
    "certify": _place(
        "certify",
        "Run the flows of a project here and under stock prompt flow, and say where answers differ.",
        _MOVING,
    ),
    "compare": _place(
        "compare", "Race arms over the same lines and say which one to ship.", "Decide between arms"
    ),
    "gate": _place(
        "gate", "Let an arm through, or hold it back, by a statistical test.", "Decide between arms"
    ),
    "ab": Branch(
        help="Decide between arms by live traffic.",
        commands={
            "status": _place("ab_status", "Say where an online test stands; without TEST, list the tests."),
            "decide": _place("ab_decide", "Say which arm of an online test to ship, and why."),
            "watch": _place("ab_watch", "Look at online tests again and again, and do what their rules say."),
            "check": _place("ab_check", "Check a traffic file and its arms, and say what it does."),
            "assign": _place("ab_assign", "Say which arm units get, and why."),
            "simulate": _place("ab_simulate", "Play an online test many times, and say when it decides."),
            "schema": _place("ab_schema", "Print the JSON Schema of traffic files, for editors."),
            "revisions": _place("ab_revisions", "List what moved the traffic of an online test, and why."),
            "stop": _place("ab_stop", "End an online test, or take one arm out of it."),
            "promote": _place("ab_promote", "Let an arm answer everybody, and end the test."),
            "resume": _place(
                "ab_resume", "Go on with an online test that is over, or put an arm back into it."
            ),
            "delete": _place("ab_delete", "Delete an online test and everything recorded for it."),
        },
    ),
    "evaluator": Branch(
        help="See what can judge answers.",
        commands={
            "list": _place("evaluator_list", "List the built-in evaluators."),
            "show": _place("evaluator_show", "Say what an evaluator measures, takes and gives."),
        },
    ),
    "label": Branch(
        help="Say what people think of answers, to measure and correct judges by.",
        commands={
            "take": _place("label_take", "Label answers that are drawn at random, one after the other."),
            "list": _place("label_list", "Count the labels of runs."),
            "export": _place("label_export", "Write labels, or answers to label elsewhere, into a file."),
            "import": _place("label_import", "Keep the labels of a file."),
        },
        default="take",
    ),
    "connection": Branch(
        help="Keep the addresses and keys of model services.",
        commands={
            "create": _place("connection_create", "Store a connection from a file."),
            "update": _place("connection_update", "Change fields of a stored connection."),
            "list": _place("connection_list", "List the connections that flows can use."),
            "show": _place("connection_show", "Show one connection, secrets masked."),
            "delete": _place("connection_delete", "Delete a stored connection."),
        },
    ),
    "tool": Branch(
        help="Write, list and check tools.",
        commands={
            "init": _place("tool_init", "Write a new tool to start from."),
            "list": _place("tool_list", "List the package tools that can be used, and the tools of a flow."),
            "validate": _place("tool_validate", "Check tools by themselves, without a flow."),
        },
    ),
    "experiment": Branch(
        help="Run, plan and repeat experiments; run prompt flow's chains.",
        commands={
            "run": _place("experiment_run", "Run an experiment and say which of its arms to ship."),
            "resume": _place("experiment_resume", "Go on with an experiment or a race that was interrupted."),
            "rerun": _place(
                "experiment_rerun", "Repeat an experiment from the versions that it was begun with."
            ),
            "create": _place("experiment_create", "Keep a chain of flows under a name, to start it by."),
            "list": _place(
                "experiment_list", "List experiments with arms and chains of flows, newest first."
            ),
            "show": _place(
                "experiment_show", "Show where an experiment stands, or a chain of flows and its runs."
            ),
            "start": _place("experiment_start", "Run a chain of flows over all its lines."),
            "stop": _place(
                "experiment_stop", "End a chain that runs in another terminal, after the flow that it is at."
            ),
            "test": _place("experiment_test", "Run a chain of flows once, on the first line of its data."),
            "plan": _place(
                "experiment_plan", "Say how many lines and repeats find a difference, and what they take."
            ),
            "suggest": _place(
                "experiment_suggest", "Suggest examples for a prompt, and measure what they gain."
            ),
            "import": _place(
                "experiment_import", "Turn an experiment of Microsoft's LLMOps template into ours."
            ),
            "schema": _place("experiment_schema", "Print the JSON Schema of experiment files, for editors."),
        },
    ),
    "cache": Branch(
        help="Look at the results of nodes that are kept to be used again.",
        commands={
            "show": _place("cache_show", "Show how much is kept and what it has saved."),
            "clear": _place("cache_clear", "Forget kept results; the runs stay."),
        },
    ),
    "trace": Branch(
        help="Keep the recorded spans in order.",
        commands={
            "delete": _place(
                "trace_delete", "Delete the spans of runs; the runs stay, with their lines and metrics."
            ),
        },
    ),
    "config": Branch(
        help="Read and change prompt flow's settings.",
        commands={
            "set": _place("config_set", "Change prompt flow's settings."),
            "show": _place("config_show", "Show prompt flow's settings that count in this folder."),
        },
    ),
    "serve-key": Branch(
        help="Keep the keys that callers of a served flow are known by.",
        commands={
            "create": _place(
                "serve_key_create", "Make a key for a caller of a served flow, and show it once."
            ),
            "list": _place("serve_key_list", "List the keys of a file, without the keys themselves."),
            "revoke": _place("serve_key_revoke", "Take a key out of its file."),
        },
    ),
    "deploy": Branch(
        help="Bring flows to where everybody reaches them.",
        commands={
            "plan": _place(
                "deploy_plan",
                "Say what applying a deployment file would do, and what is unsafe about it.",
            ),
            "apply": _place(
                "deploy_apply", "Make what a deployment file says, step by step; traffic moves last."
            ),
            "status": _place(
                "deploy_status",
                "Say what is deployed, who gets which share of the requests, and how the file differs.",
            ),
            "traffic": _place("deploy_traffic", "Share the requests among the deployments of an endpoint."),
            "logs": _place(
                "deploy_logs", "Show the last lines that the servers of deployments have written."
            ),
            "invoke": _place("deploy_invoke", "Ask a deployed flow, and say which deployment has answered."),
            "rollback": _place(
                "deploy_rollback",
                "Move traffic back to where it was before the last move, from whatever machine.",
            ),
            "destroy": _place(
                "deploy_destroy", "Delete an endpoint with everything behind it, or one of its deployments."
            ),
            "import": _place(
                "deploy_import", "Take over a managed online endpoint of prompt flow as a deployment file."
            ),
            "model": _place(
                "deploy_model",
                "Deploy a model in an account of Azure OpenAI or Foundry, or change its deployment.",
            ),
            "models": _place(
                "deploy_models", "List the models that are deployed in an account of Azure OpenAI or Foundry."
            ),
            "schema": _place("deploy_schema", "Print the JSON Schema of deployment files, for editors."),
        },
    ),
    "model": Branch(
        help="Offer models to other programs.",
        commands={"serve": _place("model_serve", "Serve a model on an OpenAI-compatible address.")},
    ),
}

ALIASES: Mapping[str, str] = {"dataset": "data"}
"""Another name of a group, and its name in the table."""

_PURPOSE = """\
headrace runs prompt flow projects as they are, races their arms (variants and
models) over your data, and says with statistics which arm to ship.
"""

_FIRST_STEPS = """\
  headrace init my_project                   a whole project, to start from
  headrace flow init --flow my_flow          or one flow
  headrace flow test --flow my_flow          run it once
  headrace compare experiment.yaml           race its arms, read the verdict
"""


def load_command(place: Place) -> click.Command:
    """Import the module of a command and return the command."""
    return cast("click.Command", getattr(import_module(place.module), COMMAND_ATTRIBUTE))


class Group(click.Group):
    """A group whose commands are looked up in the table."""

    def __init__(
        self,
        name: str,
        branch: Mapping[str, Branch | Place],
        help: str,  # noqa: A002 - click's word
        default: str | None = None,
    ) -> None:
        super().__init__(name, help=help, context_settings=HELP_NAMES, subcommand_metavar="COMMAND [OPTIONS]")
        self.branch = branch
        self.default = default
        self.params += everywhere_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; without a command, say which there are and end as a wrong call."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(int(ExitCode.USAGE))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.branch)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group or the command of that name, imported now."""
        found = self.branch.get(ALIASES.get(cmd_name, cmd_name))
        if isinstance(found, Branch):
            return Group(cmd_name, found.commands, found.help, found.default)
        return load_command(found) if found else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` name.

        Raises:
            UsageError: C507 for a name that is not in the table, with the nearest one, or for a command of ``pf`` with
                what to use instead.
        """
        name = args[0]
        if name in ALIASES:
            name = ALIASES[name]
            args = [name, *args[1:]]
        if name not in self.branch and self.default is not None:
            args = [self.default, *args]
            name = self.default
        if name not in self.branch and not name.startswith("-") and not ctx.resilient_parsing:
            instead = find_instead(ctx.command_path, name)
            if instead:
                fail_usage(
                    f"{ctx.command_path} {name} is a command of pf that headrace does not have yet.", instead
                )
            fail_usage(
                f'{ctx.command_path} has no command "{name}".',
                _suggest_command(name, self.branch, ctx.command_path),
            )
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The help text, made from the table alone."""
        form = make_form(ctx)
        form.write((self.help or "").rstrip() + "\n")
        if ctx.parent is None:
            with form.section("Start here"):
                form.write(_FIRST_STEPS)
        form.write_paragraph()
        form.write_usage(ctx.command_path, "COMMAND [OPTIONS]", prefix="Usage: ")
        for title, rows in self._sections():
            with form.section(title):
                form.write_dl(rows)
        options = [
            record for record in (param.get_help_record(ctx) for param in self.get_params(ctx)) if record
        ]
        with form.section("Options"):
            form.write_dl(options)
        form.write(f"\n{ctx.command_path} COMMAND --help shows a command's options and examples.\n")
        return form.getvalue().strip("\n")

    def _sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The commands below this group, groups spelled out."""
        if not any(isinstance(item, Branch) for item in self.branch.values()):
            return [("Commands", [(name, item.help) for name, item in self.branch.items()])]
        sections: list[tuple[str, list[tuple[str, str]]]] = []
        for name, item in self.branch.items():
            if isinstance(item, Branch):
                rows = [(f"{name} {verb}", place.help) for verb, place in item.commands.items()]
                sections.append((item.help.rstrip("."), rows))
            elif sections and sections[-1][0] == item.title:
                sections[-1][1].append((name, item.help))
            else:
                sections.append((item.title, [(name, item.help)]))
        return sections


def _suggest_command(name: str, branch: Mapping[str, Branch | Place], path: str) -> str:
    close = nearest(name, list(branch))
    if close:
        return f"Did you mean {path} {close}?"
    for group, item in branch.items():
        if isinstance(item, Branch):
            close = nearest(name, list(item.commands))
            if close:
                return f"Did you mean {path} {group} {close}?"
    return f"{path} --help lists the commands."


def build_root() -> Group:
    """The ``headrace`` command."""
    root = Group("headrace", TREE, _PURPOSE)
    root.params.append(
        click.Option(
            ["-v", "--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Print the version.",
        )
    )
    return root


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value and not context.resilient_parsing:
        click.echo(f"headrace {__version__}")
        context.exit()
