"""What in a project depends on the retiring prompt flow service, and what to do about it.

The service ends in April 2027 with everything that lives in it: cloud runs, workspace connections, runtime images
and the packages made for them. The rules look at single lines of text, at imports and at ids of package tools; all
are pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from headrace.errors import Problem
from headrace.source import Span

CODE = frozenset((".py", ".ipynb"))
SCRIPTS = frozenset((".sh", ".bash", ".ps1", ".bat", ".cmd", ".yml", ".yaml", ".mk", ".toml", ""))
"""Suffixes of files with commands; a Dockerfile and a Makefile have none."""
SETTINGS = frozenset((".yml", ".yaml", ".json", ".env", ".toml", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One sign of dependence in a line of text.

    Attributes:
        suffixes: Files in which it means something.
        pattern: What the line holds.
    """

    code: str
    suffixes: frozenset[str]
    pattern: re.Pattern[str]
    what: str
    fix: str


_LINE_RULES = (
    Rule(
        code="M001",
        suffixes=SCRIPTS | CODE,
        pattern=re.compile(r"\bpfazure\s+(?:flow|run|config)\b[^\n\"']*"),
        what="A command of pfazure runs flows in the retiring service.",
        fix="Run it here: headrace takes the same verbs and flags (headrace run create, flow test …).",
    ),
    Rule(
        code="M002",
        suffixes=frozenset((".ipynb",)),
        pattern=re.compile(r"(?:from|import)\s+promptflow\.azure\b"),
        what="promptflow.azure talks to the retiring service.",
        fix="Use promptflow.client.PFClient, which headrace serves, and keep the data in files.",
    ),
    Rule(
        code="M003",
        suffixes=SETTINGS | CODE,
        pattern=re.compile(
            r"(?:connection\.provider[\"']?|PF_CONNECTION_PROVIDER|PROMPTFLOW_CONNECTION_PROVIDER)"
            r"[\"']?\s*[=:,]\s*[\"']?azureml\S*"
            r"|^(?:\s*connection\s*:\s*\{\s*|\s+)provider\s*:\s*[\"']?azureml\b[^\s}]*"  # nested, in pf.yaml
        ),
        what="Connections are read from a workspace of the retiring service.",
        fix="headrace reads them there too, with the extra azure. To depend on nothing, keep them in files: headrace "
        "connection create --file FILE, with ${env:NAME}, ${keyvault:…} or Entra ID for the keys.",
    ),
    Rule(
        code="M003",
        suffixes=SETTINGS | CODE,
        pattern=re.compile(r"azureml://\S*/connections/\S+"),
        what="A connection is named by its address in a workspace of the retiring service.",
        fix="headrace looks it up there too, with the extra azure. To depend on nothing, make a connection file and "
        "name that connection.",
    ),
    Rule(
        code="M005",
        suffixes=SETTINGS | SCRIPTS | CODE,
        pattern=re.compile(r"mcr\.microsoft\.com/azureml/promptflow/\S+"),
        what="The image of the prompt flow runtime is retired with the service.",
        fix="Build on a plain Python image and install headrace: headrace flow build writes such a Dockerfile, and "
        "headrace deploy import takes over the endpoint of a deployment file that names the image.",
    ),
    Rule(
        code="M008",
        suffixes=SCRIPTS,
        pattern=re.compile(r"(?<![\w./-])pf\s+(?:flow|run|connection|tool|config|service|upgrade)\b[^\n]*"),
        what="A command of stock prompt flow, whose development has ended.",
        fix="Write headrace for pf: the verbs and flags are the same.",
    ),
)
_RUN_FILE_RULES = (
    Rule(
        code="M004",
        suffixes=frozenset((".yml", ".yaml")),
        pattern=re.compile(r"^(?:resources|identity|runtime)\s*:.*"),
        what="This run file asks for machines of the retiring service.",
        fix="Leave the key away; headrace runs where it is started.",
    ),
    Rule(
        code="M004",
        suffixes=frozenset((".yml", ".yaml")),
        pattern=re.compile(r"^data\s*:\s*[\"']?azureml:\S+"),
        what="This run file reads data that is kept in a workspace of the service.",
        fix="Download the data and name the file.",
    ),
    Rule(
        code="M004",
        suffixes=frozenset((".yml", ".yaml")),
        pattern=re.compile(r"^(?:flow|run)\s*:\s*[\"']?azureml:\S+"),
        what="This run file names a flow or a run that is kept in a workspace of the service.",
        fix="Download the flow and name its folder; take over the run with: headrace run create --source FOLDER",
    ),
)
_RUN_FILE = re.compile(r"^flow\s*:", re.MULTILINE)
_REQUIREMENT = re.compile(
    r"^\s*(promptflow(?:[-_](?:core|devkit|azure|tracing|tools|vectordb|rag))?)\b(?!\.)[^#\n]*", re.I
)
_RETIRED_REQUIREMENTS = ("promptflow-azure", "promptflow-vectordb", "promptflow-rag")
_LOOKUP_FIX = (
    "Search the index in a Python node with its own client, such as azure-search-documents; where the node's output "
    "keeps its form, the other nodes stay as they are."
)
RETIRED_TOOLS: Mapping[str, str] = {
    "promptflow_vectordb": _LOOKUP_FIX,
    "promptflow.vectordb": _LOOKUP_FIX,
    "embeddingstore": _LOOKUP_FIX,
    "pfazuredb": "Ask the database in a Python node with its own client.",
    "promptflow_rag": _LOOKUP_FIX,
    "promptflow.tools.open_source_llm": "Use promptflow.tools.open_model_llm.OpenModelLLM.call, or an llm node.",
}
"""First words of ids of package tools whose package is private to the service or withdrawn → what to do."""


