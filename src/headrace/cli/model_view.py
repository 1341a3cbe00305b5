"""Deployments of models, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from headrace.cli.table import Column, render_table
from headrace.cli.terminal import Ink
from headrace.domain.model_deployment import (
    AccountContents,
    ModelDeployment,
    ModelPlan,
    OfferedModel,
    RateLimitRule,
    ServerlessEndpoint,
)

_WORDS: Final = {
    "model_format": "format",
    "content_filter": "content filter",
}


def render_plan(plan: ModelPlan, *, is_done: bool) -> str:
    """What changes, or has changed, about a deployment: a line for each, what it was and what it is."""
    return "\n".join(_plan_lines(plan, is_done=is_done))


def _plan_lines(plan: ModelPlan, *, is_done: bool) -> Iterator[str]:
    shown = plan.after or plan.before
    if shown is None:
        yield "There is no such deployment; nothing to do."
        return
    where = f"{shown.name} in {plan.account.name} ({plan.account.location})"
    if not plan.is_needed:
        yield f"= {where}: nothing to do"
    else:
        sign = "+" if plan.before is None else "-" if plan.after is None else "~"
        yield f"{sign} {where}"
    width = max((len(_word(key)) for key in plan.changes), default=0)
    for key, (before, after) in plan.changes.items():
        is_one = plan.before is None or plan.after is None
        change = _value(after or before) if is_one else f"{_value(before)} → {_value(after)}"
        yield f"    {_word(key):<{width}}  {change}"
    offer = plan.offer
    if plan.after is not None and offer is not None and offer.retires is not None:
        about = " (planned)" if offer.is_tentative else ""
        yield f"  {offer.name} {offer.version} retires on {offer.retires.isoformat()}{about}."
    limits = shown.limits or (plan.before.limits if plan.before else ())
    if limits and plan.after is not None:
        verb = "It lets through" if is_done or not plan.is_needed else "It lets through now"
        yield f"  {verb} {' and '.join(map(_limit, limits))}."


def _word(key: str) -> str:
    return _WORDS.get(key, key)


def _value(value: Any) -> str:
    return "none" if value in (None, "") else str(value)


def _limit(rule: RateLimitRule) -> str:
    time = "minute" if rule.period_s == 60 else f"{rule.period_s:g} s"
    return f"{rule.count:,.0f} {rule.key or 'call'}s a {time}"


def plan_to_json(plan: ModelPlan, *, is_applied: bool) -> dict[str, Any]:
    """A plan as plain data."""
    return {
        "account": asdict(plan.account),
        "before": _deployment_json(plan.before),
        "after": _deployment_json(plan.after),
        "changes": [
            {"key": key, "before": before, "after": after} for key, (before, after) in plan.changes.items()
        ],
        "retires": _retirement(plan.offer),
        "warnings": [problem.to_json() for problem in plan.warnings],
        "applied": is_applied,
    }


def _deployment_json(deployment: ModelDeployment | None) -> dict[str, Any] | None:
    return None if deployment is None else asdict(deployment)


def _retirement(offer: OfferedModel | None) -> str | None:
    return offer.retires.isoformat() if offer is not None and offer.retires is not None else None


def models_to_json(contents: AccountContents) -> dict[str, Any]:
    """The deployments of an account as plain data."""
    return {
        "account": asdict(contents.account),
        "deployments": [
            {
                **asdict(item),
                "retires": _retirement(offer),
                "lifecycle": (offer.lifecycle or None) if offer is not None else None,
            }
            for item in contents.deployments
            for offer in (contents.offer_of(item),)
        ],
    }


def render_models(contents: AccountContents, *, ink: Ink, width: int | None) -> str:
    """A table of the deployments of an account."""
    rows = [
        (
            item.name,
            f"{item.model} {item.version}".strip(),
            item.sku,
            f"{item.capacity:,}",
            item.state,
            _retirement(contents.offer_of(item)) or "",
        )
        for item in sorted(contents.deployments, key=lambda item: item.name.lower())
    ]
    names = ("deployment", "model", "sku", "capacity", "state", "retires")
    return _table(names, rows, ink=ink, width=width)


def render_serverless(endpoints: Sequence[ServerlessEndpoint], *, ink: Ink, width: int | None) -> str:
    """A table of classic serverless endpoints."""
    rows = [(item.name, item.model.rpartition("/models/")[2], item.state, item.address) for item in endpoints]
    return _table(("endpoint", "model", "state", "address"), rows, ink=ink, width=width)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], *, ink: Ink, width: int | None) -> str:
    return render_table(
        [Column(title=name, is_right=name == "capacity") for name in names], rows, ink=ink, width=width
    )


def serverless_to_json(endpoints: Sequence[ServerlessEndpoint]) -> list[dict[str, Any]]:
    """Classic serverless endpoints as plain data."""
    return [asdict(item) for item in endpoints]
