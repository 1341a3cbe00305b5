"""What would change about a deployment of a model, and what of it the region does not offer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from headrace.domain.model_deployment import (
    USUAL_SKU,
    AccountContents,
    ModelDeployment,
    ModelPlan,
    ModelWish,
    OfferedModel,
    OfferedSku,
)
from headrace.errors import Problem, UsageError, nearest

SOON: Final = timedelta(days=90)
"""How long before its end a model is warned of."""

_COMPARED: Final = (
    "model_format", "model", "version", "sku", "capacity", "upgrade", "content_filter", "spillover",
)  # fmt: skip
_GONE: Final = ("deprecated", "retired")


def plan_model(wish: ModelWish, contents: AccountContents, today: date) -> ModelPlan:
    """The plan for one deployment.

    Args:
        wish: What is asked for.
        contents: What the account has, and what its region offers.
        today: For what ends soon.

    Raises:
        UsageError: X301 to X307: everything that the region does not offer or the account does not have.
    """
    before = contents.find(wish.name)
    offer = _find_offer(wish, before, contents)
    sku = _find_sku(wish, before, offer, contents)
    same_sku = before is not None and before.sku == sku.name
    capacity = (
        wish.capacity if wish.capacity is not None else before.capacity if before and same_sku else None
    )
    after = ModelDeployment(
        name=before.name if before else wish.name,
        model_format=offer.model_format,
        model=offer.name,
        version=offer.version,
        sku=sku.name,
        capacity=capacity if capacity is not None else sku.default or sku.minimum or 1,
        upgrade=wish.upgrade or (before.upgrade if before else ""),
        content_filter=_kept(wish.content_filter, before.content_filter if before else ""),
        spillover=_kept(wish.spillover, before.spillover if before else ""),
    )
    problems = [
        *_check_capacity(after, sku),
        *_check_quota(after, before, sku, contents),
        *_check_names(wish, after, contents),
    ]
    if problems:
        raise UsageError(*problems)
    return ModelPlan(
        account=contents.account,
        before=before,
        after=after,
        changes=_changes(before, after),
        offer=offer,
        warnings=tuple(_warn(after, offer, sku, today)),
    )


def plan_deletion(name: str, contents: AccountContents) -> ModelPlan:
    """The plan to delete a deployment; without changes where there is none.

    Raises:
        UsageError: X307, others spill over to it.
    """
    before = contents.find(name)
    if before is None:
        return ModelPlan(account=contents.account, before=None, after=None)
    users = [item.name for item in contents.deployments if item.spillover.lower() == name.lower()]
    if users:
        what = f"{', '.join(users)} spill over to {before.name}, and would be refused where they are busy."
        fix = 'Take it away from them first: headrace deploy model NAME --spillover "".'
        raise UsageError(Problem(code="X307", what=what, fix=fix))
    changes = {key: (getattr(before, key), None) for key in _COMPARED if getattr(before, key)}
    return ModelPlan(account=contents.account, before=before, after=None, changes=changes)


def _kept(wished: str | None, before: str) -> str:
    return before if wished is None else wished


def _find_offer(wish: ModelWish, before: ModelDeployment | None, contents: AccountContents) -> OfferedModel:
    place = contents.account.location
    model = wish.model or (before.model if before else "")
    if not model:
        what = (
            f"{contents.account.name} has no deployment {wish.name!r}, and no model is named for a new one."
        )
        raise UsageError(Problem(code="C507", what=what, fix="Name it: --model gpt-4o-mini."))
    named = [item for item in contents.offers if item.name.lower() == model.lower()]
    if wish.model_format:
        named = [item for item in named if item.model_format.lower() == wish.model_format.lower()]
    if not named:
        names = sorted({item.name for item in contents.offers})
        near = nearest(model, names)
        shown = f"{', '.join(names[:_MOST_SHOWN])}{', …' if len(names) > _MOST_SHOWN else ''}" or "none"
        what = f"{place} offers no model {model!r} for accounts of the kind {contents.account.kind}."
        fix = f'Did you mean "{near}"?' if near else f"It offers: {shown}."
        raise UsageError(Problem(code="X301", what=what, fix=fix))
    is_same = before is not None and before.model.lower() == model.lower()
    version = wish.version or (before.version if before and is_same else "") or _usual(named)
    offer = next((item for item in named if item.version == version), None)
    if offer is None:
        versions = [item.version for item in named]
        near = nearest(version, versions)
        what = f"{place} does not offer version {version!r} of {named[0].name}."
        fix = f'Did you mean "{near}"? ' if near else ""
        raise UsageError(Problem(code="X302", what=what, fix=f"{fix}It offers: {', '.join(versions)}."))
    if offer.lifecycle.lower() in _GONE and not (before and is_same and before.version == version):
        what = f"{offer.name} {offer.version} is retired, and answers nobody any more."
        instead = offer.replacement or _usual([item for item in named if item is not offer])
        fix = f"Take {instead}." if instead else "Take another model."
        raise UsageError(Problem(code="X305", what=what, fix=fix))
    return offer


_MOST_SHOWN = 12


def _usual(offers: Sequence[OfferedModel]) -> str:
    """The version that one gets without naming one, else the latest; empty without any."""
    usable = [item for item in offers if item.lifecycle.lower() not in _GONE] or list(offers)
    default = next((item.version for item in usable if item.is_default), "")
    return default or max((item.version for item in usable), default="")


def _find_sku(
    wish: ModelWish, before: ModelDeployment | None, offer: OfferedModel, contents: AccountContents
) -> OfferedSku:
    names = [item.name for item in offer.skus]
    usual = USUAL_SKU if USUAL_SKU in names or not names else names[0]
    wanted = wish.sku or (before.sku if before else usual)
    found = next((item for item in offer.skus if item.name.lower() == wanted.lower()), None)
    if found is not None:
        return found
    near = nearest(wanted, names)
    what = f"{contents.account.location} does not offer {offer.name} {offer.version} as {wanted}."
    start = f'Did you mean "{near}"? ' if near else ""
    raise UsageError(
        Problem(code="X303", what=what, fix=f"{start}It offers: {', '.join(names) or 'nothing'}.")
    )


def _check_capacity(after: ModelDeployment, sku: OfferedSku) -> Iterator[Problem]:
    low, high = sku.minimum or 1, sku.maximum
    if sku.allowed and after.capacity not in sku.allowed:
        fix = f"Choose one of: {', '.join(map(str, sku.allowed))}."
    elif after.capacity < low or (high is not None and after.capacity > high):
        fix = f"Choose from {low} to {high}." if high is not None else f"Choose {low} or more."
    elif sku.step and (after.capacity - low) % sku.step:
        below = after.capacity - (after.capacity - low) % sku.step
        fix = f"Choose {below} or {below + sku.step}: units come in steps of {sku.step}."
    else:
        return
    what = f"{sku.name} of {after.model} is not offered with {after.capacity} units."
    yield Problem(code="X304", what=what, fix=fix)


def _check_quota(
    after: ModelDeployment, before: ModelDeployment | None, sku: OfferedSku, contents: AccountContents
) -> Iterator[Problem]:
    quota = next((item for item in contents.quotas if item.name == sku.usage), None)
    if quota is None or not sku.usage:
        return
    counted = before.capacity if before is not None and _usage(before, contents) == sku.usage else 0
    needed = after.capacity - counted
    if needed <= 0 or quota.used + needed <= quota.limit:
        return
    left = max(0, quota.limit - quota.used)
    yield quota_problem(
        quota.label or quota.name, quota.used, quota.limit, needed, after.name, int(counted + left)
    )


def quota_problem(label: str, used: float, limit: float, needed: float, name: str, most: int) -> Problem:
    """X306: which quota does not suffice, and how much of it is left.

    Args:
        label: Name of the quota.
        used: Of it.
        limit: Of it.
        needed: More than now.
        name: Of the deployment.
        most: Units that it could have.
    """
    what = (
        f"The quota {label} does not suffice for {name}: {used:g} of {limit:g} are used, {max(0, limit - used):g} are "
        f"left, {needed:g} more are needed."
    )
    smaller = f"Write --capacity {most} or less, lower" if most > 0 else "Lower"
    fix = f"{smaller} another deployment of the region, or ask for more quota: Azure portal, Quotas."
    return Problem(code="X306", what=what, fix=fix)


def _usage(deployment: ModelDeployment, contents: AccountContents) -> str:
    offer = contents.offer_of(deployment)
    skus = offer.skus if offer is not None else ()
    return next((item.usage for item in skus if item.name == deployment.sku), "")


def _check_names(wish: ModelWish, after: ModelDeployment, contents: AccountContents) -> Iterator[Problem]:
    others = [item.name for item in contents.deployments if item.name.lower() != after.name.lower()]
    if wish.spillover and wish.spillover.lower() not in [name.lower() for name in others]:
        yield _unknown("deployment to spill over to", wish.spillover, others)
    if wish.content_filter and wish.content_filter.lower() not in [
        name.lower() for name in contents.policies
    ]:
        yield _unknown("content filter policy", wish.content_filter, contents.policies)


def _unknown(kind: str, name: str, known: Sequence[str]) -> Problem:
    near = nearest(name, known)
    fix = f'Did you mean "{near}"?' if near else f"There are: {', '.join(known) or 'none'}."
    return Problem(code="X307", what=f"The account has no {kind} that is called {name!r}.", fix=fix)


def _changes(
    before: ModelDeployment | None, after: ModelDeployment
) -> dict[str, tuple[str | int | None, str | int | None]]:
    if before is None:
        return {key: (None, getattr(after, key)) for key in _COMPARED if getattr(after, key)}
    found = {key: (getattr(before, key), getattr(after, key)) for key in _COMPARED}
    differing = {key: pair for key, pair in found.items() if pair[0] != pair[1]}
    is_done = before.state.lower() in ("succeeded", "")
    return differing if differing or is_done else {"state": (before.state, "Succeeded")}


def is_as_wished(found: ModelDeployment | None, wished: ModelDeployment) -> bool:
    """Whether a deployment is there, done, and all that was wished for; the rest is what Azure chose."""
    if found is None:
        return False
    chosen = {key: getattr(found, key) for key in _COMPARED if not getattr(wished, key)}
    return not _changes(found, replace(wished, **chosen))


def _warn(after: ModelDeployment, offer: OfferedModel, sku: OfferedSku, today: date) -> Iterator[Problem]:
    named = f"{offer.name} {offer.version}"
    fix = f"{offer.replacement} follows it." if offer.replacement else "Look for a newer model in good time."
    if after.upgrade == "NoAutoUpgrade":
        fix += " It is not taken by itself: --upgrade OnceCurrentVersionExpired."
    if offer.lifecycle.lower() in _GONE:
        yield _warning(f"{named} is retired, and answers nobody any more.", fix)
    elif offer.retires is not None and offer.retires - today <= SOON:
        about = "is planned to retire" if offer.is_tentative else "retires"
        yield _warning(f"{named} {about} on {offer.retires.isoformat()}.", fix)
    elif offer.lifecycle.lower() == "deprecating":
        yield _warning(f"{named} is on its way out.", fix)
    if sku.retires is not None and sku.retires - today <= SOON:
        yield _warning(f"{sku.name} of {named} is not offered from {sku.retires.isoformat()} on.", fix)


def _warning(what: str, fix: str) -> Problem:
    return Problem(code="X309", what=what, fix=fix, severity="warning")


def with_state(plan: ModelPlan, found: ModelDeployment | None) -> ModelPlan:
    """The plan with what the service says after it was applied."""
    return replace(plan, after=found) if found is not None else plan
