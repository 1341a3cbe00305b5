"""Read a whole repository: which of its flows run here, what they need, what depends on the retiring service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath

import headrace
from headrace.compat.served_names import SERVED
from headrace.domain.flow import DAG, ENDPOINT, FLEX, PROMPTY, Flow
from headrace.domain.project import FlowReport, Need, ProjectReport
from headrace.errors import Problem, UsageError, problem_from_json
from headrace.formats.flow_file import FLOW_FILE_NAMES, read_flow
from headrace.formats.paths import is_folder
from headrace.formats.python_source import read_python
from headrace.operations.project_needs import (
    connection_needs,
    package_needs,
    prompt_texts,
    python_sources,
    variable_needs,
)
from headrace.operations.workspace import Workspace
from headrace.planning.retirement import (
    RETIRED_TOOLS,
    import_problem,
    line_problems,
    requirement_problems,
    tool_problem,
)
from headrace.source import file_span

LOAD_LIMIT_S = 120.0
"""How long loading one flow's code may take."""

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "build", "dist"))
_READ_SUFFIXES = frozenset((
    ".py", ".ipynb", ".sh", ".bash", ".ps1", ".bat", ".cmd", ".yml", ".yaml", ".json", ".env", ".toml", ".mk",
    ".txt", "",
))  # fmt: skip
_HIDDEN_BUT_READ = (".github", ".azure-pipelines", ".devcontainer")
_NAMES_WITHOUT_SUFFIX = ("Dockerfile", "Makefile")
_MAX_BYTES = 1_000_000
_NEEDED = frozenset(("C503", "C505", "F014"))
"""What a missing need makes of a flow; the need says it already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFlow:
    """A flow file of a project: as it is opened, as a report names it, and its kind as far as its name tells."""

    file: Path
    path: str

    @property
    def kind(self) -> str:
        """dag, flex, prompty or endpoint."""
        if self.file.suffix == ".prompty":
            return PROMPTY
        return next((kind for kind in (FLEX, ENDPOINT) if f".{kind}." in self.file.name), DAG)


def check_project(workspace: Workspace, project: Path, *, loads_code: bool = True) -> ProjectReport:
    """Say of every flow below a folder whether it runs here, and what in the folder depends on the service.

    Nothing is run and no model is called. Flow code is imported, each flow in a process of its own, unless
    ``loads_code`` is false.

    Args:
        workspace: For connections and the environment.
        project: The folder.
        loads_code: Whether tools are imported, as running would.

    Raises:
        UsageError: F001 when there is no such folder.
    """
    if not is_folder(project):
        what = f"There is no folder {project}."
        raise UsageError(Problem(code="F001", what=what, fix="Name the folder of the project."))
    files = list(project_files(project))
    found = list(find_flows(project, files))

    def load(item: FoundFlow) -> tuple[Problem, ...]:
        return _load_alone(workspace, item) if loads_code else read_flow(item.file)[1]

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:  # each waits for a process of its own
        loaded = list(pool.map(load, found))
    # Not in the threads: Python 3.11 cannot parse Python code in several threads at once.
    flows = tuple(_report(workspace, project, *pair) for pair in zip(found, loaded, strict=True))
    problems = [problem for file in files for problem in _file_problems(project, file)]
    return ProjectReport(flows=flows, problems=tuple(problems))


def project_files(folder: Path) -> Iterator[Path]:
    """Files of a project itself: no hidden folders, environments, caches or committed runs."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            is_hidden = entry.name.startswith(".") and entry.name not in _HIDDEN_BUT_READ
            if not is_hidden and entry.name not in _SKIPPED and not (entry / "pyvenv.cfg").exists():
                yield from project_files(entry)
        elif entry.is_file():
            yield entry


def find_flows(project: Path, files: list[Path]) -> Iterator[FoundFlow]:
    """The flows among the files of a project; a folder with one flow file is named by itself."""
    for file in files:
        shown = file.relative_to(project)
        if file.name in FLOW_FILE_NAMES:
            others = [name for name in FLOW_FILE_NAMES if (file.parent / name).is_file()]
            path = shown.parent if len(others) == 1 else shown
            yield FoundFlow(file=file, path=path.as_posix())
        elif file.suffix == ".prompty":
            yield FoundFlow(file=file, path=shown.as_posix())


