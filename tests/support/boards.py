"""Comparisons with everything in them, for tests of what is shown: made from seeded draws, of any size."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

from headrace.domain.comparison import (
    Agreement,
    Comparison,
    Estimate,
    InteractionEffect,
    Interval,
    JudgeQuality,
    MetricComparison,
    Slice,
)
from headrace.domain.report import (
    FlowGraph,
    GraphNode,
    LineMatrix,
    NodeUse,
    ReportContext,
    RunFacts,
    SampleLine,
    SampleOutput,
)
from headrace.domain.scores import ArmLines, LineObservation, MetricSpec, Score
from headrace.evaluation.comparison import compare

CREATED_AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
METRICS = (
    MetricSpec(name="correct", kind="binary", margin=0.05),
    MetricSpec(name="groundedness", kind="graded"),
    MetricSpec(name="f1", kind="graded"),
    MetricSpec(name="words", direction="lower", kind="unbounded"),
    MetricSpec(name="cites", kind="binary"),
)
_SKILL = {"zero_shot": 0.45, "few_shot": 0.55, "retrieval": 0.68, "retrieval_few_shot": 0.74}
_MODELS = {"small": (-0.06, 0.0002, 450.0), "large": (0.06, 0.0031, 1200.0), "local": (-0.16, 0.0, 2100.0)}
_TOPICS = ("billing", "setup", "limits", "security")
_NODES = (
    GraphNode(name="rewrite_question", kind="llm"),
    GraphNode(name="search_docs", kind="python", after=("rewrite_question",)),
    GraphNode(name="history", kind="python"),
    GraphNode(name="compose", kind="prompt", after=("history", "search_docs")),
    GraphNode(name="answer", kind="llm", after=("compose",)),
    GraphNode(name="cite", kind="python", after=("answer", "search_docs")),
)
_ANSWER = (
    "Open the settings page and choose the plan that fits your team; invoices are sent on the first day of "
    "each month to the address of the owner and can be paid by card or by transfer within thirty days"
)


def rich_board(
    n_lines: int = 60, n_arms: int = 12, n_metrics: int = 5, *, n_samples: int = 40
) -> tuple[Comparison, ReportContext]:
    """A comparison of variants crossed with models, and its context, with a value in every field."""
    arms = draw_arms(n_lines, n_arms, n_metrics)
    comparison = compare(arms, baseline=arms[0].arm, metrics=METRICS[:n_metrics])
    if n_arms == 12:
        first = _with_extras(comparison.metrics[0], comparison, n_lines)
        comparison = replace(comparison, metrics=(first, *comparison.metrics[1:]))
    return comparison, make_context(arms, comparison, n_samples=n_samples)


def draw_arms(n_lines: int, n_arms: int, n_metrics: int) -> list[ArmLines]:
    """Arms whose skill depends on variant and model, over lines of varying difficulty."""
    dice = random.Random(5)
    ease = [dice.gauss(0.0, 0.22) for _ in range(n_lines)]
    pairs = [(variant, model) for variant in _SKILL for model in _MODELS][:n_arms]
    return [
        ArmLines(
            arm=f"{variant}/{model}",
            variant=variant,
            model=model,
            lines={
                f"q{number:04d}": (_draw(dice, variant, model, ease[number], n_metrics),)
                for number in range(n_lines)
            },
        )
        for variant, model in pairs
    ]


def _draw(dice: random.Random, variant: str, model: str, ease: float, n_metrics: int) -> LineObservation:
    bonus, price, latency = _MODELS[model]
    skill = _SKILL[variant] + bonus + ease
    values = {
        "correct": float(dice.random() < skill),
        "groundedness": min(max(round(dice.gauss(skill, 0.15) * 4) / 4, 0.0), 1.0),
        "f1": min(max(dice.gauss(skill, 0.2), 0.0), 1.0),
        "words": round(dice.uniform(20, 180)),
        "cites": float(dice.random() < skill / 2 + 0.3),
    }
    return LineObservation(
        scores={spec.name: values[spec.name] for spec in METRICS[:n_metrics]},
        is_failed=dice.random() < 0.004,
        duration_ms=dice.lognormvariate(0.0, 0.35) * latency,
        prompt_tokens=int(dice.uniform(300, 900)),
        completion_tokens=int(dice.uniform(20, 160)),
        cost_usd=price * dice.uniform(0.8, 1.2),
    )


def _estimate(value: float, half: float, n: int, method: str = "t") -> Estimate:
    return Estimate(
        value=value, interval=Interval(low=value - half, high=value + half, level=0.95, method=method), n=n
    )


def _with_extras(metric: MetricComparison, comparison: Comparison, n_lines: int) -> MetricComparison:
    """The fields that a comparison of variants and models judged by a model has."""
    best = max(score.mean.value for score in metric.scores if score.mean is not None)
    scores = tuple(
        replace(
            score,
            shrunken=_estimate(score.mean.value * 0.92 + 0.045, 0.06, n_lines, "empirical Bayes"),
            p_best=max(0.001, 0.55 - 4 * (best - score.mean.value)) / 2,
            p_in_best_set=1.0 if score.mean.value > best - 0.08 else 0.004,
            in_best_set=score.mean.value > best - 0.08,
            corrected=_estimate(score.mean.value - 0.03, 0.07, n_lines, "PPI++"),
        )
        if score.mean is not None
        else score
        for score in metric.scores
    )
    slices = tuple(
        Slice(column="topic", value=topic, n_lines=n_lines // 4, scores=metric.scores, effects=metric.effects)
        for topic in _TOPICS
    )
    interaction = tuple(
        InteractionEffect(
            variant=variant,
            model=model,
            baseline_variant="zero_shot",
            baseline_model="small",
            difference=_estimate(0.04 * index - 0.05, 0.11, n_lines),
            p_raw=0.2,
            p_adjusted=0.61,
        )
        for index, (variant, model) in enumerate(
            (variant, model) for variant in list(_SKILL)[1:] for model in list(_MODELS)[1:]
        )
    )
    judge = JudgeQuality(
        evaluator="correctness",
        versions=("correctness@1 \N{MIDDLE DOT} azure_openai/gpt-4o",),
        agreements=(
            Agreement(
                between="repeats",
                raters=("first", "second"),
                n=120,
                exact=0.94,
                kappa=0.87,
                weighted_kappa=0.87,
                alpha=0.87,
            ),
            Agreement(
                between="judge and people",
                raters=("correctness", "people"),
                n=60,
                exact=0.88,
                kappa=0.74,
                weighted_kappa=None,
                alpha=0.73,
            ),
        ),
        n_labels=60,
        n_random_labels=60,
        label_weight=0.71,
    )
    return replace(metric, scores=scores, slices=slices, interaction=interaction, judge=judge)


def make_context(arms: list[ArmLines], comparison: Comparison, *, n_samples: int) -> ReportContext:
    """Matrix, answers, graph and runs for ``arms``."""
    dice = random.Random(7)
    names = [metric.spec.name for metric in comparison.metrics]
    ids = list(arms[0].lines)
    matrix = LineMatrix(
        line_ids=tuple(ids),
        line_numbers=tuple(range(len(ids))),
        scores={
            name: {
                arm.arm: tuple(
                    None if arm.lines[key][0].is_failed else arm.lines[key][0].scores[name] for key in ids
                )
                for arm in arms
            }
            for name in names
        },
        failed={
            arm.arm: tuple(place for place, key in enumerate(ids) if arm.lines[key][0].is_failed)
            for arm in arms
        },
        disputed={names[0]: tuple(range(3, len(ids), 17))},
        slices={"topic": tuple(_TOPICS[place % 4] for place in range(len(ids)))},
        starts=tuple(f"How do I change the plan of workspace {place}?" for place in range(len(ids))),
    )
    losses = [loss.line_id for effect in comparison.metrics[0].effects for loss in effect.worst_lines]
    shown = list(dict.fromkeys([*losses, *ids]))[:n_samples]
    return ReportContext(
        title="Which assistant answers best?",
        flow="ask_docs",
        dataset=f"data/test.jsonl ({len(ids)} lines)",
        created_at=CREATED_AT,
        commands=("headrace compare experiment.yaml", "headrace compare --again ask_docs_20261128_093000"),
        metric_notes={"correct": "Whether the answer says what the reference says."},
        sample_lines=tuple(_sample(dice, arms, key, ids.index(key), names) for key in shown),
        matrix=matrix,
        graph=_graph(dice, arms),
        runs=tuple(_run(arm) for arm in arms),
        versions={"headrace": "0.1.0", "Python": "3.11.7"},
    )


def _sample(dice: random.Random, arms: list[ArmLines], key: str, number: int, names: list[str]) -> SampleLine:
    outputs = []
    for arm in arms:
        observation = arm.lines[key][0]
        right = observation.scores["correct"] == 1.0
        words = (
            _ANSWER.split() if right else [*_ANSWER.split()[: dice.randint(6, 14)], "or", "ask", "support"]
        )
        words[dice.randrange(6)] = dice.choice(["dashboard", "settings", "console"])
        scores = {name: Score(value=observation.scores[name]) for name in names}
        scores["correct"] = Score(
            value=observation.scores["correct"],
            label="correct" if right else "incomplete",
            reason="It names the page and the terms." if right else "The terms of payment are missing.",
        )
        error = "E601 node failed: the model did not answer in time" if observation.is_failed else None
        outputs.append(
            SampleOutput(
                arm=arm.arm,
                text="" if error else " ".join(words) + ".",
                scores={} if error else scores,
                error=error,
                run=arm.arm.replace("/", "_"),
            )
        )
    return SampleLine(
        line_id=key,
        line_number=number,
        inputs=f"How do I change the plan of workspace {number}?",
        reference=_ANSWER + ".",
        outputs=tuple(outputs),
    )


def _graph(dice: random.Random, arms: list[ArmLines]) -> FlowGraph:
    cost = {
        "rewrite_question": 180.0,
        "search_docs": 45.0,
        "history": 2.0,
        "compose": 1.0,
        "answer": 900.0,
        "cite": 6.0,
    }
    return FlowGraph(
        nodes=_NODES,
        uses=tuple(
            NodeUse(
                node=node.name,
                arm=arm.arm,
                n=len(arm.lines),
                n_cached=0 if node.kind != "python" or position == 0 else len(arm.lines) // 2,
                n_failed=int(node.name == "answer"),
                n_bypassed=0,
                mean_ms=cost[node.name] * dice.uniform(0.7, 1.5),
                tokens=int(len(arm.lines) * dice.uniform(200, 700)) if node.kind == "llm" else 0,
                cost_usd=None,
            )
            for position, arm in enumerate(arms)
            for node in _NODES
        ),
    )


def _run(arm: ArmLines) -> RunFacts:
    return RunFacts(
        run=f"{arm.arm.replace('/', '_')}_20261128_093000",
        arm=arm.arm,
        evaluator=None,
        repeat=0,
        flow="ask_docs",
        flow_digest="5f3a" * 16,
        data_digest="a91c" * 16,
        variant=arm.variant,
        model=f"azure_openai/{arm.model}",
        created_at=CREATED_AT,
    )
