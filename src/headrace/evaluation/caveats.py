"""What a reader must know before trusting a comparison, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.domain.comparison import MetricComparison, PairedEffect
from headrace.domain.scores import ArmLines
from headrace.evaluation import wording
from headrace.evaluation.arm_summary import has_only_failures
from headrace.evaluation.corrected import MetricLabels, label_caveats
from headrace.evaluation.line_groups import LineGroups
from headrace.evaluation.line_scores import ScoreTable, SettledMetric


def find_caveats(
    arms: Sequence[ArmLines],
    groups: LineGroups,
    tables: Sequence[ScoreTable],
    labels: Sequence[MetricLabels],
    compared: Sequence[MetricComparison],
) -> tuple[str, ...]:
    """Collect the caveats of a comparison, each once, those about the data first."""
    settled = [table.metric for table in tables]
    found = [
        *_unmatched(compared),
        *_failures(arms, settled, compared),
        *_repeats(arms),
        *_idle_repeats(tables),
        *(caveat for metric in settled for caveat in metric.warnings),
        *groups.warnings,
        *_missing_scores(tables),
        *_labels(groups, settled, labels),
        *(caveat for metric in compared for caveat in about_effects(metric)),
        *_secondary(compared),
    ]
    return tuple(dict.fromkeys(found))


def _unmatched(compared: Sequence[MetricComparison]) -> Iterator[str]:
    for effect in compared[0].effects if compared else ():
        for owner, other, lines in (
            (effect.against, effect.arm, effect.unmatched_against),
            (effect.arm, effect.against, effect.unmatched_arm),
        ):
            if lines:
                yield (
                    f"{wording.count(len(lines), 'line')} of {owner} without a partner in {other}: "
                    "left out of that comparison."
                )


def _failures(
    arms: Sequence[ArmLines], settled: Sequence[SettledMetric], compared: Sequence[MetricComparison]
) -> Iterator[str]:
    failed = {arm.arm: sum(o.is_failed for repeats in arm.lines.values() for o in repeats) for arm in arms}
    if not any(failed.values()):
        return
    for arm in arms:
        if has_only_failures(arm):
            yield f"Every line of {arm.arm} failed: its score says that it does not run."
    named = ", ".join(f"{n} in {arm}" for arm, n in failed.items() if n)
    # With repeats the executions are counted, of which a line has several.
    has_repeats = any(len(repeats) > 1 for arm in arms for repeats in arm.lines.values())
    what = "Failed repeats" if has_repeats else "Failed lines"
    for worst in (0.0, 1.0):
        counted = [metric for metric in compared if metric.failed_count_as == worst]
        if counted:
            names = ", ".join(metric.spec.name for metric in counted)
            yield f"{what} count as {worst:g} in {names} ({named}).{_without_failed(counted)}"
    left_out = [m.spec.name for m in settled if m.failed_count_as is None and m.has_scores]
    if left_out:
        yield f"{what} are left out of {', '.join(left_out)} ({named})."


def _without_failed(counted: Sequence[MetricComparison]) -> str:
    """The means that the other lines give, of the arms that have both kinds."""
    parts = []
    for metric in counted:
        means = [
            f"{wording.number(score.without_failed.value)} for {score.arm}"
            for score in metric.scores
            if score.without_failed is not None
        ]
        if means:
            parts.append(f"{metric.spec.name} is {', '.join(means)}")
    return f" Without them {'; '.join(parts)}." if parts else ""


def _repeats(arms: Sequence[ArmLines]) -> Iterator[str]:
    sizes = {len(repeats) for arm in arms for repeats in arm.lines.values() if repeats}
    if sizes and max(sizes) > 1:
        shown = f"{max(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
        yield f"Lines were run {shown} times; repeats are averaged per line before any test."


def _idle_repeats(tables: Sequence[ScoreTable]) -> Iterator[str]:
    """Repeats that always agree may be one answer that was kept and used again."""
    names: dict[str, None] = {}
    for arm in tables[0].counted if tables else ():
        repeated = [
            found for table in tables for found in table.counted[arm].repeats.values() if len(found) > 1
        ]
        if repeated and all(min(found) == max(found) for found in repeated):
            names[arm] = None
    if names:
        yield (
            f"All repeats of a line score the same for {', '.join(names)}: if their answers are one answer that was "
            "kept, they are no repeats and say nothing about how the arm varies."
        )


def _missing_scores(tables: Sequence[ScoreTable]) -> Iterator[str]:
    for table in tables:
        name = table.metric.spec.name
        if not table.metric.has_scores:
            yield f"No line of any arm has a usable {name}."
            continue
        for arm, scores in table.counted.items():
            if scores.missing:
                yield (
                    f"{wording.count(len(scores.missing), 'line')} of {arm} without a usable {name}: "
                    "left out, not counted as zero."
                )
            if scores.n_partial:
                yield (
                    f"{wording.count(scores.n_partial, 'line')} of {arm} with {name} from only a part "
                    "of the repeats."
                )


def _labels(
    groups: LineGroups, settled: Sequence[SettledMetric], labels: Sequence[MetricLabels]
) -> Iterator[str]:
    for metric, said in zip(settled, labels, strict=True):
        yield from label_caveats(said, metric)
        if groups.clusters is not None and said.random:
            yield f"Labels of {metric.spec.name} correct nothing, because lines come in clusters."


def about_effects(metric: MetricComparison) -> Iterator[str]:
    """The caveats that rest on the differences of single arms."""
    name = metric.spec.name
    guarded = [effect for effect in metric.effects if _method(effect).endswith("sparse guard")]
    alike = [effect.arm for effect in guarded if effect.ties < effect.n_pairs / 2]
    few = [effect.arm for effect in guarded if effect.arm not in alike]
    for arms, what in (
        (few, f"Few lines differ in {name}"),
        (alike, f"The differences in {name} are few or alike"),
    ):
        if arms:
            yield (
                f"{what} for {', '.join(arms)}; the interval is widened for differences that were not seen."
            )
    for effect in metric.effects:
        if _depends_on_failures(effect):
            yield (
                f"Leaving failed lines out changes whether the interval of {effect.arm} on {name} "
                "excludes zero."
            )
        yield from _sensitivity(metric, effect)


def _sensitivity(metric: MetricComparison, effect: PairedEffect) -> Iterator[str]:
    """Whether the scores that are missing could turn a verdict round."""
    if effect.worst_case is None or effect.verdict.word == "inconclusive":
        return
    low, high = sorted(effect.worst_case)
    margin = metric.spec.margin or 0.0
    is_equivalent = effect.verdict.word == "equivalent"
    if (low < -margin or high > margin) if is_equivalent else low <= 0.0 <= high:
        yield (
            f"Missing scores could change the verdict on {effect.arm} on {metric.spec.name}: the difference is "
            f"{wording.signed(low)} if they had all gone one way and {wording.signed(high)} if the other."
        )


def _secondary(compared: Sequence[MetricComparison]) -> Iterator[str]:
    if len(compared) > 1 and compared[0].effects:
        yield (
            f"{compared[0].spec.name} decides. No p is adjusted over metrics, so the other metrics describe and do "
            "not confirm."
        )


def _method(effect: PairedEffect) -> str:
    if effect.difference is None or effect.difference.interval is None:
        return ""
    return effect.difference.interval.method


def _depends_on_failures(effect: PairedEffect) -> bool:
    with_failed = effect.difference and effect.difference.interval
    without = effect.without_failed and effect.without_failed.interval
    if not with_failed or not without:
        return False
    return with_failed.excludes_zero != without.excludes_zero
