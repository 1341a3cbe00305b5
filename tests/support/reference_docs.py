"""Pages and parts of pages made from the code. ``python -m tests.support.reference_docs`` writes them anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.cli.terminal import Terminal
from headrace.cli.tree import TREE, Branch, Place
from headrace.codes import CATALOGUE
from headrace.codes.entry import Entry
from headrace.errors import (
    DefinitionError,
    ExecutionError,
    ExitCode,
    HeadraceError,
    RemoteError,
    StateError,
    UsageError,
)
from headrace.operations.describe_evaluators import EvaluatorDescription, list_evaluators

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

BOARD_BEGINS, BOARD_ENDS = "<!-- board: written by `make docs` -->\n", "<!-- end of board -->\n"
EVALUATORS_BEGIN = "<!-- evaluators: written by `make docs` -->\n"
EVALUATORS_END = "<!-- end of evaluators -->\n"
COMMANDS_BEGIN, COMMANDS_END = "<!-- commands: written by `make docs` -->\n", "<!-- end of commands -->\n"
_BOARD_WIDTH = 80

_FAMILIES = {
    "F": ("Formats", "Files that cannot be read as what they should be."),
    "R": ("References", "What stands between `${` and `}`, and what it leads to."),
    "T": ("Types and tools", "Values, parameters and tools that do not fit each other."),
    "V": ("Variants and arms", "What is chosen for a run or an experiment."),
    "D": ("Data and mapping", "Data files, and how their columns reach the flow's inputs."),
    "C": ("Connections and settings", "Endpoints, secrets, extras, variables and options."),
    "E": ("Execution", "What goes wrong while a flow runs."),
    "P": ("Model services", "What a model service answers, or does not."),
    "S": ("Store and files", "Runs, spans and files that headrace keeps, and addresses that it listens on."),
    "G": ("Evaluation", "Metrics and comparisons."),
    "M": (
        "Moving from prompt flow",
        "What in a project depends on the retiring service or on stock prompt flow.",
    ),
    "X": ("Deployments", "Flows that run elsewhere for everybody: their file, their plan and their target."),
}

_EXITS: tuple[tuple[ExitCode, str], ...] = (
    (ExitCode.OK, "done, and every line succeeded; an undecided comparison is a success too"),
    (ExitCode.FAILED, "it ran and something failed: a node, lines of a run, an aggregation, a gate"),
    (ExitCode.USAGE, "the request is wrong: a bad option, an unknown run, a name that is taken"),
    (
        ExitCode.DEFINITION,
        "your files are wrong: flow, template, data, mapping, connection or experiment file",
    ),
    (ExitCode.REMOTE, "a model service failed or refused"),
    (
        ExitCode.STATE,
        "the run store or a file of headrace cannot be read or written, or the operating system refuses: "
        "permissions, a full disk",
    ),
    (
        ExitCode.UNDECIDED,
        "a gate that has not failed and not passed: too few lines to tell; or something to do, with `deploy plan --exit-code`",
    ),
    (ExitCode.CRASH, "a bug of headrace; a crash report was written and its path printed"),
    (ExitCode.INTERRUPTED, "interrupted from the keyboard; lines that were finished are recorded"),
)

_ERRORS: tuple[type[HeadraceError], ...] = (
    ExecutionError,
    UsageError,
    DefinitionError,
    RemoteError,
    StateError,
)

_INTRODUCTION = """# Errors

Every problem that headrace reports has a code, says what is wrong, where it stands as file, line and column, and, where it
is known, how to fix it. Checks report all problems at once. Codes are never reused and never change their meaning. This page
is generated from the catalogue in `src/headrace/codes`.

## Exit codes

| code | name | meaning |
| --- | --- | --- |
{exits}

In a script, 0, 1 and 6 say how it went; 2 to 5 say that it could not be done as asked.

## Errors as exceptions

From Python, operations raise one exception that carries all problems in its attribute `problems`. All descend from
`HeadraceError`.

| exception | exit code |
| --- | --- |
{errors}

## How a problem is shown

