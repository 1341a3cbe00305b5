"""Say what a run would take without making it: from an earlier run of the same flow and arm, else from its prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.domain.dataset import SourceLine
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import DAG, ENDPOINT, PROMPTY
from headrace.domain.forecast import Forecast
from headrace.domain.run import LineResult, Run, Usage, sum_usage
from headrace.domain.variant import Arm
from headrace.engine.shards import PendingLine
from headrace.errors import HeadraceError
from headrace.evaluation.judges.settings import calls_per_answer, is_grader
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import BASELINE_OUTPUTS, parse_mapping
from headrace.formats.multimedia import place_images
from headrace.formats.positions import read_text
from headrace.formats.template import load_template
from headrace.operations.cache_nodes import experiment_cache
from headrace.operations.check_experiment import check_experiment
from headrace.operations.competing_flows import as_of_arm, mapping_of
from headrace.operations.follow_lines import Followed, follow_lines
from headrace.operations.prepare_flow import LoadedFlow, loaded_flow
from headrace.operations.read_version import flow_digest
from headrace.operations.run_batch import (
    RunRequest,
    cached_nodes,
    check_price,
    flow_choice,
    recorded_overrides,
)
from headrace.operations.run_lines import make_lines, pending_line
from headrace.operations.test_flow import make_arm
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.planning.columns import map_lines
from headrace.planning.plan import Step

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
        followed = asyncio.run(follow_lines(workspace, loaded, lines, cached, expected))
        base = _find_pilot(workspace, loaded, arm, recorded_overrides(request, arm))
        if base is None:
            tokens = _prompt_tokens(loaded, lines)
            forecast = _from_prompts(loaded, tokens, len(lines), name)
            return _less(forecast, followed, _from_steps(followed, tokens)), followed.answers
        concurrency = request.max_concurrency or loaded.max_concurrency
        forecast, seen = _from_run(workspace, base, loaded, len(lines), concurrency, name)
        return _less(forecast, followed, _from_nodes(loaded, followed, seen)), followed.answers


def forecast_experiment(
    workspace: Workspace,
    experiment: Experiment,
    max_concurrency: int | None = None,
    *,
    is_recorded: bool = False,
) -> tuple[Forecast, ...]:
    """What every arm of an experiment would take, and what judging it would, all repeats together.

    Args:
        workspace: For the store.
        experiment: What would be run.
        max_concurrency: Lines in flight at once; ``None`` for what the flows or the settings say.
        is_recorded: As for :func:`headrace.operations.check_experiment.check_experiment`.

    Raises:
        DefinitionError: Flow, data, mapping or an evaluator are wrong.
        UsageError: An arm does not fit the flow.
    """
    found = []
    experiment = check_experiment(workspace, experiment, experiment.budget, is_recorded=is_recorded)
    experiment = replace(experiment, cache=experiment_cache(workspace, experiment.cache))
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
        repeats = (replace(request, repeat=repeat) for repeat in range(experiment.repeats))
        each = [_forecast_arm(workspace, experiment, item, expected) for item in repeats]
        found += [_in_all(same) for same in zip(*each, strict=True)]
    return tuple(found)


def _forecast_arm(
    workspace: Workspace, experiment: Experiment, request: RunRequest, expected: set[str]
) -> list[Forecast]:
    """One repeat of an arm, then what judges it."""
    arm = request.arm
    assert arm is not None  # noqa: S101 - of an experiment
    answering, answers = _forecast_run(workspace, request, None, expected)
    found = [answering]
    for evaluator in as_of_arm(experiment, arm).evaluators:
        asked = replace(
            request, flow=Path(evaluator.flow_path or ""), column_mapping=evaluator.column_mapping
        )
        judging = _forecast_evaluator(workspace, asked, evaluator, answers, answering.n_lines, expected)
        found.append(replace(judging, label=f"{arm.name}, {evaluator.name}"))
    return found


def _forecast_evaluator(
    workspace: Workspace,
    request: RunRequest,
    evaluator: EvaluatorSpec,
    answers: Collection[SourceLine],
    n_lines: int,
    expected: set[str],
) -> Forecast:
    """What judging takes: of answers that are known already it may be kept, all others are judged anew."""
    dataset = read_dataset(request.data) if request.data is not None else None
    with loaded_flow(workspace, request.flow) as loaded:
        followed, mapping = Followed(), request.column_mapping
        if answers and not any(str(item).startswith(BASELINE_OUTPUTS) for item in mapping.values()):
            mapped, _ = map_lines(loaded.flow, parse_mapping(mapping), dataset, answers)
            lines = [pending_line(loaded.flow, line) for line in mapped]
            cached = cached_nodes(workspace, request, loaded)
            followed = asyncio.run(follow_lines(workspace, loaded, lines, cached, expected))
        base = _find_pilot(workspace, loaded, None, {})
        if base is None:
            forecast = _from_prompts(loaded, {}, n_lines, "", _calls_of(evaluator))
            return _less(forecast, followed, Usage(calls=sum(followed.shared.values())))
        concurrency = request.max_concurrency or loaded.max_concurrency
        forecast, seen = _from_run(workspace, base, loaded, n_lines, concurrency, "")
        return _less(forecast, followed, _from_nodes(loaded, followed, seen))


def _calls_of(evaluator: EvaluatorSpec) -> int | None:
    """Calls for one answer: none by a built-in evaluator that is no grader; ``None`` where its flow says it, or nobody.

    A grader asks each judge about every answer, unless it is clear without one.
    """
    if evaluator.builtin is None:
        return None
    return calls_per_answer(evaluator) if is_grader(evaluator.builtin) else 0


def _in_all(forecasts: Sequence[Forecast]) -> Forecast:
    """Several repeats as one."""

    def total(values: Iterable[float | None]) -> float | None:
        known = list(values)
        return None if None in known else sum(value for value in known if value is not None)

    return replace(
        forecasts[0],
        n_lines=sum(item.n_lines for item in forecasts),
        calls=total(item.calls for item in forecasts),
        cached_calls=sum(item.cached_calls for item in forecasts),
        prompt_tokens=total(item.prompt_tokens for item in forecasts),
        completion_tokens=total(item.completion_tokens for item in forecasts),
        cost_usd=total(item.cost_usd for item in forecasts),
        duration_s=total(item.duration_s for item in forecasts),
    )


def _less(forecast: Forecast, followed: Followed, shared: Usage) -> Forecast:
    """The forecast without what is kept, and without what equal calls take that are made anyway."""
    saved = followed.kept
    if not saved.calls and not shared.calls:
        return forecast

    def less(value: float | None, *parts: float | None) -> float | None:
        if value is None or None in parts:
            return None
        return max(0.0, value - sum(part for part in parts if part is not None))

    calls = less(forecast.calls, saved.calls, shared.calls)
    share = calls / forecast.calls if calls is not None and forecast.calls else None
    is_free = calls == 0
    costs = [part.cost_usd for part in (saved, shared) if part.calls]
    return replace(
        forecast,
        calls=calls,
        cached_calls=float(saved.calls + shared.calls),
        prompt_tokens=0.0
        if is_free
        else less(forecast.prompt_tokens, saved.prompt_tokens, shared.prompt_tokens),
        completion_tokens=0.0
        if is_free
        else less(forecast.completion_tokens, saved.completion_tokens, shared.completion_tokens),
        cost_usd=0.0 if is_free else less(forecast.cost_usd, *costs),
        # Calls are what takes time; what is left of a run without any is not known.
        duration_s=forecast.duration_s * share if forecast.duration_s is not None and share else None,
    )


def _from_nodes(loaded: LoadedFlow, followed: Followed, seen: Sequence[LineResult]) -> Usage:
    """What shared calls take, as those of the same nodes did in an earlier run."""
    found = []
    for name, n_calls in followed.shared.items():
        known = [
            sum_usage((node.usage, node.saved)) for line in seen for node in line.nodes if node.node == name
        ]
        total = sum_usage(known)
        if n_calls and total.calls:
            share = n_calls / total.calls
            cost = total.cost_usd
            if cost is None and loaded.price is not None:
                cost = loaded.price.cost_usd(total.prompt_tokens, total.completion_tokens)
            found.append(
                Usage(
                    calls=n_calls,
                    prompt_tokens=round(total.prompt_tokens * share),
                    completion_tokens=round(total.completion_tokens * share),
                    cost_usd=cost * share if cost is not None else None,
                )
            )
    shared = sum_usage(found)
    # Nodes that asked nobody then have nothing to add.
    return replace(shared, calls=sum(followed.shared.values()), cost_usd=shared.cost_usd if found else 0.0)


def _from_steps(followed: Followed, tokens: Mapping[str, float]) -> Usage:
    """The same where nothing has run: tokens of the prompts."""
    shared = sum(n_calls * tokens.get(name, 0.0) for name, n_calls in followed.shared.items())
    return Usage(calls=sum(followed.shared.values()), prompt_tokens=round(shared))


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
) -> tuple[Forecast, Sequence[LineResult]]:
    """As an earlier run was; with those of its lines that were looked at."""
    seen = list(islice(workspace.store.read_lines(base.spec.name), _MAX_LINES))
    share, usage = n_lines / (base.n_completed + base.n_failed), base.usage
    if base.spec.sources:  # with a cache: what the run took says less than what its lines take by themselves
        share, usage = n_lines / len(seen), sum_usage(line.whole_usage for line in seen)
    cost = usage.cost_usd
    if cost is None and loaded.price is not None:
        cost = loaded.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
    line_s = sum(line.whole_duration_ms for line in seen) / 1000 / len(seen)
    forecast = Forecast(
        label=label,
        n_lines=n_lines,
        calls=usage.calls * share,
        prompt_tokens=usage.prompt_tokens * share if usage.knows_tokens else None,
        completion_tokens=usage.completion_tokens * share if usage.knows_tokens else None,
        cost_usd=cost * share if cost is not None else None if usage.calls else 0.0,
        duration_s=line_s * max(1.0, n_lines / concurrency),
        source_run=base.spec.name,
    )
    return _recounted(forecast, loaded, seen), seen


def _recounted(forecast: Forecast, loaded: LoadedFlow, seen: Sequence[LineResult]) -> Forecast:
    """The forecast for the nodes that the flow has now: the earlier run may have had others."""
    ran = {node.node for line in seen for node in line.nodes}
    steps = {step.node.name: step.node for step in loaded.plan.steps}
    n_new = sum(node.type == "llm" for name, node in steps.items() if name not in ran)
    gone = sum_usage(
        sum_usage((node.usage, node.saved)) for line in seen for node in line.nodes if node.node not in steps
    )
    if loaded.flow.kind != DAG or not (n_new or gone.calls) or forecast.calls is None:
        return forecast
    share = forecast.n_lines / len(seen)

    def less(value: float | None, part: float | None) -> float | None:
        return None if n_new or value is None or part is None else max(0.0, value - part * share)

    return replace(
        forecast,
        calls=forecast.calls - gone.calls * share + n_new * forecast.n_lines,
        prompt_tokens=less(forecast.prompt_tokens, gone.prompt_tokens),
        completion_tokens=less(forecast.completion_tokens, gone.completion_tokens),
        cost_usd=less(forecast.cost_usd, gone.cost_usd if gone.calls else 0.0),
    )


def _from_prompts(
    loaded: LoadedFlow,
    prompt_tokens: Mapping[str, float],
    n_lines: int,
    label: str,
    per_line: int | None = None,
) -> Forecast:
    """What is known before anything has run: calls, and the tokens of prompts, see :func:`_prompt_tokens`."""
    calls: float | None = float(len(_asking(loaded)) * n_lines) if loaded.flow.kind == DAG else None
    tokens: float | None = None
    if per_line is not None:
        calls = float(per_line * n_lines)
    elif loaded.flow.kind in (PROMPTY, ENDPOINT):
        calls = float(n_lines)
    if calls == 0:
        tokens = 0.0
    elif prompt_tokens:
        tokens = sum(prompt_tokens.values()) * n_lines
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


def _asking(loaded: LoadedFlow) -> list[Step]:
    return [step for step in loaded.plan.steps if step.node.type == "llm"]


def _prompt_tokens(loaded: LoadedFlow, lines: Iterable[PendingLine]) -> dict[str, float]:
    """Node to the tokens of its prompt, filled with flow inputs and literals, for a line as they are on average."""
    sample = list(islice(lines, _MAX_LINES))
    if not sample or loaded.flow.kind != DAG:
        return {}
    return {
        step.node.name: sum(_count_tokens(loaded, step, line.inputs) for line in sample) / len(sample)
        for step in _asking(loaded)
    }


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
