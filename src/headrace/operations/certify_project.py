"""Run the flows of a project here and under stock prompt flow, and say where their answers differ."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import headrace
from headrace.domain.certificate import Answer, Certificate, FlowParity, FlowWord, LineAnswers
from headrace.domain.flow import Flow
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.evaluation.parity import compare_fields, find_differences, is_failed
from headrace.formats.arms import BASELINE
from headrace.formats.flow_file import read_flow
from headrace.formats.lines import read_dataset
from headrace.formats.paths import is_folder
from headrace.operations.certify_quality import (
    PILOT_LINES,
    PILOT_REPEATS,
    AnsweredFlow,
    QualityRequest,
    judge_quality,
    plan,
    untried,
)
from headrace.operations.check_project import find_flows, project_files
from headrace.operations.read_version import flow_digest
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
        n_lines: The most lines per flow; ``None`` for all.
        repeats: How often each side answers each line.
        quality: A metric on which answers are to be no worse; ``None`` to compare the answers only.
    """

    project: Path
    python: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    n_lines: int | None = 5
    repeats: int = 1
    quality: QualityRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A flow to be tried: where, on which lines; without lines ``reason`` says why not.

    Attributes:
        rows: All columns of the lines' data.
        asks_baseline: A node calls the embedded reader.
    """

    path: str
    kind: str
    file: str
    digest: str = ""
    data: str = ""
    lines: tuple[Mapping[str, Any], ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
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
    with _copy(request.project) as mine, _copy(request.project) as other, stock:
        sides = _Sides(workspace, stock, mine, other)
        flows = tuple(_certify_flow(sides, trial, request, on_flow) for trial in trials)
    repeats = [flow.quality.repeats for flow in flows if flow.quality is not None]
    return Certificate(
        project=request.project.resolve().name,
        created_at=workspace.now(),
        ours=f"headrace {headrace.__version__}",
        theirs=f"promptflow {stock.version}",
        repeats=max(repeats, default=request.repeats),
        flows=flows,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both engines, each with a copy of the project."""

    workspace: Workspace
    stock: Stock
    mine: Path
    other: Path

    def answer(self, trial: _Trial, repeats: int) -> AnsweredFlow:
        """Let both answer the lines of a flow."""
        return AnsweredFlow(
            name=trial.path,
            path=self.mine / trial.file,
            rows=trial.rows,
            inputs=trial.lines,
            ours=_answer(self.workspace, self.mine / trial.file, trial, repeats),
            theirs=self.stock.answer(self.other / trial.file, trial.lines, repeats),
        )


def _certify_flow(
    sides: _Sides, trial: _Trial, request: CertifyRequest, on_flow: OnFlow | None
) -> FlowParity:
    quality, repeats = request.quality, request.repeats
    if not trial.lines:
        return _judge(trial, [], [])
    if quality is not None and quality.is_planned:
        try:
            trial, repeats = _planned(sides, trial, quality, on_flow)
        except HeadraceError as error:
            return replace(_untold(trial), quality=untried(quality, error.problems[0].headline()))
    if on_flow is not None:
        on_flow(trial.path, len(trial.lines))
    answered = sides.answer(trial, repeats)
    parity = _judge(trial, answered.ours, answered.theirs)
    if quality is None:
        return parity
    return replace(parity, quality=judge_quality(sides.workspace, quality, answered, repeats))


def _planned(
    sides: _Sides, trial: _Trial, quality: QualityRequest, on_flow: OnFlow | None
) -> tuple[_Trial, int]:
    """The lines and repeats that a small trial asks for; its answers do not count.

    Lines are drawn in a fixed random order, because data are often sorted.
    """
    order = list(range(len(trial.lines)))
    Random(0).shuffle(order)  # noqa: S311 - which lines, not a secret
    pilot = _only(trial, order[:PILOT_LINES])
    if on_flow is not None:
        on_flow(f"{trial.path}, trial", len(pilot.lines))
    design = plan(sides.workspace, quality, sides.answer(pilot, PILOT_REPEATS), len(order))
    return _only(trial, sorted(order[: design.n_lines])), design.repeats


def _only(trial: _Trial, numbers: Sequence[int]) -> _Trial:
    return replace(
        trial,
        lines=tuple(trial.lines[number] for number in numbers),
        rows=tuple(trial.rows[number] for number in numbers),
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
            data, rows = _lines(flow, request.data.get(item.path))
            lines = tuple(_inputs(row, flow) for row in rows)
            reason = "" if lines else "no data with its inputs; name some with --data"
            shown = data.name if data else ("its own sample" if flow.sample else "its defaults")
            trials.append(
                replace(
                    trial,
                    digest=flow_digest(flow),
                    data=shown if lines else "",
                    lines=lines[: request.n_lines],
                    rows=rows[: request.n_lines],
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
        return given, tuple(line.columns for line in read_dataset(given).lines)
    for path in _data_files(Path(flow.folder)):
        try:
            rows = tuple(line.columns for line in read_dataset(path).lines)
        except HeadraceError:
            continue
        if rows and needed <= set(rows[0]) and _inputs(rows[0], flow):
            return path, rows
    if flow.sample and needed <= set(flow.sample):
        return None, (flow.sample,)
    return None, () if needed else ({},)


def _data_files(folder: Path) -> Iterator[Path]:
    for pattern in _DATA_PATTERNS:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def _inputs(row: Mapping[str, Any], flow: Flow) -> Mapping[str, Any]:
    return {key: value for key, value in row.items() if key in flow.inputs}


@contextmanager
def _copy(project: Path) -> Iterator[Path]:
    """A copy of the project, at a path of its own, that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headrace-certify-") as name:
        target = Path(name).resolve() / (project.resolve().name or "project")
        shutil.copytree(project, target, ignore=_SKIPPED, ignore_dangling_symlinks=True)
        yield target


def _answer(workspace: Workspace, path: Path, trial: _Trial, repeats: int) -> list[list[Answer]]:
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


def _untold(trial: _Trial) -> FlowParity:
    return FlowParity(
        path=trial.path,
        kind=trial.kind,
        word="not tried",
        digest=trial.digest,
        data=trial.data,
        n_lines=len(trial.lines),
        reason=trial.reason,
    )


def _judge(trial: _Trial, ours: Sequence[Sequence[Answer]], theirs: Sequence[Sequence[Answer]]) -> FlowParity:
    parity = _untold(trial)
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
