"""What a report says of a race: what it saved, and when each arm was dropped."""

from __future__ import annotations

from headrace.domain.comparison import Comparison, Recommendation
from headrace.domain.race import RaceArm, RaceResult
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.raced_comparison import race_recommendation, say_evidence
from headrace.evaluation.recommendation import ship_recommendation

RACE_HEADER = ("arm", "lines", "dropped", "behind", "evidence", "calls", "tokens", "cost")


def recommend(comparison: Comparison, context: ReportContext) -> Recommendation:
    """Which arm to ship, after a race or a comparison of arms that answered every line."""
    if context.race is None:
        return ship_recommendation(comparison)
    return race_recommendation(comparison, context.race)


def race_sentences(race: RaceResult) -> tuple[str, ...]:
    """What was saved against the full grid, and what the race promises."""
    n_dropped = len(race.dropped)
    seen = (
        f"{n_dropped} of {wording.count(len(race.arms), 'arm')} {'was' if n_dropped == 1 else 'were'} dropped by "
        f"{race.metric}, in {wording.count(race.blocks, 'block')} of {wording.count(race.batch, 'line')}; "
        f"{race.answers:,} of {race.full_answers:,} answers were needed ({race.saved:.0%} saved)."
    )
    calls = sum(arm.calls for arm in race.arms)
    parts = []
    if calls:
        parts.append(f"{calls:,} of {sum(arm.full_calls for arm in race.arms):,} model calls")
        tokens, full = sum(arm.tokens for arm in race.arms), sum(arm.full_tokens for arm in race.arms)
        parts.append(f"{tokens:,} of {full:,} tokens")
    costs = [(arm.cost_usd, arm.full_cost_usd) for arm in race.arms if arm.calls]
    known = [(spent, full) for spent, full in costs if spent is not None and full is not None]
    if calls and len(known) == len(costs):
        spent, full_cost = sum(item[0] for item in known), sum(item[1] for item in known)
        parts.append(f"{wording.cost(spent)} of {wording.cost(full_cost)}")
    spent_text = f"Spent of what all arms would take over all lines: {', '.join(parts)}." if parts else ""
    left_out = ""
    if race.n_left_out:
        verb = "counts" if race.n_left_out == 1 else "count"
        left_out = (
            f"{wording.count(race.n_left_out, 'line')} {verb} for no arm, because one has no score there."
        )
    return tuple(text for text in (seen, spent_text, left_out, race.guarantee) if text)


def race_rows(race: RaceResult) -> tuple[tuple[str, ...], ...]:
    """One row per arm under :data:`RACE_HEADER`; the arms that stayed longest first."""
    ordered = sorted(race.arms, key=lambda arm: (arm.arm != race.leader, arm.drop is not None, -arm.n_lines))
    return tuple(_row(arm, race) for arm in ordered)


def _row(arm: RaceArm, race: RaceResult) -> tuple[str, ...]:
    drop = arm.drop
    fate = ("", "", "") if drop is None else (f"block {drop.block}", _behind(arm), say_evidence(drop))
    cost = "" if arm.cost_usd is None or not arm.calls else wording.cost(arm.cost_usd)
    lines = f"{arm.n_lines:,} of {race.n_lines:,}"
    return arm.arm, lines, *fate, f"{arm.calls:,}", f"{arm.tokens:,}", cost


def _behind(arm: RaceArm) -> str:
    return "" if arm.drop is None else f"{wording.number(arm.drop.deficit)} behind {arm.drop.ahead}"
