from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace import __version__
from headrace.cli import tree
from headrace.cli.absent import ABSENT
from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line with one more command, ``fail``; returns exit code, output and error output."""
    place = tree.Place(help="Fail.", module="tests.support.failing_command")
    monkeypatch.setattr(tree, "TREE", {**tree.TREE, "fail": place})

    def call(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        code = run_command_line(arguments, Session(tmp_path, environment or {}))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("definition", 3),
        ("usage", 2),
        ("execution", 1),
        ("remote", 4),
        ("state", 5),
        ("interrupt", 130),
        ("abort", 130),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(run: Call, how: str, code: int) -> None:
    got, out, err = run("fail", how)
    assert got == code
    assert out == ""
    assert "Traceback" not in err
    assert ("error[E608 interrupted]" if code == 130 else "gone.yaml:1:1: error[F002 yaml-syntax]") in err


def test_several_problems_are_counted_at_the_end(run: Call) -> None:
    assert run("fail", "definition")[2].endswith("\n\n2 errors\n")
    assert "1 error" not in run("fail", "usage")[2]


def test_the_error_that_ends_a_command_is_written_as_json_where_prompt_flows_variable_asks_for_it(
    run: Call,
) -> None:
    variables = {"PROMPTFLOW_STRUCTURE_EXCEPTION_OUTPUT": "true"}
    _, out, err = run("fail", "definition", "--debug", environment=variables)
    (line,) = [line for line in err.splitlines() if line.startswith("{")]
    info = json.loads(line)
    assert (out, info["code"], info["command"]) == ("", "UserError", "headrace fail definition")
    assert info["message"] in err.replace(line, "")
    assert "{" not in run("fail", "definition")[2]


def test_debug_shows_the_cause(run: Call) -> None:
    assert "ValueError: the cause" not in run("fail", "definition")[2]
    assert "ValueError: the cause" in run("fail", "definition", "--debug")[2]
    assert "ValueError: the cause" in run("-d", "fail", "definition")[2]


def test_an_interrupt_names_the_run_that_was_going_on(run: Call) -> None:
    err = run("fail", "interrupt", "--run", "nightly")[2]
    assert "lines of run nightly that were finished are recorded" in err
    assert "headrace run resume --name nightly" in err


def test_a_bug_becomes_a_report(run: Call) -> None:
    code, out, err = run("fail", "bug")
    assert code == ExitCode.CRASH
    assert out == ""
    assert "not your fault" in err
    assert "ZeroDivisionError" not in err
    found = re.search(r"written to (\S+\.txt)\.", err)
    assert found is not None
    report = Path(found[1])
    assert "ZeroDivisionError" in report.read_text(encoding="utf-8")
    report.unlink()


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (("flwo",), 'headrace has no command "flwo".', "Did you mean headrace flow?"),
        (("validate",), 'headrace has no command "validate".', "Did you mean headrace flow validate?"),
        (("flow", "tets"), 'headrace flow has no command "tets".', "Did you mean headrace flow test?"),
        (("xyz",), 'headrace has no command "xyz".', "headrace --help lists the commands."),
        (("flow", "test", "--flw", "x"), "headrace flow test has no option --flw.", "Did you mean --flow?"),
        (("flow", "test"), "headrace flow test needs --flow.", "headrace flow test --help"),
        (("flow", "test", "--flow"), "headrace flow test: Option '--flow' requires an argument.", "--help"),
        (("--colour",), "headrace has no option --colour.", "--no-color"),
        (("fail", "x"), "headrace fail: Invalid value for", "headrace fail --help"),
        (("fail",), "headrace fail needs HOW.", "headrace fail --help"),
    ],
)
def test_a_wrong_call_is_answered_with_the_nearest_right_one(
    run: Call, arguments: tuple[str, ...], what: str, fix: str
) -> None:
    code, out, err = run(*arguments)
    assert code == ExitCode.USAGE
    assert out == ""
    assert err.startswith("error[C507 bad-option]\n")
    assert what in err
    assert fix in err


def test_the_help_lists_commands_under_titles_that_say_what_they_are_for(run: Call) -> None:
    _, out, _ = run("--help")
    assert re.search(r"^Move projects from prompt flow:\n  doctor .*\n(.*\n)?  certify ", out, re.MULTILINE)
    assert re.search(r"^Decide between arms:\n  compare ", out, re.MULTILINE)
    titles = re.findall(r"^\S.*:$", out, re.MULTILINE)
    assert len(titles) == len(set(titles))


def test_a_refusal_of_the_operating_system_is_no_crash(run: Call) -> None:
    code, _, err = run("--debug", "fail", "refusal")
    assert code == ExitCode.STATE
    assert "error[S817 refused-by-system]" in err
    assert "some/file: the operating system says: no space left on device." in err
    assert "Traceback" in err
    assert run("fail", "lost")[0] == ExitCode.CRASH


@pytest.mark.parametrize("path", ABSENT)
def test_what_only_pf_has_is_answered_with_what_to_use_instead(run: Call, path: str) -> None:
    code, out, err = run(*path.split())
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith(f"error[C507 bad-option]\n  headrace {path} is ")
    assert f"fix: {ABSENT[path]}" in err
    assert ABSENT[path].count(". ") == 0
    words = path.split()
    if len(words) == 1:
        assert path not in tree.TREE
        return
    here = tree.TREE[words[0]]
    assert isinstance(here, tree.Branch)
    assert words[-1] not in here.commands


def test_what_to_use_instead_of_an_absent_command_exists() -> None:
    named = {match for text in ABSENT.values() for match in re.findall(r"headrace (\w+) ([a-z-]+)", text)}
    groups = {group: item for group, item in tree.TREE.items() if isinstance(item, tree.Branch)}
    commands = {(group, verb) for group, branch in groups.items() for verb in branch.commands}
    assert {(group, verb) for group, verb in named if group in groups} <= commands
    assert {group for group, _ in named} <= set(groups)


def test_without_a_command_the_help_is_shown_as_a_wrong_call(run: Call) -> None:
    for arguments in ((), ("flow",), ("--no-color",)):
        code, out, err = run(*arguments)
        assert code == ExitCode.USAGE
        assert out == ""
        assert err.count("\n") > 2


def test_version_is_one_plain_line(run: Call) -> None:
    assert run("--version") == (0, f"headrace {__version__}\n", "")
    assert run("-v") == run("--version")


def test_a_bad_setting_stops_commands_but_not_help(run: Call, tmp_path: Path) -> None:
    bad = {"HEADRACE_MAX_CONCURRENCY": "many"}
    assert run("--help", environment=bad)[0] == 0
    code, _, err = run("run", "list", environment=bad)
    assert code == ExitCode.USAGE
    assert "error[C506 bad-setting]" in err