def line_problems(text: str, file: str, suffix: str) -> Iterator[Problem]:
    """Signs of dependence in the lines of a file.

    Args:
        text: Its content.
        file: As the user would name it.
        suffix: With its dot, in lower case; empty for files such as a Dockerfile.
    """
    rules = [rule for rule in _LINE_RULES if suffix in rule.suffixes]
    if suffix in (".yml", ".yaml") and _RUN_FILE.search(text):
        rules += _RUN_FILE_RULES
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            continue
        for rule in rules:
            found = rule.pattern.search(line)
            if found:
                yield _warning(rule.code, rule.what, rule.fix, _place(file, number, found))


def requirement_problems(text: str, file: str) -> Iterator[Problem]:
    """Packages of prompt flow among the requirements of a project."""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _REQUIREMENT.match(line)
        if not found:
            continue
        name = found[1].lower().replace("_", "-")
        span = _place(file, number, found)
        if name in _RETIRED_REQUIREMENTS:
            what = f"The requirement {name} is a client of the retiring service."
            yield _warning("M002", what, "Remove it together with the code that uses it.", span)
        else:
            what = f"The requirement {name} is stock prompt flow, whose development has ended."
            fix = "headrace serves its names itself: the line may go; while it stays, headrace still takes its own."
            yield _warning("M009", what, fix, span)


def import_problem(
    module: str, names: Collection[str], span: Span, served: Mapping[str, Mapping[str, str]]
) -> Problem | None:
    """What an import of a promptflow module means here; ``None`` for a public name that headrace serves.

    Args:
        module: Full name of the module.
        names: What is taken from it.
        span: Where.
        served: Module to the names that headrace serves of it.
    """
    if module.split(".")[:2] == ["promptflow", "azure"]:
        what = f"{module} talks to the retiring service."
        fix = "Use promptflow.client.PFClient, which headrace serves, and keep the data in files."
        return Problem(code="M002", what=what, span=span, fix=fix)
    missing = [name for name in names if name != "*" and not _is_served(module, name, served)]
    if missing or (not names and module not in served):
        shown = f"{module}.{missing[0]}" if missing else module
        what = f"{shown} is not among the names that headrace serves."
        return Problem(
            code="M006",
            what=what,
            span=span,
            fix="Use a public name of promptflow instead, or remove the import.",
        )
    if any(part.startswith("_") for part in module.split(".")):
        what = f"{module} is private to prompt flow; headrace serves this name, other versions of prompt flow may not."
        return _warning(
            "M006", what, "Import it from promptflow.core, .client, .tracing or .connections.", span
        )
    return None


def _is_served(module: str, name: str, served: Mapping[str, Mapping[str, str]]) -> bool:
    return name in served.get(module, ()) or f"{module}.{name}" in served


def tool_problem(tool_id: str, node: str, span: Span) -> Problem | None:
    """M007 for a package tool that lives in the retiring service; ``None`` for any other."""
    fix = retired_tool_fix(tool_id)
    if fix is None:
        return None
    what = (
        f"The node {node!r} uses the package tool {tool_id}, whose package belongs to the retiring service."
    )
    return Problem(code="M007", what=what, span=span, fix=fix)


def retired_tool_fix(tool_id: str) -> str | None:
    """What to do about a package tool that lives in the retiring service; ``None`` for any other."""
    found = (
        fix for start, fix in RETIRED_TOOLS.items() if tool_id == start or tool_id.startswith(start + ".")
    )
    return next(found, None)


def _warning(code: str, what: str, fix: str, span: Span) -> Problem:
    return Problem(code=code, what=what, span=span, fix=fix, severity="warning")


def _place(file: str, number: int, found: re.Match[str]) -> Span:
    end = found.start() + len(found.group().rstrip())
    return Span(file=file, line=number, column=found.start() + 1, end_line=number, end_column=end + 1)
