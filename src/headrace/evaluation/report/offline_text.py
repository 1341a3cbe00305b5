"""Offline results beside online ones, as words: shared by the terminal, Markdown and the page."""

from __future__ import annotations

from headrace.domain.comparison import Estimate
from headrace.domain.offline_beside import JoinedEffect, JoinedResults
from headrace.evaluation import wording
from headrace.evaluation.report.board import UNKNOWN

OFFLINE_TITLE = "Offline and online"
JOINED_HEADER = ("arm", "metric", "offline", "online", "both")


def joined_rows(joined: JoinedResults) -> tuple[tuple[str, ...], ...]:
    """Each arm on each metric, under :data:`JOINED_HEADER`."""
    return tuple(_row(effect) for effect in joined.effects)


def joined_reasons(joined: JoinedResults) -> tuple[str, ...]:
    """Why both agree or not, then what keeps them from being compared."""
    reasons = (
        f"{effect.arm}, {effect.metric}: {effect.agreement}, because {effect.reason}."
        for effect in joined.effects
    )
    return (*reasons, *joined.notes)


def _row(effect: JoinedEffect) -> tuple[str, ...]:
    metric = effect.metric
    if effect.offline_metric != effect.metric:
        metric = f"{effect.metric} (offline {effect.offline_metric})"
    return effect.arm, metric, _estimate(effect.offline), _estimate(effect.online), effect.agreement


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return UNKNOWN
    interval = f" ({wording.span(estimate.interval)})" if estimate.interval else ""
    return f"{wording.signed(estimate.value)}{interval}"
