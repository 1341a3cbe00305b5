"""Why scores are missing: the commonest reason of each metric, in a sentence for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any

from headrace.domain.run import COMPLETED
from headrace.errors import Problem
from headrace.evaluation import wording
from headrace.evaluation.line_scores import usable_score
from headrace.operations.collect_scores import Collected, CollectedLine, as_score, evaluators_of, read_score

_MOST_CHARACTERS = 200


def explain_missing(collected: Sequence[Collected], metrics: Sequence[str]) -> tuple[str, ...]:
    """Say of arms that failed and of metrics that have answers without a usable score why, most often.

    Args:
        collected: The judged runs.
        metrics: Names of the metrics, the deciding one first.

    Returns:
        A sentence for each arm with a run whose every line failed, then one for each metric that misses scores.
    """
    failed = dict.fromkeys(_failed_runs(collected))  # repeats of an arm fail alike
    return (*failed, *(found for name in metrics for found in _missing(collected, name)))


def no_scores(collected: Sequence[Collected]) -> Problem:
    """The problem of runs of which no line has a score: why, for each evaluator, where there is any."""
    runs = {name: run.spec.name for item in collected for name, run in item.judged.evaluations.items()}
    if not runs:
        return Problem(
            code="G902",
            what="None of these runs has been evaluated, so there are no scores to compare.",
            fix="Evaluate each: headrace run evaluate RUN --evaluator NAME.",
        )
    said = [*dict.fromkeys(_failed_runs(collected))]
    for name, run in runs.items():
        reasons = Counter(
            _no_score(line, name)
            for item in collected
            for line in item.lines
            if line.result.status == COMPLETED
        )
        if reasons:
            reason, n = reasons.most_common(1)[0]
            see = f"headrace run show-details --name {quote(run)}"
            said.append(f"{name} gave no score, {_times(n, reasons.total())}: {_cut(reason)} See {see}.")
    return Problem(
        code="G902",
        what="No answer of these runs has a score, so there is nothing to compare.",
        fix=" ".join(
            [*said, "Correct that; the answers are recorded: headrace run evaluate RUN --evaluator NAME."]
        ),
    )


def _no_score(line: CollectedLine, evaluator: str) -> str:
    """Why one evaluator gave a line no score."""
    if evaluator in line.errors:
        return f"the evaluation failed with {line.errors[evaluator]}"
    given = [
        value for name, value in line.scores.items() if name.startswith(f"{evaluator}.") and value is not None
    ]
    return _unusable(given[0]) if given else "the evaluator gave nothing."


def _failed_runs(collected: Sequence[Collected]) -> Iterator[str]:
    for item in collected:
        problems = [line.result.problem for line in item.lines]
        if problems and all(problem is not None for problem in problems):
            said = Counter(f"{found.code} {found.name}: {found.what}" for found in problems if found)
            reason, n = said.most_common(1)[0]
            yield f"{item.judged.arm} failed on every line, {_times(n, len(problems))}: {_cut(reason)}"


def _missing(collected: Sequence[Collected], metric: str) -> Iterator[str]:
    reasons: Counter[str] = Counter()
    elsewhere = [name for item in collected for name in evaluators_of(item, [metric]).values()]
    for item in collected:
        own = evaluators_of(item, [metric]).get(metric)
        evaluator = own or next((name for name in elsewhere if name in item.judged.evaluations), None)
        for line in item.lines:
            if line.result.status == COMPLETED and usable_score(as_score(line.scores.get(metric))) is None:
                reasons[_reason(line, metric, evaluator)] += 1
    if reasons:
        reason, n = reasons.most_common(1)[0]
        total = wording.count(reasons.total(), "answer")
        verb = "has" if reasons.total() == 1 else "have"
        yield f"{total} {verb} no usable {metric}, {_times(n, reasons.total())}: {_cut(reason)}"


def _reason(line: CollectedLine, metric: str, evaluator: str | None) -> str:
    """What an evaluation says, or what can be seen of its output; never the output itself."""
    found = read_score(line, metric, evaluator)
    error = found.error or (next(iter(line.errors.values()), None) if evaluator is None else None)
    if error is not None:
        return f"the evaluation failed with {error}"
    value = line.scores.get(metric)
    if value is None:
        is_judged = metric in line.scores or any(name.startswith(f"{evaluator}.") for name in line.scores)
        return found.reason or (
            "the evaluator gave nothing." if is_judged else "there is no evaluation of it."
        )
    return _unusable(value)


def _unusable(value: Any) -> str:
    if isinstance(value, (bool, int, float)):
        return "the score is NaN, infinite or beyond 1e100."
    kinds: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
    kind = kinds.get(type(value), f"a {type(value).__name__}")
    return f"the evaluator gave {kind}, and a score is a number or a word such as pass or incorrect."


def _times(n: int, total: int) -> str:
    return "always because" if n == total else f"{n:,} of them because"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}\N{HORIZONTAL ELLIPSIS}"