In the terminal: the place as `file:line:column`, the severity (`error` or `warning`), code and name, what is wrong, the lines of
the file with a mark under the value, and the fix. `headrace flow validate` prints all findings to a program as JSON in prompt flow's
shape with code, line, column and fix added; `--output github` prints them as annotations of a pull request. Warnings alone never
change the exit code. Messages hold names, types and counts, and never the values of your inputs, prompts or secrets.
"""


def render_errors_page() -> str:
    """The text of ``docs/errors.md``."""
    exits = "\n".join(f"| {code.value} | `{code.name}` | {meaning} |" for code, meaning in _EXITS)
    errors = "\n".join(f"| `{error.__name__}` | {int(error.exit_code)} |" for error in _ERRORS)
    families = "\n".join(_family(letter, *words) for letter, words in _FAMILIES.items())
    return _INTRODUCTION.format(exits=exits, errors=errors) + "\n" + families


def _family(letter: str, title: str, words: str) -> str:
    entries = "\n".join(_entry(code, entry) for code, entry in sorted(CATALOGUE.items()) if code[0] == letter)
    return f"## {letter}: {title}\n\n{words}\n\n{entries}"


def _entry(code: str, entry: Entry) -> str:
    return f"### {code} {entry.name}\n\n{code} `{entry.name}`: {entry.title}. {entry.explanation}\n"


def render_evaluators_page(page: str) -> str:
    """The text of ``docs/evaluators.md`` with what the registry says of each evaluator.

    Args:
        page: The text, its descriptions of any age.
    """
    before, _, rest = page.partition(EVALUATORS_BEGIN)
    _, _, after = rest.partition(EVALUATORS_END)
    described = "\n".join(_evaluator(item) for item in list_evaluators() if not item.is_grader)
    return f"{before}{EVALUATORS_BEGIN}{described}{EVALUATORS_END}{after}"


def _evaluator(item: EvaluatorDescription) -> str:
    parts = [f"### {item.name}", f"{item.title} {item.note}"]
    if item.library:
        parts.append(f"Computed by the library {item.library}.")
    for title, entries in (("input", item.inputs), ("option", item.options), ("score", item.outputs)):
        if entries:
            rows = "\n".join(
                f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in entries.items()
            )
            parts.append(f"| {title} | |\n| --- | --- |\n{rows}")
    about = "<!-- part of experiment: flows/ask_docs/experiment.yaml, evaluators -->"
    parts.append(f"{about}\n```yaml\n- {item.example}\n```")
    return "\n\n".join(parts) + "\n"


def render_commands_page(page: str) -> str:
    """The text of ``docs/commands.md`` with every command of the tree and its one-line help.

    Args:
        page: The text, its list of any age.
    """
    before, _, rest = page.partition(COMMANDS_BEGIN)
    _, _, after = rest.partition(COMMANDS_END)
    rows = "\n".join(f"| `headrace {name}` | {place.help} |" for name, place in _places())
    return f"{before}{COMMANDS_BEGIN}| command | does |\n| --- | --- |\n{rows}\n{COMMANDS_END}{after}"


def _places() -> Iterator[tuple[str, Place]]:
    for name, item in TREE.items():
        if isinstance(item, Branch):
            yield from ((f"{name} {verb}", place) for verb, place in item.commands.items())
        else:
            yield name, item


def copy_project(folder: Path) -> None:
    """Copy what the commands in the pages need: the flows and the documentation that they answer from."""
    for name in ("flows", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".headrace"))
    (folder / ".headrace").mkdir()


def run_demo(folder: Path) -> str:
    """What the demo prints in a terminal of 80 columns, in ``folder``, where the project was copied to."""
    session = Session(folder, {"HOME": str(folder)})
    session.terminal = Terminal(width=_BOARD_WIDTH)
    out = StringIO()
    with chdir(folder), redirect_stdout(out):
        code = run_command_line(["compare", "flows/ask_docs/experiment.yaml", "--quiet"], session)
    if code != ExitCode.OK:
        raise RuntimeError(f"the demo ended with {code}")
    return out.getvalue()


def render_readme(readme: str, demo: str) -> str:
    """The text of ``README.md`` with verdict and first table of what the demo prints.

    Args:
        readme: The text, its board of any age.
        demo: What the demo printed.
    """
    verdict, _, table, *_ = demo.split("\n\n")
    before, _, rest = readme.partition(BOARD_BEGINS)
    _, _, after = rest.partition(BOARD_ENDS)
    return f"{before}{BOARD_BEGINS}```text\n{verdict}\n\n{table}\n```\n{BOARD_ENDS}{after}"


def write_pages() -> None:
    """Write every generated page, then the board of the demo, which answers from them."""
    (DOCS / "errors.md").write_text(render_errors_page(), encoding="utf-8")
    evaluators = DOCS / "evaluators.md"
    evaluators.write_text(render_evaluators_page(evaluators.read_text(encoding="utf-8")), encoding="utf-8")
    commands = DOCS / "commands.md"
    commands.write_text(render_commands_page(commands.read_text(encoding="utf-8")), encoding="utf-8")
    readme = ROOT / "README.md"
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy_project(folder)
        text = render_readme(readme.read_text(encoding="utf-8"), run_demo(folder))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages()
