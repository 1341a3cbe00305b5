"""The command line as people meet it: the tree, its helps and examples, and what it loads to answer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from headrace.cli.main import run_command_line
from headrace.cli.options import EverywhereOption, Verb, expand_arguments
from headrace.cli.session import Session
from headrace.cli.tree import TREE, Branch, Place, build_root, load_command
from headrace.errors import ExitCode

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "init",
    "flow init", "flow save", "flow validate", "flow test", "flow serve", "flow build",
    "flow versions", "flow tag", "flow diff", "flow show", "flow restore",
    "data versions", "data show", "data restore", "data from-traffic", "data delete",
    "run create", "run list", "run evaluate", "run show", "run show-details", "run show-metrics", "run stream", "run visualize",
    "run update", "run resume", "run archive", "run restore", "run trace", "run explain", "run export", "run delete",
    "doctor", "certify",
    "compare", "gate",
    "ab status", "ab decide", "ab watch", "ab check", "ab assign", "ab simulate", "ab schema",
    "ab revisions", "ab stop", "ab promote", "ab resume", "ab delete",
    "evaluator list", "evaluator show",
    "label take", "label list", "label export", "label import",
    "connection create", "connection update", "connection list", "connection show", "connection delete",
    "tool init", "tool list", "tool validate",
    "experiment run", "experiment resume", "experiment rerun",
    "experiment create", "experiment list", "experiment show", "experiment start", "experiment stop",
    "experiment test", "experiment plan", "experiment suggest", "experiment import", "experiment schema",
    "cache show", "cache clear",
    "trace delete",
    "config set", "config show",
    "serve-key create", "serve-key list", "serve-key revoke",
    "deploy plan", "deploy apply", "deploy status", "deploy traffic", "deploy logs", "deploy invoke",
    "deploy rollback", "deploy destroy", "deploy import", "deploy model", "deploy models", "deploy schema",
    "model serve",
]  # fmt: skip
PF_OPTIONS = {
    "flow init": ["--flow", "--type", "--entry", "--function", "--prompt-template", "-y", "--yes"],
    "flow save": ["--entry", "--code", "--path"],
    "flow validate": ["--source"],
    "flow test": ["--flow", "--inputs", "--node", "--variant", "--environment-variables", "--collection",
                  "--input", "--detail", "--config"],
    "flow serve": ["--source", "--port", "--host", "--engine", "--environment-variables", "--init",
                   "--skip-open-browser"],
    "flow build": ["--source", "--output", "-f", "--format", "--variant", "--flow-only"],
    "experiment create": ["--template", "-n", "--name"],
    "experiment list": ["-r", "--max-results", "--all-results"],
    "experiment show": ["-n", "--name"],
    "experiment start": ["-n", "--name", "--template", "--inputs", "-s", "--stream"],
    "experiment stop": ["-n", "--name", "-f", "--file"],
    "experiment test": ["--template", "--inputs"],
    "trace delete": ["--run", "--collection", "--started-before", "-y", "--yes"],
    "config set": ["--path"],
    "tool init": ["--tool", "--package", "--set"],
    "tool list": ["--flow"],
    "tool validate": ["--source"],
    "run create": ["-f", "--file", "--flow", "--data", "--column-mapping", "--run", "--variant", "-n", "--name",
                   "--environment-variables", "--connections", "--set", "-s", "--stream", "--resume-from", "--source"],
    "run list": ["-r", "--max-results", "--all-results", "--archived-only", "--include-archived", "-o", "--output"],
    "run show": ["-n", "--name"],
    "run show-details": ["-n", "--name", "-r", "--max-results", "--all-results"],
    "run show-metrics": ["-n", "--name"],
    "run stream": ["-n", "--name"],
    "run visualize": ["-n", "--name", "--names", "--html-path"],
    "run update": ["-n", "--name", "--set"],
    "run archive": ["-n", "--name"],
    "run restore": ["-n", "--name"],
    "run delete": ["-n", "--name", "-y", "--yes"],
    "connection create": ["-f", "--file", "-n", "--name", "--set"],
    "connection update": ["-n", "--name", "--set"],
    "connection list": ["-r", "--max-results", "--all-results"],
    "connection show": ["-n", "--name"],
    "connection delete": ["-n", "--name"],
}  # fmt: skip

OUR_OPTIONS = {
    "run create": ["--max-concurrency", "--workers", "--on", "--cache", "--max-cost", "--max-tokens", "--events",
                   "--dry-run"],
    "run resume": ["--max-concurrency", "--workers", "--on", "--max-cost", "--max-tokens", "--events",
                   "--retry-failed"],
    "run evaluate": ["--evaluator", "--judge", "--max-concurrency", "--workers", "--on", "--max-cost", "--max-tokens", "--events"],
    "compare": ["--env", "--evaluator", "--judge", "--max-concurrency", "--workers", "--on", "--cache", "--max-cost", "--max-tokens", "--events",
                "--dry-run", "--repeats", "--again", "--race", "--race-alpha", "--race-range", "--batch", "--resume"],
    "experiment run": ["--env", "--max-concurrency", "--workers", "--on", "--cache", "--max-cost", "--max-tokens",
                       "--events", "--dry-run", "--repeats", "--race", "--race-alpha", "--race-range", "--batch"],
    "experiment resume": ["--max-concurrency", "--workers", "--on", "--max-cost", "--max-tokens", "--events"],
    "experiment rerun": ["--max-concurrency", "--workers", "--on", "--cache", "--max-cost", "--max-tokens",
                         "--events", "--dry-run"],
    "experiment show": ["-o", "--output"],
    "init": ["--name", "--flow", "--no-infra", "--no-workflows", "-y", "--yes"],
    "flow build": ["--extra", "--dry-run"],
    "experiment plan": ["--env", "--mde", "--lines", "--pilot", "--discordance", "--deviation", "--metric", "--arm",
                        "--power", "--assurance", "--repeats", "--line-cost", "-o", "--output"],
    "experiment suggest": ["--env", "--train", "--baseline", "--node", "--shots", "--candidates", "--example", "--answer",
                           "--seed", "--out", "-y", "--yes", "--max-concurrency", "--workers", "--on", "--cache", "--max-cost",
                           "--max-tokens", "--events", "-o", "--output"],
    "gate": ["--env", "--again", "--arm", "--against", "--metric", "--test", "--margin", "--limit", "--undecided",
             "--max-concurrency", "--workers", "--on", "--cache", "--max-cost", "--max-tokens", "--events", "-o",
             "--output"],
    "flow serve": ["--workers", "--reload", "--keys", "--issuer", "--audience", "--scope", "--role", "--jwks", "--no-auth", "--cors",
                   "--requests-per-minute", "--concurrent"],
    "serve-key create": ["--keys", "--days", "--requests-per-minute", "--concurrent"],
    "ab status": ["-o", "--output"],
    "ab decide": ["-o", "--output"],
    "ab watch": ["--all", "--every", "--once", "--page"],
    "ab check": ["-o", "--output"],
    "ab assign": ["--unit", "--attribute", "--revision", "-o", "--output"],
    "ab simulate": ["--scenario", "--days", "--requests-per-day", "--requests-per-unit", "--feedback-share", "--feedback-delay",
                    "--base", "--effect", "--runs", "--seed", "--every", "--planned-units", "-o", "--output"],
    "ab revisions": ["-o", "--output"],
    "ab stop": ["--arm", "--by"],
    "ab promote": ["-y", "--yes", "--by"],
    "ab resume": ["--by"],
    "ab delete": ["-y", "--yes"],
}  # fmt: skip
"""What pf does not have: how lines are run, by the same names wherever they are run."""


def _places() -> Iterator[tuple[str, Place]]:
    for name, item in TREE.items():
        if isinstance(item, Branch):
            yield from ((f"{name} {verb}", place) for verb, place in item.commands.items())
        else:
            yield name, item


PLACES = dict(_places())


def test_the_tree_is_what_it_is_known_to_be() -> None:
    assert list(PLACES) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_the_table_says_with_the_help_it_says(name: str) -> None:
    command = load_command(PLACES[name])
    assert isinstance(command, Verb)
    assert command.name == name.split()[-1]
    assert command.help is not None
    assert command.help.split("\n\n")[0] == PLACES[name].help
    assert command.get_short_help_str(limit=200) == PLACES[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for param in load_command(PLACES[name]).params:
        if isinstance(param, click.Option):
            assert param.help, f"{name} {param.opts[0]}"
            assert param.help.endswith((".", "….")), f"{name} {param.opts[0]}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_options_of_every_command(name: str) -> None:
    everywhere = [
        option
        for param in load_command(PLACES[name]).params
        if isinstance(param, EverywhereOption)
        for option in param.opts
    ]
    assert everywhere == ["-q", "--quiet", "--verbose", "-d", "--debug", "--no-color"]


@pytest.mark.parametrize(("name", "options"), [*PF_OPTIONS.items(), *OUR_OPTIONS.items()])
def test_options_of_pf_and_of_our_own_are_known(name: str, options: list[str]) -> None:
    known = {option for param in load_command(PLACES[name]).params for option in param.opts}
    assert set(options) <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_calls_that_the_command_understands(name: str) -> None:
    command = load_command(PLACES[name])
    assert isinstance(command, Verb)
    assert command.examples
    for _, example in command.examples:
        words = shlex.split(example)
        prefix = ["headrace", *name.split()]
        assert words[: len(prefix)] == prefix, example
        context = click.Context(command, info_name=name, **command.context_settings)
        parser = command.make_parser(context)
        parser.parse_args(expand_arguments(command.params, words[len(prefix) :]))


@pytest.mark.parametrize("name", ["", "flow", "run", "connection", "model", *COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_printed_and_fits(
    name: str, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*name.split(), flag], Session(tmp_path, {})) == ExitCode.OK
    out, err = capsys.readouterr()
    assert err == ""
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "Usage: " in out
    assert "\n\n\n" not in out
    if name in COMMANDS:
        assert "  " not in out.partition("Usage:")[0]


def test_the_first_help_names_every_command_and_where_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command_line(["--help"], Session(tmp_path, {}))
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +\S", out, re.MULTILINE), name
    assert "Start here" in out


def test_exit_codes_are_as_documented() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FAILED": 1, "USAGE": 2, "DEFINITION": 3, "REMOTE": 4, "STATE": 5, "UNDECIDED": 6,
        "CRASH": 70, "INTERRUPTED": 130,
    }  # fmt: skip
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {int(code)} | `{code.name}` |" in page


def _loaded_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stderr.split())


HEAVY = {
    "openai",
    "httpx2",
    "rich",
    "opentelemetry",
    "numpy",
    "starlette",
    "azure",
    "promptflow",
    "pydantic",
}


def test_help_loads_next_to_nothing() -> None:
    loaded = _loaded_after(
        "from headrace.cli.main import run_command_line\nassert run_command_line(['--help']) == 0"
    )
    heavy = {*HEAVY, "yaml", "jinja2", "asyncio", "sqlite3", "logging", "traceback", "headrace.domain"}
    assert loaded & heavy == set()
    ours = {name for name in loaded if name.startswith("headrace.cli.commands")}
    assert ours == set()


def test_a_single_test_of_a_flow_loads_nothing_heavy() -> None:
    loaded = _loaded_after("import headrace.cli.main, headrace.cli.commands.flow_test")
    assert loaded & {*HEAVY, "sqlite3", "statistics"} == set()
    assert {name for name in loaded if name.startswith("headrace.evaluation")} == set()


def test_the_root_is_called_headrace() -> None:
    assert build_root().name == "headrace"
