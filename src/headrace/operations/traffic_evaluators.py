"""Runs an evaluator of a traffic file over logged requests, as experiments run theirs over lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.dataset import Dataset, Line, SourceLine
from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.evidence import Completion
from headrace.domain.flow import Flow
from headrace.domain.run import Cap, LineResult, Usage
from headrace.domain.traffic import OnlineEvaluator, Traffic
from headrace.engine.line import run_line
from headrace.engine.shards import PendingLine
from headrace.errors import DefinitionError, HeadraceError, Problem, raise_if_errors
from headrace.evaluation.judges.settings import is_grader
from headrace.formats.experiment_evaluators import read_evaluator
from headrace.formats.flow_file import load_flow
from headrace.formats.mapping import parse_mapping
from headrace.formats.shape import Findings
from headrace.operations.collect_scores import as_score
from headrace.operations.evaluator_flows import Offer, as_flow
from headrace.operations.judge_flows import check_judge_prices
from headrace.operations.logged_requests import LoggedRequest
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, callable_flow
from headrace.operations.run_lines import pending_line
from headrace.operations.workspace import Workspace
from headrace.planning.columns import map_lines
from headrace.source import SourceMap

_MAX_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRequest:
    """What an evaluator said of one request.

    Attributes:
        exposure: Its id.
        value: ``None`` where there is no score.
        usage: What models took for it.
        problem: Why there is none.
    """

    exposure: str
    value: float | None
    usage: Usage
    problem: Problem | None = None


def find_evaluator(workspace: Workspace, traffic: Traffic, evaluator: OnlineEvaluator) -> EvaluatorSpec:
    """An evaluator as an experiment has it; paths are relative to the traffic file.

    Raises:
        DefinitionError: What is wrong with it.
        UsageError: C507 where its cost is limited and the price of a judge is not known.
    """
    file = workspace.cwd / traffic.path
    findings = Findings(SourceMap(file=str(file), values={}, keys={}))
    spec = read_evaluator(("evaluators",), dict(evaluator.entry), findings, file)
    raise_if_errors(findings.problems)
    if spec is None:
        raise DefinitionError(*findings.problems)
    check_judge_prices((spec,), None if evaluator.max_usd is None else Cap(cost_usd=evaluator.max_usd))
    return spec


def is_free(spec: EvaluatorSpec) -> bool:
    """Whether it certainly asks no model: a built-in one that is no grader."""
    return spec.builtin is not None and not is_grader(spec.builtin)


def score_requests(
    workspace: Workspace, spec: EvaluatorSpec, requests: Sequence[LoggedRequest]
) -> tuple[ScoredRequest, ...]:
    """Judge requests, all at the same time; whatever goes wrong is said of the requests that it concerns.

    Args:
        workspace: For connections and the flows of evaluators.
        spec: The evaluator; its score is the output of its name, else its only number.
        requests: With inputs and outputs.

    Raises:
        StateError: The flow of the evaluator cannot be written.
    """
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[LoggedRequest]] = {}
    for item in requests:
        shape = tuple(item.completion.outputs or ()), tuple(item.completion.inputs or ())
        alike.setdefault(shape, []).append(item)
    scored = []
    for (outputs, columns), group in alike.items():
        try:
            with _loaded(workspace, spec, Offer(outputs=outputs, columns=columns)) as (loaded, mapping):
                lines = _lines(loaded.flow, mapping, group, columns)
                scored += asyncio.run(_score(workspace, loaded, spec.name, lines, group))
        except HeadraceError as error:
            problem = error.problems[0]
            scored += [
                ScoredRequest(exposure=item.exposure.id, value=None, usage=Usage(), problem=problem)
                for item in group
            ]
    return tuple(scored)


@contextmanager
def _loaded(
    workspace: Workspace, spec: EvaluatorSpec, offer: Offer
) -> Iterator[tuple[LoadedFlow, Mapping[str, Any]]]:
    ready = as_flow(workspace, spec, offer)
    with callable_flow(workspace, load_flow(Path(ready.flow_path or ""))) as loaded:
        yield loaded, ready.column_mapping


def _lines(
    flow: Flow, mapping: Mapping[str, Any], group: Sequence[LoggedRequest], columns: Sequence[str]
) -> list[PendingLine]:
    """The inputs of the evaluator; ``${data.x}`` is an input of the request, as ``${run.inputs.x}`` is."""
    rows = tuple(
        Line(number=number, columns=item.completion.inputs or {}) for number, item in enumerate(group)
    )
    sources = tuple(
        SourceLine(
            number=number,
            inputs=item.completion.inputs or {},
            outputs=item.completion.outputs or {},
            facts=_facts(item.completion),
        )
        for number, item in enumerate(group)
    )
    dataset = (
        Dataset(path="live requests", lines=rows, columns=tuple(columns), digest="") if columns else None
    )
    lines, problems = map_lines(flow, parse_mapping(mapping), dataset, sources)
    raise_if_errors(problems)
    return [pending_line(flow, line) for line in lines]


def _facts(completion: Completion) -> dict[str, Any]:
    prompt, answered = completion.prompt_tokens, completion.completion_tokens
    return {
        "duration_ms": completion.latency_ms,
        "cost_usd": completion.cost_usd,
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": None if prompt is None or answered is None else prompt + answered,
    }


async def _score(
    workspace: Workspace,
    loaded: LoadedFlow,
    name: str,
    lines: Sequence[PendingLine],
    group: Sequence[LoggedRequest],
) -> list[ScoredRequest]:
    async with FlowSession(workspace, loaded, max_threads=_MAX_THREADS, attributes={}) as flow:

        async def score(line: PendingLine) -> ScoredRequest:
            exposure = group[line.line.number].exposure.id
            if line.problem is not None:
                return ScoredRequest(exposure=exposure, value=None, usage=Usage(), problem=line.problem)
            result = await run_line(flow, line.inputs, line_number=line.line.number)
            return _read(exposure, name, result)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(score(line)) for line in lines]
        return [task.result() for task in running]


def _read(exposure: str, name: str, result: LineResult) -> ScoredRequest:
    numbers = {key: score for key, value in result.outputs.items() if (score := as_score(value)) is not None}
    value = numbers.get(name)
    if value is None and len(numbers) == 1:
        value = next(iter(numbers.values()))
    return ScoredRequest(exposure=exposure, value=value, usage=result.usage, problem=result.problem)
