"""Deployments of models through the package ``azure-mgmt-cognitiveservices`` (extra ``foundry``)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.polling import LROPoller
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from azure.mgmt.cognitiveservices.models import (
    Deployment,
    DeploymentModel,
    DeploymentProperties,
    Sku,
)

from headrace.deploy.azure_answers import PlainAnswers, is_lost, readable_answers
from headrace.deploy.azure_failures import Doing, as_our_error, plain_message
from headrace.deploy.azure_faults import region_name
from headrace.deploy.base import Tell
from headrace.deploy.looking import READS_S, looks, seen
from headrace.deploy.model_plan import is_as_wished, quota_problem
from headrace.domain.deployment import Endpoint
from headrace.domain.model_deployment import (
    AccountContents,
    ModelAccount,
    ModelDeployment,
    ModelQuota,
    OfferedModel,
    OfferedSku,
    RateLimitRule,
)
from headrace.errors import Problem, RemoteRequestError, RemoteTimeoutError, UsageError, nearest
from headrace.providers.azure_credential import AzureCredential

_Poller = TypeVar("_Poller")

API_VERSION = "2025-09-01"
KINDS = ("OpenAI", "AIServices")
"""Kinds of accounts that models are deployed in."""

_LOOK_S = 1.0
_GONE = (404, 410)
_PASSING = (409, 423, 429)
_TRIES = 4
_BUSY = ("accepted", "creating", "deleting", "moving", "updating")
_TELL_EVERY_S = 30.0
_QUOTA = re.compile(
    r"require (?P<needed>[\d.]+) new capacity in quota (?P<what>.+?), which is bigger than the current available "
    r"capacity (?P<left>[\d.]+)\..*?current quota usage is (?P<used>[\d.]+) and the quota limit is (?P<limit>[\d.]+)",
    re.IGNORECASE | re.DOTALL,
)


class ModelDeployments:
    """The accounts of a subscription, with the models that are deployed in them.

    Args:
        subscription: Its id.
        tell: Takes lines about what is being waited for.
        limit_s: How long making or deleting a deployment may take, seconds.
    """

    def __init__(self, subscription: str, tell: Tell, limit_s: float = 1800.0) -> None:
        self._tell = tell
        self._limit_s = limit_s
        self._credential = AzureCredential()
        self._client = CognitiveServicesManagementClient(
            self._credential, subscription, api_version=API_VERSION, per_call_policies=[PlainAnswers()]
        )

    def find_account(self, name: str, group: str) -> ModelAccount:
        """An account by its name, or the only one that there is.

        Args:
            name: Its name; empty for the only one.
            group: Resource group that it is in; empty for any.

        Raises:
            UsageError: X308.
        """
        with self._failures("the accounts of the subscription"):
            listed = (
                self._client.accounts.list_by_resource_group(group) if group else self._client.accounts.list()
            )
            found = [_account(item) for item in listed if item.kind in KINDS]
        chosen = [item for item in found if not name or item.name.lower() == name.lower()]
        if len(chosen) == 1:
            return chosen[0]
        names = sorted({item.name for item in found})
        where = f"the resource group {group}" if group else "the subscription"
        if not name and found:
            what = f"There are {len(found)} accounts in {where}: {', '.join(names)}."
            raise UsageError(Problem(code="X308", what=what, fix="Name one: --account NAME."))
        if chosen:
            groups = ", ".join(sorted(item.group for item in chosen))
            what = f"Several accounts are called {name!r}, in the resource groups {groups}."
            raise UsageError(Problem(code="X308", what=what, fix="Name one: --group NAME."))
        near = nearest(name, names)
        what = f"There is no account {name!r} of Azure OpenAI or Foundry in {where}, or the identity may not see it."
        if not name:
            what = (
                f"There is no account of Azure OpenAI or Foundry in {where}, or the identity may not see it."
            )
        fix = f'Did you mean "{near}"?' if near else f"There are: {', '.join(names) or 'none'}."
        raise UsageError(Problem(code="X308", what=what, fix=fix))

    def read(
        self, account: ModelAccount, *, is_planning: bool, has_policies: bool = False
    ) -> AccountContents:
        """What an account has, and what its region offers for its kind.

        Args:
            account: The account.
            is_planning: Whether something is to be made: then the region has to say what it offers, and quotas are
                read as well.
            has_policies: Whether content filter policies are read.

        Raises:
            AccessDeniedError, RemoteError: It cannot be read.
        """
        with self._failures(f"the account {account.name}"):
            deployments = self._client.deployments.list(account.group, account.name)
            policies = self._client.rai_policies.list(account.group, account.name) if has_policies else ()
            return AccountContents(
                account=account,
                deployments=tuple(map(_deployment, deployments)),
                offers=self._offers(account, is_needed=is_planning),
                quotas=self._quotas(account) if is_planning else (),
                policies=tuple(str(item.name) for item in policies),
            )

    def _offers(self, account: ModelAccount, *, is_needed: bool) -> tuple[OfferedModel, ...]:
        try:
            listed = [item for item in self._client.models.list(account.location) if item.model is not None]
        except HttpResponseError as error:
            if is_needed or error.status_code not in (403, 404):
                raise
            self._tell(
                f"What {account.location} offers cannot be read, so it is not known when models retire."
            )
            return ()
        own = [item for item in listed if item.kind == account.kind] or listed
        offers = [_offer(item.model) for item in own]
        return tuple(sorted(offers, key=lambda item: (item.name.lower(), item.version)))

    def _quotas(self, account: ModelAccount) -> tuple[ModelQuota, ...]:
        """Quotas of the region; they are of the subscription, which not everybody may read who deploys models."""
        try:
            return tuple(map(_quota, self._client.usages.list(account.location)))
        except HttpResponseError as error:
            if error.status_code not in (403, 404):
                raise
            self._tell(
                f"The quotas of {account.location} cannot be read, so only the service says whether they suffice."
            )
            return ()

    def put(self, account: ModelAccount, wished: ModelDeployment) -> ModelDeployment:
        """Make a deployment, or change it; made again it does no more.

        Raises:
            AccessDeniedError, RemoteError: It was not done, or not within its time.
        """
        what = f"the deployment {wished.name}"
        with self._failures(what, wished):

            def is_made(found: ModelDeployment | None) -> bool:
                return found is not None and is_as_wished(found, wished)

            def begin() -> LROPoller[Any]:
                deployments = self._client.deployments
                return deployments.begin_create_or_update(
                    account.group, account.name, wished.name, _body(wished)
                )

            poller, found = self._begin(account, wished.name, begin, is_made)
            if poller is None and found is not None:
                return found
            made = self._finish(poller, what) if poller is not None else None
            shown = self._shown(account, wished.name, is_made)
            if shown is None and made is None:
                raise _too_long(what, READS_S)
            return shown or _deployment(made)

    def delete(self, account: ModelAccount, name: str) -> None:
        """Delete a deployment; one that is not there is deleted.

        Raises:
            AccessDeniedError, RemoteError: It was not done, or not within its time.
        """
        with self._failures(f"the deployment {name}"):

            def begin() -> LROPoller[None]:
                return self._client.deployments.begin_delete(account.group, account.name, name)

            try:
                poller, _ = self._begin(account, name, begin, lambda found: found is None)
            except ResourceNotFoundError:
                return
            if poller is not None:
                self._finish(poller, f"the deployment {name}")
                self._shown(account, name, lambda found: found is None)

    def close(self) -> None:
        """Give back connections."""
        self._client.close()
        self._credential.close()

    def _begin(
        self,
        account: ModelAccount,
        name: str,
        begin: Callable[[], _Poller],
        is_done: Callable[[ModelDeployment | None], bool],
    ) -> tuple[_Poller | None, ModelDeployment | None]:
        """Begin an operation once nobody else is at work; no poller where nothing is left to be done.

        Where it was refused for now, or its answer was lost, it is looked at again first.
        """
        for number in range(_TRIES):
            found = self._until_quiet(account, name)
            if is_done(found):
                return None, found
            try:
                return begin(), found
            except AzureError as error:
                if number == _TRIES - 1 or not _passes(error):
                    raise
                time.sleep(_LOOK_S * 2**number)
        raise AssertionError  # the last turn returns or raises

    def _until_quiet(self, account: ModelAccount, name: str) -> ModelDeployment | None:
        """The deployment once nobody makes or changes it any more; ``None`` where there is none."""
        begun, what = time.monotonic(), f"the deployment {name}"
        while (found := self._find(account, name)) is not None and found.state.lower() in _BUSY:
            if time.monotonic() - begun >= self._limit_s:
                raise _too_long(what, self._limit_s)
            self._tell(f"{what}: {found.state}, from before")
            time.sleep(_LOOK_S)
        return found

    def _shown(
        self, account: ModelAccount, name: str, is_it: Callable[[ModelDeployment | None], bool]
    ) -> ModelDeployment | None:
        """The deployment once reads show what was done, which may lag behind; ``None`` where that does not come."""
        found = seen(partial(self._until_quiet, account, name), is_it, looks(READS_S))
        return found if is_it(found) else None

    def _find(self, account: ModelAccount, name: str) -> ModelDeployment | None:
        try:
            return _deployment(self._client.deployments.get(account.group, account.name, name))
        except ResourceNotFoundError:
            return None

    def _finish(self, poller: LROPoller[Any], what: str) -> Any:
        """The result of an operation; ``None`` where its address is not known yet, or reads lag behind."""
        begun = told = time.monotonic()
        try:
            while not poller.done():
                now = time.monotonic()
                if now - begun >= self._limit_s:
                    raise _too_long(what, self._limit_s)
                if now - told >= _TELL_EVERY_S:
                    told = now
                    self._tell(f"{what}: {round(now - begun)} s")
                poller.wait(_LOOK_S)
            return poller.result()
        except HttpResponseError as error:
            if error.status_code not in _GONE:
                raise
            return None

    @contextmanager
    def _failures(self, what: str, wished: ModelDeployment | None = None) -> Iterator[None]:
        try:
            with readable_answers():
                yield
        except AzureError as error:
            raise _our_error(error, what, wished) from error


def _passes(error: AzureError) -> bool:
    """Whether a request is made again: somebody else is at work, or it was refused for now, or its answer was lost."""
    return is_lost(error) or (isinstance(error, HttpResponseError) and error.status_code in _PASSING)


def _our_error(error: AzureError, what: str, wished: ModelDeployment | None) -> Exception:
    said = str(getattr(error, "message", "") or error)
    quota = _QUOTA.search(said)
    if quota is not None and wished is not None:
        used, limit, needed = (float(quota[name]) for name in ("used", "limit", "needed"))
        most = int(wished.capacity - needed + float(quota["left"]))
        return RemoteRequestError(quota_problem(quota["what"], used, limit, needed, wished.name, most))
    # An operation that failed is an error with status 200.
    is_refused = isinstance(error, HttpResponseError) and error.status_code in (200, 400, 422)
    if is_refused and wished is not None:
        text = f"Azure refuses {what}: {plain_message(said)}"
        fix = "Change what the message names; headrace deploy model NAME --dry-run shows what would be sent."
        return RemoteRequestError(Problem(code="X310", what=text, fix=fix))
    endpoint = Endpoint(name=wished.name if wished else what, target="azureml", deployments=())
    return as_our_error(error, Doing(what=what, endpoint=endpoint))


def _too_long(what: str, limit_s: float) -> RemoteTimeoutError:
    text = f"{what}: this has not ended after {round(limit_s)} seconds."
    fix = "It may still go on in Azure. Give the same command again: it waits for what is under way and goes on."
    return RemoteTimeoutError(Problem(code="X213", what=text, fix=fix))


def _account(item: Any) -> ModelAccount:
    group = re.search(r"/resourceGroups/([^/]+)/", item.id, re.IGNORECASE)
    return ModelAccount(
        name=item.name,
        group=group[1] if group else "",
        location=region_name(item.location or ""),
        kind=item.kind or "",
    )


def _deployment(item: Any) -> ModelDeployment:
    properties = item.properties or DeploymentProperties()
    model, sku = properties.model, item.sku
    return ModelDeployment(
        name=item.name,
        model_format=(model.format if model else "") or "",
        model=(model.name if model else "") or "",
        version=(model.version if model else "") or "",
        sku=(sku.name if sku else "") or "",
        capacity=(sku.capacity if sku else 0) or 0,
        upgrade=_text(properties.version_upgrade_option),
        content_filter=properties.rai_policy_name or "",
        spillover=properties.spillover_deployment_name or "",
        state=_text(properties.provisioning_state),
        limits=tuple(
            RateLimitRule(key=rule.key or "", count=rule.count or 0, period_s=rule.renewal_period or 60)
            for rule in properties.rate_limits or ()
        ),
    )


def _body(wished: ModelDeployment) -> Deployment:
    return Deployment(
        sku=Sku(name=wished.sku, capacity=wished.capacity),
        properties=DeploymentProperties(
            model=DeploymentModel(format=wished.model_format, name=wished.model, version=wished.version),
            version_upgrade_option=wished.upgrade or None,
            rai_policy_name=wished.content_filter or None,
            spillover_deployment_name=wished.spillover or None,
        ),
    )


def _offer(model: Any) -> OfferedModel:
    replacement = model.replacement_config
    names = (replacement.target_model_name, replacement.target_model_version) if replacement else ()
    deprecation = model.deprecation
    return OfferedModel(
        model_format=model.format or "",
        name=model.name or "",
        version=model.version or "",
        is_default=bool(model.is_default_version),
        lifecycle=_text(model.lifecycle_status),
        retires=_day(deprecation.inference if deprecation else None),
        is_tentative=_text(deprecation.deprecation_status).lower() == "tentative" if deprecation else False,
        replacement=" ".join(name for name in names if name),
        skus=tuple(map(_sku, model.skus or ())),
    )


def _sku(sku: Any) -> OfferedSku:
    capacity = sku.capacity
    return OfferedSku(
        name=sku.name or "",
        usage=sku.usage_name or "",
        minimum=capacity.minimum if capacity else None,
        maximum=capacity.maximum if capacity else None,
        step=capacity.step if capacity else None,
        default=capacity.default if capacity else None,
        allowed=tuple(capacity.allowed_values or ()) if capacity else (),
        retires=_day(sku.deprecation_date),
    )


def _quota(usage: Any) -> ModelQuota:
    name = usage.name
    return ModelQuota(
        name=(name.value if name else "") or "",
        label=(name.localized_value if name else "") or "",
        used=usage.current_value or 0,
        limit=usage.limit or 0,
    )


def _day(value: str | datetime | None) -> date | None:
    """The day of a time, which the service writes in more than one way."""
    if isinstance(value, datetime):
        return value.date()
    try:
        return date.fromisoformat(value[:10]) if value else None
    except ValueError:
        return None


def _text(value: Any) -> str:
    """The word of an enumeration, or a plain text."""
    return str(getattr(value, "value", value) or "")
