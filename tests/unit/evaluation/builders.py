"""Arms built from a few numbers, for the tests of comparisons and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.domain.scores import ArmLines, LineFacts, LineObservation

Score = float | None


def an_observation(
    scores: Mapping[str, Score] | Score = 1.0,
    *,
    is_failed: bool = False,
    duration_ms: float = 100.0,
    tokens: tuple[int, int] = (50, 10),
    cost_usd: float | None = None,
) -> LineObservation:
    """One execution; a bare number is its score on the metric "accuracy"."""
    return LineObservation(
        scores=scores if isinstance(scores, Mapping) else {"accuracy": scores},
        is_failed=is_failed,
        duration_ms=duration_ms,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        cost_usd=cost_usd,
    )


def an_arm(
    name: str,
    scores: Sequence[Score | Sequence[Score]],
    *,
    failed: Sequence[int] = (),
    variant: str | None = None,
    model: str | None = None,
) -> ArmLines:
    """An arm whose line i has the i-th score, or the i-th list of scores as repeats."""
    lines = {}
    for index, entry in enumerate(scores):
        repeats = entry if isinstance(entry, Sequence) else [entry]
        lines[f"line-{index}"] = tuple(an_observation(score, is_failed=index in failed) for score in repeats)
    return ArmLines(arm=name, lines=lines, variant=variant, model=model)


def in_clusters(clusters: Sequence[str | None]) -> dict[str, LineFacts]:
    """Facts that put line i into the i-th cluster."""
    return {f"line-{index}": LineFacts(cluster=cluster) for index, cluster in enumerate(clusters)}


def yes_no(yes: int, no: int) -> list[float]:
    """``yes`` ones followed by ``no`` zeros."""
    return [1.0] * yes + [0.0] * no
