"""A flow that runs elsewhere for everybody: what is wished for, what is there, and the steps between the two.

An *endpoint* is an address. Behind it stand *deployments*, copies of a flow, which share its *traffic* in percent. A
deployment file says what is wished for (:class:`Endpoint`); a target says what is there (:class:`EndpointState`); the
difference is a :class:`DeployPlan` of :class:`Change` values in the order in which they are made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from headrace.domain.values import JsonValue
from headrace.errors import Problem
from headrace.source import Pointer, SourceMap, Span

LOCAL: Final = "local"
AZUREML: Final = "azureml"
ACA: Final = "aca"

TargetName: TypeAlias = Literal["local", "azureml", "aca"]
Authentication: TypeAlias = Literal["key", "entra", "none"]
Health: TypeAlias = Literal["healthy", "starting", "failed", "stopped", "unknown"]
Action: TypeAlias = Literal[
    "wait",
    "create endpoint",
    "update endpoint",
    "prepare",
    "create deployment",
    "update deployment",
    "smoke test",
    "note",
    "set mirror",
    "move traffic",
    "set scale",
    "delete deployment",
    "delete endpoint",
]

ALTERNATING = ("blue", "green")
"""What the deployments of a file without arms are called: a new version takes the place without traffic."""

VERSION_TAG, SPEC_TAG, PREVIOUS_TAG, UNTRIED_TAG, OWNER_TAG = (
    "headrace-version",
    "headrace-spec",
    "headrace-previous",
    "headrace-untried",
    "headrace",
)
"""Tags on what we make: the flow's version, the digest of a deployment, the traffic before the last move as JSON, what
answers requests without having answered its sample, likewise, and a mark that it is ours, with the version of
headrace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzurePlace:
    """Where in Azure an endpoint lives.

    Attributes:
        workspace: Of Azure Machine Learning.
        environment: Of Container Apps: the name of the managed environment.
        location: Region; empty for that of the workspace or the environment.
        registry: Name of the container registry that images are built in and taken from; empty where none is needed.
    """

    subscription: str
    resource_group: str
    workspace: str = ""
    environment: str = ""
    location: str = ""
    registry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A variable of the environment that deployments run with; exactly one of the sources is given.

    Attributes:
        value: Text as it is; no secret.
        vault_url: Address of a Key Vault secret, which the target reads with the identity of the deployment.
        connection: A workspace connection, and ``field`` of it, that the target reads.
        variable: Variable of the environment of whoever applies; its value becomes a secret of the target.
        span: Place in the file.
    """

    name: str
    value: str | None = None
    vault_url: str | None = None
    connection: str | None = None
    field: str | None = None
    variable: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one copy gets.

    Attributes:
        instance_type: Machine of a managed online deployment, ``Standard_DS3_v2``.
        cpu: Cores of a container.
        memory_gib: Memory of a container, GiB.
    """

    instance_type: str = ""
    cpu: float | None = None
    memory_gib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many copies there are.

    Attributes:
        minimum: 0 only where the target scales to zero.
        maximum: Equal to ``minimum`` for a fixed number.
        requests_at_once: Requests in flight for each copy above which another one starts; ``None`` for the target's.
        cpu_percent: Load above which another one starts; ``None`` for none.
    """

    minimum: int = 1
    maximum: int = 1
    requests_at_once: int | None = None
    cpu_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits of one deployment for requests.

    Attributes:
        timeout_s: For one answer, seconds.
        at_once: Requests that one copy takes at the same time.
    """

    timeout_s: float = 60.0
    at_once: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """When a copy counts as alive or ready: seconds, and numbers of answers in a row."""

    initial_delay_s: int = 10
    period_s: int = 10
    timeout_s: int = 2
    successes: int = 1
    failures: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowChoice:
    """Which flow a deployment serves.

    Attributes:
        source: Path of a folder or file, or the name of a stored version.
        version: Name of the version with the first 12 digits of its digest, ``triage@3 (1f2e…)``; empty before it is
            looked up.
        digest: SHA-256 of the version, hexadecimal; empty before it is looked up.
        is_versioned: Whether the store keeps this version, so that it can be repeated.
        variant: ``${node.variant}``; empty for the defaults.
        model: ``connection/model`` in place of what the flow says; empty for none.
        sample: File with the inputs of the smoke test; empty for the flow's own sample.
    """

    source: str
    version: str = ""
    digest: str = ""
    is_versioned: bool = False
    variant: str = ""
    model: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One copy that is wished for.

    Attributes:
        name: As it is called at the target: a deployment of Azure Machine Learning, a label of Container Apps. Empty
            in a file without arms, until the plan takes one of :data:`ALTERNATING`.
        arm: Name of the arm, as experiments and traffic files call it; that of the deployment unless the file differs.
        traffic_percent: Share of the requests; ``None`` leaves it as it is.
        mirror_percent: Share of the requests that are copied to it, whose answers nobody gets.
        image: Image by digest that is run in place of one that is built; empty for that.
        settings: In order of name.
        tags: Further ones, for people.
        pointer: Where it stands in the file.
    """

    name: str
    arm: str
    flow: FlowChoice
    traffic_percent: int | None = None
    mirror_percent: int = 0
    image: str = ""
    size: Size = field(default_factory=Size)
    scale: Scale = field(default_factory=Scale)
    limits: RequestLimits = field(default_factory=RequestLimits)
    liveness: Probe = field(default_factory=Probe)
    readiness: Probe = field(default_factory=Probe)
    settings: tuple[Setting, ...] = ()
    collect_share: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)
    pointer: Pointer = ()

    def spec_digest(self, runtime: str) -> str:
        """16 digits that change with everything that a copy is made from, and with nothing else.

        Its name, its traffic and its scale are not among that: they can change while the copy stays.

        Args:
            runtime: What serves the flow, e.g. the version of headrace; counts where no image is given.
        """
        made_from = {
            "flow": [self.flow.digest, self.flow.variant, self.flow.model],
            "image": self.image or runtime,
            "size": [self.size.instance_type, self.size.cpu, self.size.memory_gib],
            "limits": [self.limits.timeout_s, self.limits.at_once],
            "probes": [
                [probe.initial_delay_s, probe.period_s, probe.timeout_s, probe.successes, probe.failures]
                for probe in (self.liveness, self.readiness)
            ],
            "collect": self.collect_share,
            "settings": [
                [item.name, item.value, item.vault_url, item.connection, item.field, item.variable]
                for item in self.settings
            ],
        }
        text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a deployment file wishes for.

    Attributes:
        name: Of the endpoint, the app or the local server; the address is made of it.
        place: Where in Azure; ``None`` for the target ``local``.
        deployments: One for each arm; one without a name in a file without arms.
        canary_percent: What a new version gets at first in a file without arms, beside one that has traffic.
        identities: Resource ids of user-assigned identities; empty for the system's own.
        is_public: Whether it can be reached from outside of the virtual network.
        is_egress_public: Whether its copies reach what is outside of the virtual network.
        max_shift: How far the share of a deployment may move at once, percentage points.
        gate: Name of a stored comparison, or a file with the result of a gate, that has to be passed; empty for none.
        traffic_file: File of an online test whose weights are the traffic; empty for none.
        hourly_usd: What one copy costs in an hour, as the file says; ``None`` to look it up.
        path: The file.
        source_map: Where everything stands in it.
    """

    name: str
    target: TargetName
    deployments: tuple[Deployment, ...]
    place: AzurePlace | None = None
    canary_percent: int = 10
    authentication: Authentication = "key"
    identities: tuple[str, ...] = ()
    is_public: bool = True
    is_egress_public: bool = True
    max_shift: int = 50
    gate: str = ""
    traffic_file: str = ""
    hourly_usd: float | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    source_map: SourceMap | None = None

    @property
    def is_alternating(self) -> bool:
        """Whether the file has no arms, so that versions take turns in two places."""
        return len(self.deployments) == 1 and not self.deployments[0].name

    def find(self, name: str) -> Deployment | None:
        """The deployment of that name."""
        return next((item for item in self.deployments if item.name == name), None)

    def spec_of(self, deployment: Deployment, runtime: str) -> str:
        """What a copy of one of its deployments is made from: 16 digits, as :meth:`Deployment.spec_digest` says.

        What the endpoint decides about its copies counts as well.
        """
        spec = deployment.spec_digest(runtime)
        if self.is_egress_public:
            return spec
        return hashlib.sha256(f"{spec} without egress".encode()).hexdigest()[:16]

    def span(self, *pointer: str | int) -> Span | None:
        """Where something stands in the file."""
        return self.source_map.span(pointer) if self.source_map is not None else None

    def own_settings(self) -> dict[str, JsonValue]:
        """What of the endpoint itself is compared with :attr:`EndpointState.settings`.

        Its words are ``authentication``, ``identities``, ``public``, ``description`` and ``tags``.
        """
        return {
            "authentication": self.authentication,
            "identities": [*self.identities],
            "public": self.is_public,
            "description": self.description,
            "tags": {**self.tags},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentState:
    """A copy that is there.

    Attributes:
        name: As :attr:`Deployment.name`.
        revision: What the target calls it inside, where that differs, as revisions of Container Apps do.
        version: Of the flow, as its tag says; empty where somebody else made it.
        spec: Digest that it was made from; empty where somebody else made it.
        health: By what the target says.
        is_busy: Whether an operation on it is under way.
        message: What the target says of a copy that is not healthy.
        n_copies: Running ones; ``None`` where the target does not say.
        is_ours: Whether headrace made it; what others made is never deleted unless it is named.
        tried: The copy beside the one that answers requests, which takes its place once it has answered the sample;
            ``None`` where there is one copy only. Everything else here is said of the one that answers.
    """

    name: str
    revision: str = ""
    version: str = ""
    spec: str = ""
    health: Health = "unknown"
    is_busy: bool = False
    message: str = ""
    n_copies: int | None = None
    is_ours: bool = False
    instance_type: str = ""
    scale: Scale | None = None
    tried: DeploymentState | None = None

    @property
    def latest(self) -> DeploymentState:
        """The copy that was made last: the one that is tried, else the only one."""
        return self.tried or self


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What is there under the name of an endpoint.

    Attributes:
        exists: Whether there is anything.
        address: Where requests go; empty before there is one.
        deployments: In order of name.
        traffic: Deployment to percent; without those that get none.
        mirror: Deployment to percent; without those that get none.
        previous: Traffic before the last move, as :func:`~headrace.domain.deployment_notes.read_previous` has it; empty
            where nobody noted it.
        previous_specs: Deployment to the first 8 digits of what it was made from then.
        untried: Deployments that answered requests when they were changed, and of which nobody has noted since that
            they have answered their sample, each with the first 8 digits of what it was changed to.
        is_busy: Whether an operation on the endpoint is under way.
        down: Why it has to be started again; empty where it runs, or sees to that itself.
        settings: What of the endpoint itself a plan compares, in the words of :meth:`Endpoint.own_settings`; what the
            target does not know is left out. Tags without our own.
        location: Region that it is in; empty where the target does not say.
    """

    exists: bool = False
    address: str = ""
    deployments: tuple[DeploymentState, ...] = ()
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    previous: Mapping[str, int] = field(default_factory=dict)
    previous_specs: Mapping[str, str] = field(default_factory=dict)
    untried: Mapping[str, str] = field(default_factory=dict)
    is_busy: bool = False
    down: str = ""
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    location: str = ""

    def find(self, name: str) -> DeploymentState | None:
        """The deployment of that name."""
        return next((item for item in self.deployments if item.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a plan; made twice, it does no more than made once.

    ``before`` and ``after`` are plain data without secrets:

    - ``create endpoint``, ``update endpoint``: as :meth:`Endpoint.own_settings`; ``before`` only what differs
    - ``prepare``, ``create deployment``, ``update deployment``, ``delete deployment``: ``version``, ``spec`` and
      ``health``, as far as known
    - ``move traffic``, ``set mirror``: deployment to percent, without those that get none; ``after`` is all that there
      will be, not only what changes
    - ``set scale``: ``minimum``, ``maximum``, ``requests_at_once``, ``cpu_percent``

    ``note`` only adds its tags to the endpoint; it is planned where a target does not try out beside what answers.
    ``wait`` ends when nothing is under way on what it names and a copy has stopped starting, however it ended.

    Attributes:
        action: What is done.
        deployment: Whom it is done to; empty for the endpoint.
        what: One line for people.
        before: What holds now, for machines; no secrets.
        after: What will hold.
        tags: What is noted at the target with it: on the copy that is created or updated, and on the endpoint for
            everything else. They are added to the tags of the file.
        taking_over: For ``move traffic``: the deployments whose copy that was tried takes the place of the one that
            answers requests; the share of every other one stays with the copy that has it.
        pointer: Where the file says so.
    """

    action: Action
    what: str
    deployment: str = ""
    before: JsonValue = None
    after: JsonValue = None
    tags: Mapping[str, str] = field(default_factory=dict)
    taking_over: tuple[str, ...] = ()
    pointer: Pointer = ()

    @property
    def shares(self) -> dict[str, int]:
        """For ``move traffic`` and ``set mirror``: deployment to percent afterwards, without those that get none."""
        return _shares(self.after)

    @property
    def shares_before(self) -> dict[str, int]:
        """The same as it holds now."""
        return _shares(self.before)

    @property
    def spec(self) -> str:
        """What a copy is made from afterwards; empty where that is not known."""
        return str(self.after.get("spec", "")) if isinstance(self.after, Mapping) else ""


def _shares(facts: JsonValue) -> dict[str, int]:
    known = facts if isinstance(facts, Mapping) else {}
    return {name: int(str(share)) for name, share in known.items() if share}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """All steps between what is there and what is wished for, in order.

    Attributes:
        endpoint: What is wished for, with names for all deployments.
        state: What was there when it was made.
        changes: Empty when nothing is to be done.
        unsafe: Name of a refusal to why the plan should not be applied; see ``deploy.safety``.
        hourly_usd: Cost in an hour of what will be there at its least; ``None`` where a price is not known.
        most_hourly_usd: The same with every copy that may be started.
        notes: What else people should know, e.g. that a price could not be looked up.
    """

    endpoint: Endpoint
    state: EndpointState
    changes: tuple[Change, ...]
    unsafe: tuple[tuple[str, Problem], ...] = ()
    hourly_usd: float | None = None
    most_hourly_usd: float | None = None
    notes: tuple[str, ...] = ()
