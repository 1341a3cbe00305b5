"""Run the flows of a project here and under stock prompt flow, and say where their answers differ."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import headrace
from headrace.domain.certificate import Answer, Certificate, FlowParity, FlowWord, LineAnswers
from headrace.domain.flow import Flow
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.evaluation.parity import compare_fields, find_differences, is_failed
from headrace.formats.arms import BASELINE
from headrace.formats.digest import flow_digest
from headrace.formats.flow_file import read_flow
from headrace.formats.lines import read_dataset
from headrace.formats.paths import is_folder
from headrace.operations.check_project import find_flows, project_files
from headrace.operations.run_stock import Stock
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import Workspace
from headrace.tools.output import hidden_output

_DATA_PATTERNS = (
    "data.jsonl",
    "inputs.jsonl",
    "samples.json",
    "*.jsonl",
    "data/*.jsonl",
    "data/*.csv",
    "*.csv",
)
_SKIPPED = shutil.ignore_patterns(
    ".git", ".headrace", ".promptflow", ".runs", ".venv*", "venv", "__pycache__", "node_modules"
)
OnFlow = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyRequest:
    """What ``headrace certify`` was asked for.

    Attributes:
        project: Folder of the project, or of one flow.
        python: Interpreter that has promptflow installed.
        data: Flow path in the project to the data file for it.
        n_lines: The most lines per flow.
        repeats: How often each side answers each line.
    """

    project: Path
    python: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    n_lines: int = 5
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A flow to be tried: where, on which lines; without lines ``reason`` says why not.

    Attributes:
        asks_baseline: A node calls the embedded reader.
    """

    path: str
    kind: str
    file: str
    digest: str = ""
    data: str = ""
    lines: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    asks_baseline: bool = False


def certify_project(
    workspace: Workspace, request: CertifyRequest, on_flow: OnFlow | None = None
) -> Certificate:
    """Run every flow of a project on the same lines under both engines.

    Both run in a copy of the project, so that the project stays as it is. Connections are taken from this workspace
    and given to the other engine for the time of the run; nothing of them is written.

    Args:
        workspace: For connections.
        request: What to run.
        on_flow: Hears the path of a flow and its number of lines before it runs.

    Raises:
        UsageError: F001 without such a folder, C505 when the interpreter has no promptflow, C507 for data that
            belongs to no flow.
    """
    trials = _trials(request)
    serves_baseline = any(trial.asks_baseline for trial in trials)
    stock = Stock(workspace, request.python, serves_baseline=serves_baseline)
    with _copy(request.project) as folder:
        ours = [_answer(workspace, folder / trial.file, trial, request.repeats, on_flow) for trial in trials]
    with _copy(request.project) as folder, stock:
        theirs = [stock.answer(folder / trial.file, trial.lines, request.repeats) for trial in trials]
    flows = tuple(map(_judge, trials, ours, theirs))
    return Certificate(
        project=request.project.resolve().name,
        created_at=workspace.now(),
        ours=f"headrace {headrace.__version__}",
        theirs=f"promptflow {stock.version}",
        repeats=request.repeats,
        flows=flows,
    )


def _trials(request: CertifyRequest) -> list[_Trial]:
    if not is_folder(request.project):
        what = f"There is no folder {request.project}."
        raise UsageError(Problem(code="F001", what=what, fix="Name the folder of the project."))
    found = list(find_flows(request.project, list(project_files(request.project))))
    unknown = [path for path in request.data if path not in {item.path for item in found}]
    if unknown:
        what = f"--data names {unknown[0]!r}, which is no flow of the project."
        fix = f"Flows: {', '.join(item.path for item in found) or 'none'}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    trials = []
    for item in found:
        flow, problems = read_flow(item.file)
        trial = _Trial(path=item.path, kind=item.kind, file=str(item.file.relative_to(request.project)))
        if flow is None:
            trials.append(replace(trial, reason=problems[0].headline() if problems else "it cannot be read"))
        else:
            data, lines = _lines(flow, request.data.get(item.path))
            reason = "" if lines else "no data with its inputs; name some with --data"
            shown = data.name if data else ("its own sample" if flow.sample else "its defaults")
            trials.append(
                replace(
                    trial,
                    digest=flow_digest(flow),
                    data=shown if lines else "",
                    lines=lines[: request.n_lines],
                    reason=reason,
                    asks_baseline=any(
                        BASELINE in (node.connection, *node.inputs.values()) for node in flow.nodes
                    ),
                )
            )
    return trials


