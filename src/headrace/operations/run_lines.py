"""The lines of a run: rows of data and of an earlier run, joined and made into flow inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.domain.dataset import Dataset, LazyLines, Line, SourceLine
from headrace.domain.flow import Flow
from headrace.domain.run import COMPLETED, LineResult, Run
from headrace.engine.shards import PendingLine
from headrace.errors import DefinitionError, Problem, raise_if_errors
from headrace.formats.mapping import parse_mapping
from headrace.formats.multimedia import place_images
from headrace.operations.recorded_data import unchanged_dataset
from headrace.operations.workspace import Workspace
from headrace.planning.columns import LINE_NUMBER, map_lines
from headrace.planning.convert import make_inputs


def make_lines(
    workspace: Workspace,
    flow: Flow,
    mapping: Mapping[str, Any],
    dataset: Dataset | None,
    *,
    source_run: str | None,
    only: Collection[int] | None = None,
    source_data: Dataset | None = None,
) -> Collection[PendingLine]:
    """Every line that a run has to do; a line whose values do not fit the flow is among them, with its problem.

    Args:
        workspace: For the store, and for warnings.
        flow: Declares the inputs.
        mapping: Flow input to mapping text or literal.
        dataset: The data of the run.
        source_run: The run whose outputs are read.
        only: Numbers of the lines that are wanted; ``None`` for all.
        source_data: The data of that run, where they are read already.

    Raises:
        DefinitionError: The mapping and the data do not fit: D402, D403, D404, D406, D407.
        UsageError: S801 for an unknown run.
    """
    parsed = parse_mapping(mapping)
    source: Collection[SourceLine] | None = None
    if source_run is not None:
        base = workspace.store.read_run(source_run)
        base_data = source_data or unchanged_dataset(base.spec)
        if dataset is not None:
            _check_alignment(dataset, base, base_data)
        if base_data is not None:
            base_data = place_images(base_data, Path(base_data.path), flow.message_format)
        n_known = base.n_completed  # a server may add lines behind these meanwhile
        source = LazyLines(lambda: islice(_source_lines(workspace, base, base_data), n_known), n_known)
        source = source if only is None else tuple(source)  # read once: it is gone through twice
    elif dataset is None:
        raise DefinitionError(
            Problem(
                code="D402",
                what="A run needs data.",
                fix="Give --data FILE, or --run NAME to read a run's outputs.",
            )
        )
    if dataset is not None and source is None:
        dataset = _chosen(dataset, only)
    lines, problems = map_lines(flow, parsed, dataset, source)
    raise_if_errors(problems)
    workspace.warn(problems)
    if only is not None:
        return [pending_line(flow, line) for line in lines if line.number in only]
    return LazyLines(lambda: (pending_line(flow, line) for line in lines), len(lines))


def _chosen(dataset: Dataset, only: Collection[int] | None) -> Dataset:
    """The lines of these numbers."""
    if only is None:
        return dataset
    lines = tuple(line for line in dataset.lines if line.number in only)
    return replace(dataset, lines=lines) if lines else dataset


def pending_line(flow: Flow, line: Line) -> PendingLine:
    """A mapped line as inputs of its flow, with its problem where they do not fit."""
    inputs, problems = make_inputs(flow, line.columns, line.span)
    errors = [problem for problem in problems if problem.severity == "error"]
    unused = {name: value for name, value in line.columns.items() if name not in flow.inputs}
    return PendingLine(line=line, inputs=inputs, unused=unused, problem=errors[0] if errors else None)


def _source_lines(workspace: Workspace, base: Run, base_data: Dataset | None) -> Iterator[SourceLine]:
    """The completed lines of the base run: the data columns over the recorded inputs, which stand for changed data."""
    rows = iter(base_data.lines if base_data else ())
    row = next(rows, None)
    for result in workspace.store.read_lines(base.spec.name):
        while row is not None and row.number < result.line_number:
            row = next(rows, None)
        if result.status == COMPLETED:
            columns = row.columns if row is not None and row.number == result.line_number else {}
            yield as_source_line(result, columns)


def as_source_line(result: LineResult, columns: Mapping[str, Any] | None = None) -> SourceLine:
    """What a completed line offers to a mapping, the columns of its data over the inputs that are recorded."""
    inputs = {**result.inputs, **(columns or {})}
    return SourceLine(number=result.line_number, inputs=inputs, outputs=result.outputs, facts=_facts(result))


def _facts(result: LineResult) -> dict[str, Any]:
    """What a line took, by the names of :data:`headrace.domain.dataset.FACTS`; without calls it cost nothing."""
    usage = result.whole_usage
    return {
        "duration_ms": result.whole_duration_ms,
        "cost_usd": usage.cost_usd if usage.calls else 0.0,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "calls": usage.calls,
    }


def _check_alignment(dataset: Dataset, base: Run, base_data: Dataset | None) -> None:
    """Refuse data of another length than that of the base run: position alone would pair the wrong lines.

    Raises:
        DefinitionError: D407.
    """
    if base_data is not None:
        n_lines = len(base_data.lines)
    elif base.spec.data_path is not None and base.spec.source_run is None:
        n_lines = base.n_lines
    else:
        return
    if LINE_NUMBER in dataset.columns or len(dataset.lines) == n_lines:
        return
    raise DefinitionError(
        Problem(
            code="D407",
            what=f"The data holds {len(dataset.lines):,} lines, but the run {base.spec.name!r} was made over "
            f"{n_lines:,}, so it cannot be told which belong together.",
            span=dataset.first.span,
            fix="Give the data that the run was made with, or say in a column line_number which line each belongs to.",
        )
    )
