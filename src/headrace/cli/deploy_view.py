"""Plans and states of deployments as people and programs read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.deploy.safety import moved_shares
from headrace.domain.deployment import (
    Change,
    DeploymentState,
    DeployPlan,
    Endpoint,
    EndpointState,
)

_SIGNS: Mapping[str, tuple[str, str]] = {
    "wait": (".", "dim"),
    "create endpoint": ("+", "green"),
    "update endpoint": ("~", "yellow"),
    "prepare": ("+", "green"),
    "create deployment": ("+", "green"),
    "update deployment": ("~", "yellow"),
    "smoke test": ("?", "cyan"),
    "note": (".", "dim"),
    "set mirror": ("~", "yellow"),
    "move traffic": ("~", "yellow"),
    "set scale": ("~", "yellow"),
    "delete deployment": ("-", "red"),
    "delete endpoint": ("-", "red"),
}
_COLUMNS = (
    Column(title="deployment", least=10),
    Column(title="version", least=12),
    Column(title="traffic", is_right=True),
    Column(title="mirror", is_right=True, leaves=2),
    Column(title="health", least=8),
    Column(title="copies", is_right=True, leaves=1),
)
_HEALTHS = {"healthy": "green", "failed": "red", "starting": "yellow", "stopped": "yellow", "unknown": "dim"}


def render_plan(plan: DeployPlan, ink: Ink, allowed: Collection[str] = ()) -> str:
    """The steps of a plan, what moves, what it costs, what was overridden, and what else should be known."""
    overridden = (f"Overridden, {name}: {problem.what}" for name, problem in plan.unsafe if name in allowed)
    return "\n".join((*_plan_lines(plan, ink), *overridden))


def _plan_lines(plan: DeployPlan, ink: Ink) -> Iterator[str]:
    endpoint = plan.endpoint
    if not plan.changes:
        yield f"Nothing to do: {endpoint.name} on {endpoint.target} is as the file says."
    else:
        yield ink.paint(f"{endpoint.name} on {endpoint.target}, {_count(len(plan.changes))}:", "bold")
    for change in plan.changes:
        sign, color = _SIGNS[change.action]
        yield f"  {ink.paint(sign, color)} {change.what}"
        yield from (f"      {line}" for line in _details(change))
    if plan.changes and plan.hourly_usd is not None and plan.most_hourly_usd is not None:
        yield f"Costs: {_money(plan.hourly_usd, plan.most_hourly_usd)} in an hour."
    yield from (f"Note: {note}" for note in plan.notes)


def _count(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _money(least: float, most: float) -> str:
    if round(least, 4) == round(most, 4):
        return f"{least:.4g} USD"
    return f"{least:.4g} to {most:.4g} USD"


def _details(change: Change) -> Iterator[str]:
    """What changes from what to what, where the step itself does not say it."""
    if change.action not in ("update endpoint", "set scale") or not isinstance(change.after, Mapping):
        return
    before = change.before if isinstance(change.before, Mapping) else {}
    for name, value in change.after.items():
        if name in before and before[name] != value:
            yield f"{name}: {_plain(before[name])} → {_plain(value)}"
        elif change.action == "set scale" and not before and value is not None:
            yield f"{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in sorted(value.items())) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return "none" if value is None or value == "" else str(value)


def plan_to_json(plan: DeployPlan, allowed: Collection[str]) -> dict[str, Any]:
    """A plan for programs; see docs/deploying.md.

    Args:
        plan: The plan.
        allowed: Names of refusals that are overridden.
    """
    moved = moved_shares(plan)
    return {
        "endpoint": plan.endpoint.name,
        "target": plan.endpoint.target,
        "file": plan.endpoint.path,
        "changes": [
            {
                "action": change.action,
                "deployment": change.deployment or None,
                "what": change.what,
                "before": change.before,
                "after": change.after,
            }
            for change in plan.changes
        ],
        "traffic": {
            "before": dict(plan.state.traffic),
            "after": dict(plan.state.traffic) if moved is None else moved,
        },
        "cost_usd_per_hour": None
        if plan.hourly_usd is None
        else {"least": plan.hourly_usd, "most": plan.most_hourly_usd},
        "refusals": [
            {"name": name, "allowed": name in allowed, "problem": problem.to_json()}
            for name, problem in plan.unsafe
        ],
        "notes": list(plan.notes),
    }


def plan_to_markdown(plan: DeployPlan, allowed: Collection[str] = ()) -> str:
    """A plan as a comment on a pull request: its steps, and each refusal with what to do.

    Args:
        plan: The plan.
        allowed: Names of refusals that are overridden.
    """
    title, *lines = _plan_lines(plan, Ink())
    parts = [f"## Plan: {title.rstrip(':')}", *(["```text", *lines, "```"] if lines else [])]
    for name, problem in plan.unsafe:
        word = "Overridden" if name in allowed else "Refused"
        parts.append(f"- **{word}, `{name}`**: {problem.what} {problem.fix or ''}".rstrip())
    return "\n".join(parts)


def render_state(
    endpoint: Endpoint, state: EndpointState, drift: Sequence[str], ink: Ink, width: int | None
) -> str:
    """What is there: a row for each deployment, and how it differs from the file.

    Args:
        endpoint: As the file says.
        state: What is there.
        drift: What applying the file would do, a line each.
        ink: Colours.
        width: Columns of the terminal.
    """
    if not state.exists:
        return f"{endpoint.name} is not on {endpoint.target} yet."
    lines = [
        ink.paint(f"{endpoint.name} on {endpoint.target}", "bold"),
        state.address or "no address yet",
        "",
    ]
    rows = [_row(item, state) for item in state.deployments]
    if rows:
        lines += [render_table(_COLUMNS, rows, ink=ink, width=width), ""]
    lines += [f"{item.name}: {item.message}" for item in state.deployments if item.message]
    lines += [_tried_line(item.name, item.tried) for item in state.deployments if item.tried is not None]
    if state.is_busy or any(item.is_busy for item in state.deployments):
        lines.append("Something is under way.")
    if drift:
        lines.append("Applying the file would:")
        lines += [f"  {line}" for line in drift]
    else:
        lines.append("As the file says.")
    return "\n".join(lines)


def _tried_line(name: str, tried: DeploymentState) -> str:
    version, said = tried.version or "something else", f": {tried.message}" if tried.message else ""
    return f"{name}: {version} stands beside it ({tried.health}{said}), and gets no requests before it has answered."


def _row(item: DeploymentState, state: EndpointState) -> list[Cell | str]:
    copies = "" if item.n_copies is None else str(item.n_copies)
    return [
        Cell(item.name),
        Cell(item.version or "not ours"),
        Cell(f"{state.traffic.get(item.name, 0)} %"),
        Cell(f"{state.mirror[item.name]} %" if state.mirror.get(item.name) else ""),
        Cell(item.health, (_HEALTHS[item.health],)),
        Cell(copies),
    ]


def state_to_json(
    endpoint: Endpoint, state: EndpointState, changes: Sequence[Change] | None
) -> dict[str, Any]:
    """What is there, for programs; see docs/deploying.md.

    Args:
        endpoint: As the file says.
        state: What is there.
        changes: What applying the file would do; ``None`` where that is not known.
    """
    return {
        "endpoint": endpoint.name,
        "target": endpoint.target,
        "exists": state.exists,
        "address": state.address or None,
        "busy": state.is_busy,
        "traffic": dict(state.traffic),
        "mirror": dict(state.mirror),
        "previous": dict(state.previous),
        "deployments": [
            {
                "name": item.name,
                "revision": item.revision or None,
                "version": item.version or None,
                "health": item.health,
                "busy": item.is_busy,
                "message": item.message or None,
                "copies": item.n_copies,
                "ours": item.is_ours,
                "traffic": state.traffic.get(item.name, 0),
                "mirror": state.mirror.get(item.name, 0),
                "tried": None if item.tried is None else _tried_to_json(item.tried),
            }
            for item in state.deployments
        ],
        "drift": None if changes is None else [change.what for change in changes],
    }


def _tried_to_json(tried: DeploymentState) -> dict[str, Any]:
    """The copy that is to take the place of the one that answers requests."""
    return {
        "revision": tried.revision or None,
        "version": tried.version or None,
        "health": tried.health,
        "message": tried.message or None,
    }
