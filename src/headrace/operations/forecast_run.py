"""Say what a run would take without making it: from an earlier run of the same flow and arm, else from its prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.domain.dataset import SourceLine
from headrace.domain.evaluation import Experiment
from headrace.domain.flow import DAG, ENDPOINT, PROMPTY
from headrace.domain.forecast import Forecast
from headrace.domain.run import COMPLETED, Run, Usage, sum_usage
from headrace.domain.tool import ToolSpec
from headrace.domain.variant import Arm
from headrace.engine.cache import Answer, Find, NodeCache
from headrace.engine.line import run_line
from headrace.engine.shards import PendingLine
from headrace.errors import HeadraceError
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import BASELINE_OUTPUTS, parse_mapping
from headrace.formats.multimedia import place_images
from headrace.formats.positions import read_text
from headrace.formats.template import load_template
from headrace.operations.cache_nodes import CachedNodes, experiment_cache
from headrace.operations.check_experiment import check_experiment
from headrace.operations.competing_flows import as_of_arm, mapping_of
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, loaded_flow
from headrace.operations.read_version import flow_digest
from headrace.operations.run_batch import (
    RunRequest,
    cached_nodes,
    check_price,
    flow_choice,
    recorded_overrides,
)
from headrace.operations.run_lines import as_source_line, make_lines, pending_line
from headrace.operations.test_flow import make_arm
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.planning.columns import map_lines
from headrace.planning.plan import Step
from headrace.tools.base import ASYNC, NodeContext

_MAX_RUNS = 500
_MAX_LINES = 200
_CHARACTERS_PER_TOKEN = 4.0
"""English text in the encodings of current models; a rule of thumb that OpenAI publishes, good to about a fifth."""


def forecast_run(workspace: Workspace, request: RunRequest, label: str | None = None) -> Forecast:
    """What ``create_run`` with the same request would take; flow, data and mapping are checked as there.

    A run over a few lines is the pilot of a run over many: the newest run of the same flow and arm is taken, one whose
    flow has not changed before others.

    Args:
        workspace: For the store.
        request: What would be run.
        label: What the forecast is called; default: the arm, else the flow.

    Raises:
        DefinitionError: Flow, data or mapping are wrong.
        UsageError: Unknown base run, variant or model; a cost is to be limited that is not known.
    """
    return _forecast_run(workspace, request, label, set())[0]


def _forecast_run(
    workspace: Workspace, request: RunRequest, label: str | None, expected: set[str]
) -> tuple[Forecast, tuple[SourceLine, ...]]:
    """The forecast, and the answers that are known already, because everything in front of them is kept.

    Args:
        workspace: For the store.
        request: What would be run.
        label: What the forecast is called.
        expected: Keys of results that are made by then, which equal calls share; grows.
    """
    request = replace(request, flow=chosen_flow(workspace, request.flow))
    arm = request.arm or make_arm(request.variant, request.model)
    dataset = read_dataset(request.data) if request.data is not None else None
    data_path = (
        request.data.resolve() if request.data is not None else None
    )  # before the flow's folder is entered
    with flow_choice(request, arm).load(workspace) as loaded:
        check_price(request.spending, loaded)
        if dataset is not None and data_path is not None:
            dataset = place_images(dataset, data_path, loaded.flow.message_format)
        lines = make_lines(
            workspace, loaded.flow, request.column_mapping, dataset, source_run=request.source_run
        )
        name = label or (arm.name if arm else loaded.flow.name)
        cached = cached_nodes(workspace, request, loaded)
        saved, answers = asyncio.run(_follow(workspace, loaded, lines, cached, expected))
        base = _find_pilot(workspace, loaded, arm, recorded_overrides(request, arm))
        if base is None:
            return _less(_from_prompts(loaded, lines, len(lines), name), saved), answers
        concurrency = request.max_concurrency or loaded.max_concurrency
        return _less(_from_run(workspace, base, loaded, len(lines), concurrency, name), saved), answers


def forecast_experiment(
    workspace: Workspace, experiment: Experiment, max_concurrency: int | None = None
) -> tuple[Forecast, ...]:
    """What every arm of an experiment would take, and what judging it would, all repeats together.

    Args:
        workspace: For the store.
        experiment: What would be run.
        max_concurrency: Lines in flight at once; ``None`` for what the flows or the settings say.

    Raises:
        DefinitionError: Flow, data, mapping or an evaluator are wrong.
        UsageError: An arm does not fit the flow.
    """
    found = []
    experiment = check_experiment(workspace, experiment, experiment.budget)
    experiment = replace(experiment, cache=experiment_cache(workspace, experiment))
    expected: set[str] = set()
    for arm in experiment.arms:
        request = RunRequest(
            cache=experiment.cache,
            flow=Path(arm.flow_path or experiment.flow_path),
            data=Path(experiment.data_path),
            column_mapping=mapping_of(experiment, arm),
            arm=arm,
            environment_variables=experiment.environment_variables,
            max_concurrency=max_concurrency,
        )
        answering, answers = _forecast_run(workspace, request, None, expected)
        found.append(_repeated(answering, experiment.repeats))
        for evaluator in as_of_arm(experiment, arm).evaluators:
            asked = replace(
                request, flow=Path(evaluator.flow_path or ""), column_mapping=evaluator.column_mapping
            )
            label = f"{arm.name}, {evaluator.name}"
            judging = _forecast_evaluator(workspace, asked, answers, answering.n_lines, expected)
            found.append(_repeated(replace(judging, label=label), experiment.repeats))
    return tuple(found)


def _forecast_evaluator(
    workspace: Workspace,
    request: RunRequest,
    answers: Collection[SourceLine],
    n_lines: int,
    expected: set[str],
) -> Forecast:
    """What judging takes: of answers that are known already it may be kept, all others are judged anew."""
    dataset = read_dataset(request.data) if request.data is not None else None
    with loaded_flow(workspace, request.flow) as loaded:
        saved, mapping = Usage(), request.column_mapping
        if answers and not any(str(item).startswith(BASELINE_OUTPUTS) for item in mapping.values()):
            mapped, _ = map_lines(loaded.flow, parse_mapping(mapping), dataset, answers)
            lines = [pending_line(loaded.flow, line) for line in mapped]
            cached = cached_nodes(workspace, request, loaded)
            saved, _ = asyncio.run(_follow(workspace, loaded, lines, cached, expected))
        base = _find_pilot(workspace, loaded, None, {})
        if base is None:
            return _less(_from_prompts(loaded, (), n_lines, ""), saved)
        concurrency = request.max_concurrency or loaded.max_concurrency
        return _less(_from_run(workspace, base, loaded, n_lines, concurrency, ""), saved)


def _repeated(forecast: Forecast, repeats: int) -> Forecast:
    def times(value: float | None) -> float | None:
        return None if value is None else value * repeats

    return replace(
        forecast,
        n_lines=forecast.n_lines * repeats,
        calls=times(forecast.calls),
        prompt_tokens=times(forecast.prompt_tokens),
        completion_tokens=times(forecast.completion_tokens),
        cost_usd=times(forecast.cost_usd),
        duration_s=times(forecast.duration_s),
    )


class _Uncalled:
    """Stands for a tool whose result is not in the cache: nothing is called for a forecast."""

    mode = ASYNC

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """End the line: what follows is not known.

        Raises:
            LookupError: Always.
        """
        raise LookupError


class _Followed(NodeCache):
    """A cache in which nothing is made: it counts the calls whose results others make before.

    Attributes:
        n_shared: Those of models.
    """

    def __init__(self, cached: CachedNodes, find: Find, expected: set[str], models: Collection[str]) -> None:
        super().__init__(cached.fingerprinters, find=find, run="")
        self.n_shared = 0
        self._expected = expected
        self._models = models

    async def call(self, key: str, context: NodeContext, make: Callable[[], Awaitable[Any]]) -> Answer:
        """As of every cache, and notes a result that would be made."""
        try:
            return await super().call(key, context, make)
        except LookupError:
            self.n_shared += key in self._expected and context.node in self._models
            self._expected.add(key)
            raise


async def _follow(
    workspace: Workspace,
    loaded: LoadedFlow,
    lines: Collection[PendingLine],
    cached: CachedNodes,
    expected: set[str],
) -> tuple[Usage, tuple[SourceLine, ...]]:
    """Follow every line from one result in the cache to the next, as far as they reach.

    Returns:
        What results save that are kept, or are made by equal calls before; and the answers of lines that need no call.
    """
    if not cached.fingerprinters or not lines:
        return Usage(), ()
    types = {step.node.name: step.node.type for step in loaded.plan.steps}
    tools = {
        name: tool if types.get(name) == "prompt" else _Uncalled(tool.spec)
        for name, tool in loaded.tools.items()
    }
    step = -(-len(lines) // _MAX_LINES)
    found: list[Usage] = []
    answers: list[SourceLine] = []
    models = [name for name, kind in types.items() if kind == "llm"]
    session = FlowSession(workspace, replace(loaded, tools=tools), max_threads=1, attributes={})
    async with session as flow:
        flow.cache = followed = _Followed(cached, workspace.store.read_cached, expected, models)
        for line in islice(lines, 0, None, step):
            if line.problem is not None:
                found.append(Usage())
                continue
            result = await run_line(flow, line.inputs, line_number=line.line.number)
            found.append(sum_usage([node.saved for node in result.nodes]))
            if result.status == COMPLETED:
                answers.append(as_source_line(result))
    share = len(lines) / len(found)
    total = sum_usage(found)
    saved = Usage(
        calls=round((total.calls + followed.n_shared) * share),
        prompt_tokens=round(total.prompt_tokens * share),
        completion_tokens=round(total.completion_tokens * share),
        cost_usd=total.cost_usd * share if total.cost_usd is not None else None,
    )
    return saved, tuple(answers) if step == 1 else ()


def _less(forecast: Forecast, saved: Usage) -> Forecast:
    """The forecast without what the cache saves."""

    def less(value: float | None, part: float | None) -> float | None:
        return None if value is None or part is None else max(0.0, value - part)

    if not saved.calls:
        return forecast
    calls = less(forecast.calls, saved.calls)
    share = calls / forecast.calls if calls is not None and forecast.calls else None
    is_free = calls == 0
    return replace(
        forecast,
        calls=calls,
        cached_calls=float(saved.calls),
        prompt_tokens=0.0 if is_free else less(forecast.prompt_tokens, saved.prompt_tokens),
        completion_tokens=0.0 if is_free else less(forecast.completion_tokens, saved.completion_tokens),
        cost_usd=0.0 if is_free else less(forecast.cost_usd, saved.cost_usd),
        # Calls are what takes time; what is left of a run without any is not known.
        duration_s=forecast.duration_s * share if forecast.duration_s is not None and share else None,
    )


def _find_pilot(
    workspace: Workspace, loaded: LoadedFlow, arm: Arm | None, overrides: Mapping[str, str]
) -> Run | None:
    choices = arm.variant.choices if arm and arm.variant else {}
    variant = ",".join(f"${{{node}.{name}}}" for node, name in choices.items()) or None
    model = arm.model if arm else None
    folder = Path(loaded.flow.folder).resolve()
    found = [
        run
        for run in workspace.store.list_runs(limit=_MAX_RUNS)
        if run.n_completed
        and folder in (Path(run.spec.flow_path), Path(run.spec.flow_path).parent)
        and run.spec.flow_name == loaded.flow.name
        and (run.spec.variant, run.spec.chosen_model) == (variant, model)
        and dict(run.spec.connections) == dict(overrides)
    ]
    digest = flow_digest(loaded.flow)
    unchanged = (run for run in found if run.spec.flow_digest == digest)
    return next(unchanged, found[0] if found else None)


def _from_run(
    workspace: Workspace, base: Run, loaded: LoadedFlow, n_lines: int, concurrency: int, label: str
) -> Forecast:
    seen = list(islice(workspace.store.read_lines(base.spec.name), _MAX_LINES))
    share, usage = n_lines / (base.n_completed + base.n_failed), base.usage
    if base.spec.sources:  # with a cache: what the run took says less than what its lines take by themselves
        share, usage = n_lines / len(seen), sum_usage(line.whole_usage for line in seen)
    cost = usage.cost_usd
    if cost is None and loaded.price is not None:
        cost = loaded.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
    line_s = sum(line.whole_duration_ms for line in seen) / 1000 / len(seen)
    return Forecast(
        label=label,
        n_lines=n_lines,
        calls=usage.calls * share,
        prompt_tokens=usage.prompt_tokens * share if usage.knows_tokens else None,
        completion_tokens=usage.completion_tokens * share if usage.knows_tokens else None,
        cost_usd=cost * share if cost is not None else None if usage.calls else 0.0,
        duration_s=line_s * max(1.0, n_lines / concurrency),
        source_run=base.spec.name,
    )


def _from_prompts(loaded: LoadedFlow, lines: Iterable[PendingLine], n_lines: int, label: str) -> Forecast:
    """Count what is known before anything has run: prompts, filled with flow inputs and literals."""
    asking = [step for step in loaded.plan.steps if step.node.type == "llm"]
    calls: float | None = float(len(asking) * n_lines) if loaded.flow.kind == DAG else None
    tokens: float | None = None
    if loaded.flow.kind in (PROMPTY, ENDPOINT):
        calls = float(n_lines)
    elif calls == 0:
        tokens = 0.0
    elif calls is not None and (sample := list(islice(lines, _MAX_LINES))):
        counted = [_count_tokens(loaded, step, line.inputs) for step in asking for line in sample]
        tokens = sum(counted) / len(sample) * n_lines
    is_free = calls == 0
    return Forecast(
        label=label,
        n_lines=n_lines,
        calls=calls,
        prompt_tokens=tokens,
        completion_tokens=0.0 if is_free else None,
        cost_usd=0.0 if is_free else None,
        duration_s=None,
        source_run=None,
    )


def _count_tokens(loaded: LoadedFlow, step: Step, inputs: Mapping[str, Any]) -> float:
    path = step.node.source.path
    if path is None:
        return 0.0
    text = read_text(loaded.folder / path, path)
    try:
        text = load_template(text, path).render(dict(_known(step, inputs)))
    except HeadraceError:  # it needs what another node gives
        text = ""
    return len(text) / _CHARACTERS_PER_TOKEN


def _known(step: Step, inputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for binding in step.bindings:
        if binding.reference is None:
            yield binding.parameter, binding.literal
        elif binding.reference.kind == "input":
            yield binding.parameter, inputs.get(binding.reference.name, "")
