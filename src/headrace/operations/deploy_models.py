"""Models in accounts of Azure OpenAI or Foundry: deployed, changed, deleted and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from headrace.deploy.model_plan import plan_deletion, plan_model, with_state
from headrace.domain.model_deployment import (
    AccountContents,
    ModelAccount,
    ModelPlan,
    ModelWish,
    ServerlessEndpoint,
)
from headrace.errors import Problem, UsageError
from headrace.providers.loading import load_optional

MODELS: Final = "headrace.deploy.model_deployments:ModelDeployments"
SERVERLESS: Final = "headrace.deploy.serverless_endpoints:list_serverless"
"""Import strings of what talks to Azure."""

SUBSCRIPTION: Final = "AZURE_SUBSCRIPTION_ID"
GROUP: Final = "AZURE_RESOURCE_GROUP"
WORKSPACE: Final = "AZUREML_WORKSPACE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace:
    """Where an account is.

    Attributes:
        subscription: Its id.
        group: Resource group; empty for any.
        account: Its name; empty for the only one.
    """

    subscription: str
    group: str = ""
    account: str = ""


def find_place(
    environment: Mapping[str, str], subscription: str | None, group: str | None, account: str | None
) -> ModelPlace:
    """Where an account is, by what is given, else by the variables of the environment.

    Raises:
        UsageError: C507 without a subscription.
    """
    found = subscription or environment.get(SUBSCRIPTION, "")
    if not found:
        fix = f"Write --subscription ID, or set {SUBSCRIPTION}."
        raise UsageError(Problem(code="C507", what="No subscription of Azure is named.", fix=fix))
    named = environment.get(GROUP, "") if group is None and account is None else group
    return ModelPlace(subscription=found, group=named or "", account=account or "")


def read_account(place: ModelPlace, tell: Callable[[str], None]) -> AccountContents:
    """What an account has, and what its region offers.

    Raises:
        UsageError: C505, X308.
        AccessDeniedError, RemoteError: It cannot be read.
    """
    with _opened(place, tell) as (models, account):
        contents: AccountContents = models.read(account, is_planning=False)
        return contents


def deploy_model(
    place: ModelPlace, wish: ModelWish, tell: Callable[[str], None], *, today: date, is_dry: bool
) -> ModelPlan:
    """Deploy a model, or change its deployment.

    Args:
        place: Where the account is.
        wish: What is asked for.
        tell: Takes lines about what is being waited for.
        today: For what ends soon.
        is_dry: Only say what would change.

    Raises:
        UsageError: What is asked for is not offered, or there is no such account.
        AccessDeniedError, RemoteError: It cannot be read or made.
    """
    with _opened(place, tell) as (models, account):
        plan = plan_model(
            wish, models.read(account, is_planning=True, has_policies=bool(wish.content_filter)), today
        )
        if is_dry or not plan.is_needed or plan.after is None:
            return plan
        tell(f"{'Changing' if plan.before else 'Making'} {plan.after.name} in {account.name}")
        return with_state(plan, models.put(account, plan.after))


def delete_model(
    place: ModelPlace, name: str, tell: Callable[[str], None], may: Callable[[ModelPlan], bool]
) -> tuple[ModelPlan, bool]:
    """Delete the deployment of a model; one that is not there is deleted.

    Args:
        place: Where the account is.
        name: Of the deployment.
        tell: Takes lines about what is being waited for.
        may: Says whether it may be done; not asked where there is nothing to delete.

    Returns:
        What would be done, and whether it was.

    Raises:
        UsageError: X307, X308.
        AccessDeniedError, RemoteError: It cannot be read or deleted.
    """
    with _opened(place, tell) as (models, account):
        plan = plan_deletion(name, models.read(account, is_planning=False))
        if plan.before is None or not may(plan):
            return plan, False
        models.delete(account, plan.before.name)
        return plan, True


def list_serverless(
    environment: Mapping[str, str], subscription: str | None, group: str | None, workspace: str | None
) -> tuple[ServerlessEndpoint, ...]:
    """The classic serverless API endpoints of a workspace.

    Raises:
        UsageError: C505, or C507 where it is not said which workspace.
        AccessDeniedError, RemoteError: They cannot be read.
    """
    wanted = {SUBSCRIPTION: subscription, GROUP: group, WORKSPACE: workspace}
    found = {name: value or environment.get(name, "") for name, value in wanted.items()}
    missing = [name for name, value in found.items() if not value]
    if missing:
        what = "It is not said which workspace the endpoints are in."
        fix = f"Write --subscription, --group and --workspace, or set {', '.join(missing)}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    listed: tuple[ServerlessEndpoint, ...] = load_optional(SERVERLESS, extra="azureml")(*found.values())
    return listed


@contextmanager
def _opened(place: ModelPlace, tell: Callable[[str], None]) -> Iterator[tuple[Any, ModelAccount]]:
    models = load_optional(MODELS, extra="foundry")(place.subscription, tell)
    try:
        yield models, models.find_account(place.account, place.group)
    finally:
        models.close()
