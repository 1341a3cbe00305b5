"""Deployments of models in an account of Azure OpenAI or Foundry: what is there, what is offered, what would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, TypeAlias

from headrace.domain.values import JsonValue
from headrace.errors import Problem

UpgradePolicy: TypeAlias = Literal[
    "OnceNewDefaultVersionAvailable", "OnceCurrentVersionExpired", "NoAutoUpgrade"
]
"""When the service takes a newer version of the model by itself."""

USUAL_SKU: Final = "GlobalStandard"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccount:
    """An account that models are deployed in.

    Attributes:
        kind: ``OpenAI`` or ``AIServices``; not every model is offered for both.
    """

    name: str
    group: str
    location: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitRule:
    """What the service lets through: so many of something within a time.

    Attributes:
        key: ``request`` or ``token``.
        count: How many.
        period_s: Within how many seconds.
    """

    key: str
    count: float
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDeployment:
    """One deployment of a model, as it is or as it shall be.

    Attributes:
        model_format: Whose model it is, in the words of the service: ``OpenAI``, ``Microsoft``, ``Meta``, …
        capacity: Units of the SKU: a thousand tokens a minute for standard ones.
        upgrade: One of :data:`UpgradePolicy`; empty for what the service does by itself.
        content_filter: Name of the policy; empty for that of the service.
        spillover: Deployment that answers where this one is busy; empty for none.
        state: ``Succeeded``, ``Creating``, ``Failed``, …; empty for one that shall be.
        limits: What the service lets through.
    """

    name: str
    model_format: str
    model: str
    version: str
    sku: str
    capacity: int
    upgrade: str = ""
    content_filter: str = ""
    spillover: str = ""
    state: str = ""
    limits: tuple[RateLimitRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedSku:
    """A way in which a version of a model is offered in a region.

    Attributes:
        usage: Name of the quota that it counts against.
        minimum: Fewest units; ``None`` where the service does not say.
        step: Units come in multiples of it above the minimum.
        allowed: Only these numbers of units; empty for all.
        default: Units that are usual.
        retires: Day from which it is not offered.
    """

    name: str
    usage: str = ""
    minimum: int | None = None
    maximum: int | None = None
    step: int | None = None
    default: int | None = None
    allowed: tuple[int, ...] = ()
    retires: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedModel:
    """A version of a model that a region offers.

    Attributes:
        is_default: Whether it is what one gets without naming a version.
        lifecycle: ``GenerallyAvailable``, ``Preview``, ``Deprecating``, ``Deprecated``, …; empty where it is not said.
        retires: Day from which it answers nobody.
        is_tentative: Whether that day may still change.
        replacement: Model, and version, that follows it; empty where none is said.
    """

    model_format: str
    name: str
    version: str
    is_default: bool = False
    lifecycle: str = ""
    retires: date | None = None
    is_tentative: bool = False
    replacement: str = ""
    skus: tuple[OfferedSku, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuota:
    """What a subscription may have of something in a region, and has.

    Attributes:
        name: As :attr:`OfferedSku.usage` names it.
        label: For people.
    """

    name: str
    label: str
    used: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWish:
    """What somebody asks for; what is empty or ``None`` stays as it is, or is as usual.

    Attributes:
        content_filter: Name of the policy.
        spillover: Name of a deployment; empty text takes it away.
    """

    name: str
    model: str = ""
    model_format: str = ""
    version: str = ""
    sku: str = ""
    capacity: int | None = None
    upgrade: str = ""
    content_filter: str | None = None
    spillover: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountContents:
    """What a plan is made from.

    Attributes:
        policies: Names of content filter policies.
    """

    account: ModelAccount
    deployments: tuple[ModelDeployment, ...]
    offers: tuple[OfferedModel, ...]
    quotas: tuple[ModelQuota, ...] = ()
    policies: tuple[str, ...] = ()

    def find(self, name: str) -> ModelDeployment | None:
        """The deployment of that name."""
        return next((item for item in self.deployments if item.name.lower() == name.lower()), None)

    def offer_of(self, deployment: ModelDeployment) -> OfferedModel | None:
        """What is offered of the version that a deployment has."""
        wanted = (deployment.model.lower(), deployment.version)
        return next((item for item in self.offers if (item.name.lower(), item.version) == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerlessEndpoint:
    """A classic serverless API endpoint of a workspace.

    Attributes:
        model: Id of the model in its registry.
        address: Where requests go.
    """

    name: str
    model: str
    address: str
    state: str
    authentication: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """What would change about one deployment.

    Attributes:
        before: What is there; ``None`` for nothing.
        after: What will be there; ``None`` where it is deleted.
        changes: Key to what it is and what it will be.
        offer: Of the version that it will have.
        warnings: What people should know.
    """

    account: ModelAccount
    before: ModelDeployment | None
    after: ModelDeployment | None
    changes: Mapping[str, tuple[JsonValue, JsonValue]] = field(default_factory=dict)
    offer: OfferedModel | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes)
