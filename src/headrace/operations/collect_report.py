"""From recorded runs to what a report says beside the numbers: lines, answers, nodes, and where they come from."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from headrace import __version__
from headrace.domain.comparison import Comparison
from headrace.domain.flow import Flow
from headrace.domain.report import (
    FlowGraph,
    GraphNode,
    LineMatrix,
    NodeUse,
    RunFacts,
    SampleLine,
    SampleOutput,
)
from headrace.domain.run import BYPASSED, COMPLETED, FAILED, NodeResult, Run, sum_usage
from headrace.domain.scores import LineFacts, Score
from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.operations.collect_scores import (
    Collected,
    CollectedLine,
    as_score,
    evaluators_of,
    find_reference,
    read_score,
)
from headrace.operations.measure_judges import JUDGEMENTS
from headrace.operations.workspace import Workspace
from headrace.planning.plan import awaited_nodes

MAX_SAMPLES = 120
"""Lines that a report may show with their answers."""

MAX_TEXT = 2_000
"""Characters of an answer or of inputs that a report may show."""

_MAX_START = 100
_A_GRADE = 0.26  # a quarter, and room for rounding
_LARGEST_SCORE = 1e100


def make_matrix(
    collected: Sequence[Collected], metrics: Sequence[str], facts: Mapping[str, LineFacts] | None = None
) -> LineMatrix:
    """Every line of every arm, aligned by line id; repeats are averaged.

    Args:
        collected: The arms' runs with their evaluations.
        metrics: Score names, in the order of the comparison.
        facts: What is known of each line, by line id.
    """
    arms = _by_arm(collected)
    numbers: dict[str, int] = {}
    starts: dict[str, str] = {}
    for lines in arms.values():
        for line_id, repeats in lines.items():
            numbers.setdefault(line_id, repeats[0].result.line_number)
            if line_id not in starts:
                starts[line_id] = " ".join(_text(repeats[0].result.inputs)[: 2 * _MAX_START].split())[
                    :_MAX_START
                ]
    ids = sorted(numbers, key=numbers.__getitem__)
    places = {line_id: place for place, line_id in enumerate(ids)}
    facts = facts or {}
    columns = dict.fromkeys(column for item in facts.values() for column in item.slices)
    return LineMatrix(
        line_ids=tuple(ids),
        line_numbers=tuple(numbers[line_id] for line_id in ids),
        scores={
            metric: {
                arm: tuple(_mean(lines.get(line_id, ()), metric) for line_id in ids)
                for arm, lines in arms.items()
            }
            for metric in metrics
        },
        failed={
            arm: tuple(
                places[line_id]
                for line_id, repeats in lines.items()
                if any(line.result.status != COMPLETED for line in repeats)
            )
            for arm, lines in arms.items()
        },
        unscored=_unscored(collected, places),
        disputed=_disputed(collected, metrics, places),
        starts=tuple(starts[line_id] for line_id in ids),
        slices={column: tuple(_slice(facts, line_id, column) for line_id in ids) for column in columns},
    )


def make_samples(
    workspace: Workspace, collected: Sequence[Collected], comparison: Comparison, matrix: LineMatrix
) -> tuple[SampleLine, ...]:
    """Lines worth reading: each arm's largest losses, then those on which the arms differ most.

    Args:
        workspace: For the references that the evaluators of these lines were given.
        collected: The arms' runs with their evaluations.
        comparison: For the largest losses.
        matrix: Of the same runs.
    """
    metrics = list(matrix.scores)
    spreads = _spreads(matrix)
    by_spread = sorted(matrix.line_ids, key=lambda line_id: -spreads[line_id])
    ids = dict.fromkeys(line_id for line_id in (*_losses(comparison), *by_spread) if line_id in spreads)
    answers: dict[str, dict[str, tuple[Collected, CollectedLine]]] = {
        line_id: {} for line_id in list(ids)[:MAX_SAMPLES]
    }
    for item in collected:
        for line in item.lines:
            if line.line_id in answers:
                answers[line.line_id].setdefault(item.judged.arm, (item, line))
    evaluators = {item.judged.run.spec.name: evaluators_of(item, metrics) for item in collected}
    samples = []
    for line_id, of_line in answers.items():
        result = next(iter(of_line.values()))[1].result
        references = (
            find_reference(workspace, item.judged, line.result.line_number) for item, line in of_line.values()
        )
        outputs = (
            _output(arm, item.judged.run.spec.name, line, metrics, evaluators[item.judged.run.spec.name])
            for arm, (item, line) in of_line.items()
        )
        samples.append(
            SampleLine(
                line_id=line_id,
                line_number=result.line_number,
                inputs=_text(result.inputs),
                reference=next(filter(None, references), None),
                outputs=tuple(outputs),
            )
        )
    return tuple(samples)


def make_graph(collected: Sequence[Collected]) -> FlowGraph | None:
    """The flow as its file says it now, with what each node took in each arm; ``None`` without recorded nodes.

    A flow file that is gone or cannot be read any more leaves the nodes without an order.
    """
    results: dict[str, dict[str, list[NodeResult]]] = {}
    for item in collected:
        of_arm = results.setdefault(item.judged.arm, {})
        for line in item.lines:
            for node in line.result.nodes:
                of_arm.setdefault(node.node, []).append(node)
    recorded = dict.fromkeys(name for of_arm in results.values() for name in of_arm)
    if not recorded:
        return None
    paths = dict.fromkeys(item.judged.run.spec.flow_path for item in collected)
    known = {node.name: node for path in paths for node in _graph_nodes(_flow_now(Path(path)))}
    nodes = [node for node in known.values() if node.name in recorded or node.is_aggregation]
    nodes += [GraphNode(name=name, kind="") for name in recorded if name not in known]
    uses = tuple(_use(name, arm, found) for arm, of_arm in results.items() for name, found in of_arm.items())
    return FlowGraph(nodes=tuple(nodes), uses=uses)


def make_run_facts(collected: Sequence[Collected]) -> tuple[RunFacts, ...]:
    """The runs that the numbers come from, arms before their evaluations."""
    arms = [_facts(item.judged.run, item.judged.arm, None) for item in collected]
    evaluations = [
        _facts(run, item.judged.arm, name)
        for item in collected
        for name, run in item.judged.evaluations.items()
    ]
    return (*arms, *evaluations)


def versions_now() -> dict[str, str]:
    """The programs that make the comparison."""
    return {"headrace": __version__, "Python": platform.python_version()}


def _unscored(collected: Sequence[Collected], places: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for item in collected:
        failed = {
            places[line.line_id] for line in item.lines if line.errors and line.result.status == COMPLETED
        }
        found.setdefault(item.judged.arm, set()).update(failed)
    return {arm: tuple(sorted(lines)) for arm, lines in found.items()}


def _disputed(
    collected: Sequence[Collected], metrics: Sequence[str], places: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """Places of the lines on which judgements of one answer are more than a grade of five apart."""
    said = {metric: f"{metric}{JUDGEMENTS}" for metric in metrics}
    found: dict[str, set[int]] = {metric: set() for metric in metrics}
    for item in collected:
        for line in item.lines:
            for metric, name in said.items():
                if name in line.scores and _is_disputed(line.scores[name]):
                    found[metric].add(places[line.line_id])
    return {metric: tuple(sorted(lines)) for metric, lines in found.items()}


def _is_disputed(said: Any) -> bool:
    scores = [
        score
        for one in (said if isinstance(said, list) else ())
        if isinstance(one, Mapping) and (score := _usable(one.get("score"))) is not None
    ]
    return bool(scores) and max(scores) - min(scores) > _A_GRADE


def _slice(facts: Mapping[str, LineFacts], line_id: str, column: str) -> str:
    return facts[line_id].slices.get(column, "") if line_id in facts else ""


def _by_arm(collected: Sequence[Collected]) -> dict[str, dict[str, list[CollectedLine]]]:
    arms: dict[str, dict[str, list[CollectedLine]]] = {}
    for item in collected:
        lines = arms.setdefault(item.judged.arm, {})
        for line in item.lines:
            lines.setdefault(line.line_id, []).append(line)
    return arms


def _mean(repeats: Iterable[CollectedLine], metric: str) -> float | None:
    usable = [
        value
        for line in repeats
        if line.result.status == COMPLETED and (value := _usable(line.scores.get(metric))) is not None
    ]
    if len(usable) == 1:
        return usable[0]
    return fmean(usable) if usable else None


def _usable(value: Any) -> float | None:
    score = as_score(value)
    return score if score is not None and isfinite(score) and abs(score) <= _LARGEST_SCORE else None


def _spreads(matrix: LineMatrix) -> dict[str, float]:
    """How far the arms are apart on each line, by the first metric; a line without a score counts as 0."""
    primary = next(iter(matrix.scores.values()), {})
    columns = [[score or 0.0 for score in scores] for scores in primary.values()]
    return {
        line_id: max(scores) - min(scores)
        for line_id, scores in zip(matrix.line_ids, zip(*columns, strict=True), strict=True)
    }


def _losses(comparison: Comparison) -> Iterator[str]:
    """Ids of the largest losses, the first of every arm before the second of any."""
    effects = comparison.primary.effects if comparison.primary is not None else ()
    for rank in zip_longest(*(effect.worst_lines for effect in effects)):
        yield from (loss.line_id for loss in rank if loss is not None)


def _output(
    arm: str, run: str, line: CollectedLine, metrics: Sequence[str], evaluators: Mapping[str, str]
) -> SampleOutput:
    problem = line.result.problem
    return SampleOutput(
        arm=arm,
        text=_text(line.result.outputs),
        scores={name: _shown(read_score(line, name, evaluators.get(name))) for name in metrics},
        error=f"{problem.code} {problem.name}: {problem.what}" if problem else None,
        run=run,
    )


def _shown(score: Score) -> Score:
    """A score as a report can hold it: finite."""
    return replace(score, value=_usable(score.value))


def _text(values: Mapping[str, Any]) -> str:
    if len(values) == 1:
        text = str(next(iter(values.values())))
    else:
        text = "\n".join(f"{name}: {value}" for name, value in values.items())
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"


def _flow_now(path: Path) -> Flow | None:
    try:
        return load_flow(path) if path.exists() else None
    except DefinitionError:  # changed since into something that cannot be read
        return None


def _graph_nodes(flow: Flow | None) -> Iterator[GraphNode]:
    if flow is None:
        return
    for node in flow.nodes:
        variants = flow.node_variants.get(node.name)
        forms = [node, *(variants.variants.values() if variants is not None else ())]
        yield GraphNode(
            name=node.name,
            kind=node.type,
            after=tuple(sorted({name for form in forms for name in awaited_nodes(form)})),
            is_aggregation=node.is_aggregation,
        )


def _use(name: str, arm: str, results: Sequence[NodeResult]) -> NodeUse:
    executed = [result for result in results if result.status != BYPASSED]
    durations = [
        result.saved_ns / 1e6 if result.cached_from is not None else result.duration_ms for result in executed
    ]
    usage = sum_usage(item for result in executed for item in (result.usage, result.saved))
    return NodeUse(
        node=name,
        arm=arm,
        n=len(executed),
        n_cached=sum(result.cached_from is not None for result in executed),
        n_failed=sum(result.status == FAILED for result in executed),
        n_bypassed=len(results) - len(executed),
        mean_ms=fmean(durations) if durations else None,
        tokens=usage.total_tokens,
        cost_usd=usage.cost_usd,
    )


def _facts(run: Run, arm: str, evaluator: str | None) -> RunFacts:
    spec = run.spec
    return RunFacts(
        run=spec.name,
        arm=arm,
        evaluator=evaluator,
        repeat=spec.repeat,
        flow=spec.flow_name,
        flow_digest=spec.flow_digest,
        data_digest=spec.data_digest,
        variant=spec.variant,
        model=spec.model,
        created_at=run.created_at,
        flow_version=spec.version_name,
        data_version=spec.data_version,
    )