def _report(
    workspace: Workspace, project: Path, item: FoundFlow, problems: tuple[Problem, ...]
) -> FlowReport:
    flow, _ = read_flow(item.file)
    if flow is None:
        return FlowReport(path=item.path, kind=item.kind, problems=problems)
    needs = _needs(workspace, project, flow)
    own = (*_retired_tools(flow), *(item for item in problems if not _is_need(item, needs)))
    return FlowReport(path=item.path, kind=flow.kind, needs=needs, problems=own)


def _needs(workspace: Workspace, project: Path, flow: Flow) -> tuple[Need, ...]:
    folder = Path(flow.folder)
    root = project.resolve()
    shown = PurePath(project) / folder.relative_to(root) if folder.is_relative_to(root) else PurePath(folder)
    sources = () if flow.kind == PROMPTY else python_sources(flow, shown)
    return (
        *connection_needs(workspace, flow, sources),
        *package_needs(sources, frozenset(name.partition(".")[0] for name in SERVED)),
        *variable_needs(workspace, flow, sources, prompt_texts(flow, shown)),
    )


def _retired_tools(flow: Flow) -> Iterator[Problem]:
    for node in flow.nodes:
        place = flow.source_map.span((*node.pointer, "source", "tool"))
        problem = tool_problem(node.source.tool or "", node.name, place)
        if problem:
            yield problem


def _is_need(problem: Problem, needs: tuple[Need, ...]) -> bool:
    """Whether a problem only says that a need is not met."""
    unmet = {need.kind for need in needs if not need.is_met}
    if problem.code == "C501":  # a node that names no connection at all has to be corrected
        names = [need.name for need in needs if need.kind == "connection"]
        return any(quoted in problem.what for name in names for quoted in (f"'{name}'", f'"{name}"'))
    if problem.code in _NEEDED:
        return bool(unmet)
    if problem.code == "T207":  # M007 says more about the tools of the service
        return any(start in problem.what for start in RETIRED_TOOLS)
    return problem.code == "T206" and "package" in unmet and "ModuleNotFoundError" in problem.what


def _load_alone(workspace: Workspace, item: FoundFlow) -> tuple[Problem, ...]:
    """The problems of a flow as a process of its own finds them, its code imported."""
    # -P: the project's folder must not offer modules to headrace itself.
    command = [sys.executable, "-P", "-m", "headrace.operations.check_alone", str(item.file)]
    variables = dict(workspace.settings.environment)
    own = str(Path(headrace.__file__).parents[1])
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (own, variables.get("PYTHONPATH"))))
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command,
            cwd=workspace.cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOAD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"Loading the flow's code took longer than {LOAD_LIMIT_S:g} s and was cut."
        fix = "See what its files do when they are imported; --no-load looks at them without importing."
        return (Problem(code="E603", what=what, span=file_span(str(item.file)), fix=fix),)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return tuple(problem_from_json(data) for data in json.loads(lines[-1]))
    what = f"The flow's code ended the process with code {done.returncode} while it was loaded."
    detail = tuple(done.stderr.strip().splitlines()[-5:])
    fix = "Move what the file does when it is imported into its tool."
    return (Problem(code="T206", what=what, span=file_span(str(item.file)), fix=fix, detail=detail),)


def _file_problems(project: Path, file: Path) -> Iterator[Problem]:
    suffix = file.suffix.lower() or ("" if file.name.startswith(_NAMES_WITHOUT_SUFFIX) else "?")
    if file.name.startswith("Dockerfile."):
        suffix = ""
    if file.name == ".env":
        suffix = ".env"
    if suffix not in _READ_SUFFIXES or file.stat().st_size > _MAX_BYTES:
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    shown = str(PurePath(project) / file.relative_to(project))
    if suffix == ".txt":
        if "requirement" in file.name:
            yield from requirement_problems(text, shown)
        return
    yield from line_problems(text, shown, suffix)
    source = read_python(text, shown) if suffix == ".py" and "promptflow" in text else None
    for item in source.imports if source else ():
        if item.module.partition(".")[0] == "promptflow":
            problem = import_problem(item.module, item.names, item.span, SERVED)
            if problem:
                yield problem