def _lines(flow: Flow, given: Path | None) -> tuple[Path | None, tuple[Mapping[str, Any], ...]]:
    """The lines to run: given data, else data beside the flow that has its inputs, else its sample or defaults."""
    needed = {name for name, declared in flow.inputs.items() if not declared.has_default}
    if given is not None:
        return given, _columns(given, flow)
    for path in _data_files(Path(flow.folder)):
        try:
            lines = _columns(path, flow)
        except HeadraceError:
            continue
        if lines and needed <= set(lines[0]) and lines[0]:
            return path, lines
    if flow.sample and needed <= set(flow.sample):
        return None, (flow.sample,)
    return None, () if needed else ({},)


def _data_files(folder: Path) -> Iterator[Path]:
    for pattern in _DATA_PATTERNS:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def _columns(path: Path, flow: Flow) -> tuple[Mapping[str, Any], ...]:
    lines = read_dataset(path).lines
    return tuple({key: value for key, value in line.columns.items() if key in flow.inputs} for line in lines)


@contextmanager
def _copy(project: Path) -> Iterator[Path]:
    """A copy of the project, at a path of its own, that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headrace-certify-") as name:
        target = Path(name).resolve() / (project.resolve().name or "project")
        shutil.copytree(project, target, ignore=_SKIPPED, ignore_dangling_symlinks=True)
        yield target


def _answer(
    workspace: Workspace, path: Path, trial: _Trial, repeats: int, on_flow: OnFlow | None
) -> list[list[Answer]]:
    if trial.lines and on_flow is not None:
        on_flow(trial.path, len(trial.lines))
    with hidden_output():
        return [[_answer_once(workspace, path, line) for _ in range(repeats)] for line in trial.lines]


def _answer_once(workspace: Workspace, path: Path, line: Mapping[str, Any]) -> Answer:
    try:
        result = run_test(workspace, TestRequest(flow=path, inputs=line))
    except HeadraceError as error:
        return Answer(error=error.problems[0].headline())
    if result.line.problem is not None:
        return Answer(error=result.line.problem.headline())
    return Answer(outputs=result.line.outputs)


def _judge(trial: _Trial, ours: Sequence[Sequence[Answer]], theirs: Sequence[Sequence[Answer]]) -> FlowParity:
    parity = FlowParity(
        path=trial.path,
        kind=trial.kind,
        word="not tried",
        digest=trial.digest,
        data=trial.data,
        n_lines=len(trial.lines),
        reason=trial.reason,
    )
    if not trial.lines:
        return parity
    lines = [
        LineAnswers(line_number=number, ours=tuple(mine), theirs=tuple(other))
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True))
    ]
    failed = [(is_failed(line.ours), is_failed(line.theirs)) for line in lines]
    fields = compare_fields(lines)
    only_ours, only_theirs = failed.count((True, False)), failed.count((False, True))
    word: FlowWord = "equal"
    if only_ours or only_theirs or any(item.word == "different" for item in fields):
        word = "different"
    elif failed.count((True, True)) == len(lines):
        word = "both failed"
    elif any(item.word == "varies" for item in fields):
        word = "varies"
    return replace(
        parity,
        word=word,
        n_both_failed=failed.count((True, True)),
        n_only_ours_failed=only_ours,
        n_only_theirs_failed=only_theirs,
        fields=fields,
        differences=find_differences(lines),
    )
