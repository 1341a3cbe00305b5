"""A deployment file in the words of ``azure-ai-ml``, and what that package says in ours. Pure: nothing is asked.

Reached from :mod:`headrace.deploy.managed_endpoint` only. The service has spelling and units of its own: durations
are milliseconds or whole seconds, names of deployments in the traffic small letters, versions of models whole numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from azure.ai.ml.entities import (
    BuildContext,
    DataCollector,
    DefaultScaleSettings,
    DeploymentCollection,
    Environment,
    IdentityConfiguration,
    ManagedIdentityConfiguration,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineDeployment,
    OnlineEndpoint,
    OnlineRequestSettings,
    ProbeSettings,
)

from headrace import __version__
from headrace.deploy.base import Package
from headrace.domain.deployment import (
    OWNER_TAG,
    SPEC_TAG,
    VERSION_TAG,
    Deployment,
    DeploymentState,
    Endpoint,
    Health,
    Probe,
    Scale,
    Setting,
)
from headrace.domain.values import JsonValue

MOUNT = "/var/flow"
"""Where the flow comes to lie in the container: below the name and the version of its model asset."""

DIGEST_TAG = "headrace-digest"
"""On what a deployment is made from: the digest of its contents."""

ARM_TAG = "headrace-arm"
"""On a deployment: what experiments and traffic files call it."""

BUSY = ("creating", "updating", "scaling", "deleting")
SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"
_HEALTH: Mapping[str, Health] = {
    SUCCEEDED: "healthy",
    FAILED: "failed",
    CANCELED: "failed",
    **dict.fromkeys(BUSY, "starting"),
}
_AUTHENTICATION = {"key": "key", "entra": "aad_token"}
_USUAL_PORT = 8080
_SECRET_STORES = "enforce_access_to_default_secret_stores"  # noqa: S105 - the name of a property
_WRITTEN_BY_THE_PACKAGE = ("createdBy", "createdAt", "lastModifiedAt")
_LARGEST_VERSION = 2**31 - 1


def state_word(entity: OnlineEndpoint | OnlineDeployment | None) -> str:
    """The provisioning state in small letters; empty for what is not there."""
    return _word(getattr(entity, "provisioning_state", "")).lower()


def _word(value: Any) -> str:
    """The text of what the package says with a text or with a member of an enumeration."""
    return str(getattr(value, "value", value) or "")


def make_endpoint(
    wished: Endpoint, current: OnlineEndpoint | None, tags: Mapping[str, str]
) -> ManagedOnlineEndpoint:
    """The endpoint as the file wishes for it, with the traffic that it has.

    Args:
        wished: What the file says.
        current: What is there; tags and properties of others on it stay.
        tags: Those that are noted with this step.
    """
    kind = "user_assigned" if wished.identities else "system_assigned"
    identities = [ManagedIdentityConfiguration(resource_id=item) for item in wished.identities]
    identity = IdentityConfiguration(type=kind, user_assigned_identities=identities or None)
    properties = _own_properties(current)
    if needs_stores(wished.deployments) and not wished.identities:
        properties[_SECRET_STORES] = "enabled"
    return ManagedOnlineEndpoint(
        name=wished.name,
        description=wished.description or None,
        auth_mode=_AUTHENTICATION[wished.authentication],
        identity=identity,
        public_network_access="Enabled" if wished.is_public else "Disabled",
        properties=properties,
        tags={**(current.tags or {} if current else {}), **wished.tags, **tags},
        traffic=dict(current.traffic) if current else None,
        mirror_traffic=dict(current.mirror_traffic) if current else None,
    )


def same_endpoint(
    current: OnlineEndpoint, shares: Mapping[str, int], mirror: Mapping[str, int], tags: Mapping[str, str]
) -> ManagedOnlineEndpoint:
    """The endpoint that is there, with another traffic, in the form in which it can be sent back.

    Args:
        current: As it was read.
        shares: Deployment to percent.
        mirror: Likewise, of the copies of requests.
        tags: Those that are noted with this step.
    """
    return ManagedOnlineEndpoint(
        name=current.name,
        description=current.description,
        auth_mode=_word(current.auth_mode),
        identity=_identity_again(current.identity),
        public_network_access=getattr(current, "public_network_access", None),
        properties=_own_properties(current),
        tags={**(current.tags or {}), **tags},
        traffic=positive(shares),
        mirror_traffic=positive(mirror),
    )


def _identity_again(identity: Any) -> Any:
    """The identity without the ids that only the service gives."""
    kind = _word(getattr(identity, "type", "")).lower()
    if kind not in ("system_assigned", "user_assigned"):
        return identity
    names = [item.resource_id for item in identity.user_assigned_identities or ()]
    again = [ManagedIdentityConfiguration(resource_id=name) for name in names]
    return IdentityConfiguration(type=kind, user_assigned_identities=again or None)


def _own_properties(current: OnlineEndpoint | None) -> dict[str, str]:
    """The properties as the service keeps them: the package mixes the times of the resource in, which cannot be set."""
    found = (current.properties if current else None) or {}
    return {name: value for name, value in found.items() if name not in _WRITTEN_BY_THE_PACKAGE}


def needs_stores(deployments: Iterable[Deployment]) -> bool:
    """Whether deployments take anything from the workspace's connections or vaults."""
    return any(item.value is None for deployment in deployments for item in deployment.settings)


def with_stores(current: OnlineEndpoint) -> ManagedOnlineEndpoint:
    """The endpoint that is there, with its own identity let into the connections and vaults of the workspace.

    A user-assigned identity has what its owner has given it.
    """
    made = same_endpoint(current, positive(current.traffic), positive(current.mirror_traffic), {})
    if _word(getattr(current.identity, "type", "")).lower() == "system_assigned":
        made.properties = {**(made.properties or {}), _SECRET_STORES: "enabled"}
    return made


def positive(shares: Mapping[str, Any] | None) -> dict[str, int]:
    """Shares above zero, whole numbers, by names in small letters, as the package spells those of deployments."""
    return {
        name.lower(): int(share) for name, share in sorted((shares or {}).items()) if share and int(share)
    }


def endpoint_settings(current: OnlineEndpoint) -> dict[str, JsonValue]:
    """What of an endpoint plans compare, in the words of ``own_settings`` of a wished one."""
    words = {theirs.replace("_", ""): ours for ours, theirs in _AUTHENTICATION.items()}
    identity = current.identity
    identities = getattr(identity, "user_assigned_identities", None) or ()
    mode = _word(current.auth_mode).lower().replace("_", "")
    access = (_word(getattr(current, "public_network_access", None)) or "enabled").lower()
    return {
        "authentication": words.get(mode, mode),
        "identities": [str(item.resource_id) for item in identities],
        "public": access != "disabled",
        "description": current.description or "",
        "tags": {
            name: str(value) for name, value in (current.tags or {}).items() if not name.startswith(OWNER_TAG)
        },
    }


def _comparable(endpoint: OnlineEndpoint) -> dict[str, JsonValue]:
    """The same where identities that differ in their order or in capitals, which Azure does not keep, are alike."""
    settings = endpoint_settings(endpoint)
    return {**settings, "identities": sorted(str(item).lower() for item in settings["identities"])}  # type: ignore[union-attr]


def has_same_identities(current: OnlineEndpoint, wished: Endpoint) -> bool:
    """Whether an endpoint has the identities that the file names; the service never changes them."""
    found = getattr(current.identity, "user_assigned_identities", None) or ()
    return {str(item.resource_id).lower() for item in found} == {item.lower() for item in wished.identities}


def is_sent_already(current: OnlineEndpoint, made: ManagedOnlineEndpoint) -> bool:
    """Whether an endpoint has everything that sending ``made`` would give it, so that a step is done already."""
    return (
        state_word(current) == SUCCEEDED
        and _comparable(current) == _comparable(made)
        and _own_properties(current) == (made.properties or {})
        and (current.tags or {}) == made.tags
        and has_same_traffic(current, made)
    )


def has_same_traffic(current: OnlineEndpoint, made: ManagedOnlineEndpoint) -> bool:
    """Whether an endpoint shares requests, and copies of them, as ``made`` would let it."""
    mirror, wanted = positive(current.mirror_traffic), positive(made.mirror_traffic)
    return positive(current.traffic) == positive(made.traffic) and mirror == wanted


def model_version(digest: str, attempt: int) -> str:
    """A version for the model asset of a packed flow: a whole number above 0, the only kind that models take.

    Args:
        digest: Of the packed flow, hexadecimal.
        attempt: How many versions before this one are taken by other contents.
    """
    return str((int(digest[:15], 16) + attempt) % _LARGEST_VERSION + 1)


def make_model(name: str, version: str, package: Package, deployment: Deployment) -> Model:
    """The packed flow as a model asset."""
    return Model(
        name=name,
        version=version,
        path=str(package.folder),
        type="custom_model",
        description=f"Flow {deployment.flow.version or deployment.flow.source}",
        tags={DIGEST_TAG: package.digest, VERSION_TAG: deployment.flow.version, OWNER_TAG: __version__},
    )


def environment_version(source: str, port: int) -> str:
    """A version for the environment: 16 digits that change with the image, its context, and its port."""
    return hashlib.sha256(f"{source}:{port}".encode()).hexdigest()[:16]


def make_environment(name: str, version: str, package: Package | None, deployment: Deployment) -> Environment:
    """The server: an image that is given, or the context of one that is built.

    Args:
        name: Of the asset.
        version: Of it.
        package: Context of the image; ``None`` where one is given.
        deployment: Names the image.
    """
    port = package.port if package else _USUAL_PORT
    routes = {"liveness": "/healthz", "readiness": "/readyz", "scoring": "/score"}
    source: dict[str, Any] = {"image": deployment.image}
    if package:
        source = {"build": BuildContext(path=str(package.folder), dockerfile_path="Dockerfile")}
    return Environment(
        name=name,
        version=version,
        inference_config={f"{key}_route": {"port": port, "path": path} for key, path in routes.items()},
        tags={DIGEST_TAG: package.digest if package else deployment.image, OWNER_TAG: __version__},
        **source,
    )


def make_deployment(
    wished: Endpoint,
    deployment: Deployment,
    *,
    tags: Mapping[str, str],
    model: Model,
    environment: Environment,
    variables: Mapping[str, str],
    copies: int,
) -> ManagedOnlineDeployment:
    """One copy of a flow as a managed online deployment.

    Args:
        wished: The endpoint that it belongs to.
        deployment: What is wished for.
        tags: Those that are noted with this step.
        model: Its packed flow, as the service knows it.
        environment: Its server, likewise.
        variables: Those of :func:`variables_of`.
        copies: Machines that it has.
    """
    said = {**deployment.tags, ARM_TAG: deployment.arm, **tags}
    return ManagedOnlineDeployment(
        name=deployment.name,
        endpoint_name=wished.name,
        description=f"Flow {deployment.flow.version or deployment.flow.source}",
        model=model.id,
        environment=environment.id,
        model_mount_path=MOUNT,
        environment_variables={
            "FLOW_PATH": flow_path(model),
            "HEADRACE_SERVE_NO_AUTH": "true",
            "PORT": str(_port(environment)),
            **variables,
        },
        instance_type=deployment.size.instance_type,
        instance_count=copies,
        scale_settings=DefaultScaleSettings(),
        request_settings=OnlineRequestSettings(
            request_timeout_ms=round(deployment.limits.timeout_s * 1000),
            max_concurrent_requests_per_instance=deployment.limits.at_once,
        ),
        liveness_probe=_probe(deployment.liveness),
        readiness_probe=_probe(deployment.readiness),
        data_collector=_collector(deployment.collect_share),
        app_insights_enabled=True,
        egress_public_network_access=None if wished.is_egress_public else "Disabled",
        tags={name: value for name, value in said.items() if value},
    )


def flow_path(model: Model) -> str:
    """Where the flow of a model asset lies in the container: the folder that was uploaded keeps its name."""
    folder = PurePosixPath(str(model.path).rstrip("/")).name
    return f"{MOUNT}/{model.name}/{model.version}/{folder}"


def _port(environment: Environment) -> int:
    config = environment.inference_config
    route = (
        config.get("scoring_route") if isinstance(config, dict) else getattr(config, "scoring_route", None)
    )
    port = route.get("port") if isinstance(route, dict) else getattr(route, "port", None)
    return int(port or _USUAL_PORT)


def _probe(probe: Probe) -> ProbeSettings:
    return ProbeSettings(
        initial_delay=probe.initial_delay_s,
        period=probe.period_s,
        timeout=probe.timeout_s,
        success_threshold=probe.successes,
        failure_threshold=probe.failures,
    )


class _Collected(DeploymentCollection):
    """A collection that says ``Enabled`` as the service spells it; the package says ``enabled``."""

    def _to_rest_object(self) -> Any:
        made = super()._to_rest_object()
        made.data_collection_mode = "Enabled"
        return made


def _collector(share: float) -> DataCollector | None:
    """Payload logging: the collections ``request`` and ``response`` need nothing of the container."""
    if not share:
        return None
    collections: dict[str, DeploymentCollection] = {
        name: _Collected(enabled="true") for name in ("request", "response")
    }
    return DataCollector(collections=collections, sampling_rate=share, rolling_rate="Hour")


def variables_of(deployment: Deployment, connections: Mapping[str, str]) -> dict[str, str]:
    """The environment of a deployment: plain values, and for secrets references that the service resolves.

    Args:
        deployment: What is wished for.
        connections: Setting whose value comes from whoever applies to the workspace connection that holds it.
    """
    return {item.name: _variable(item, connections) for item in deployment.settings}


def _variable(setting: Setting, connections: Mapping[str, str]) -> str:
    if setting.value is not None:
        return setting.value
    if setting.vault_url is not None:
        return "${{keyvault:" + setting.vault_url + "}}"
    connection = setting.connection or connections[setting.name]
    return "${{azureml://connections/" + f"{connection}/{_field(setting.field or 'key')}" + "}}"


def _field(name: str) -> str:
    """Where a field of a workspace connection is found: its address and its metadata are no credentials."""
    if name in ("target", "api_base", "endpoint", "url"):
        return "target"
    return name if name.startswith(("credentials/", "metadata/")) else f"credentials/{name}"


def deployment_state(entity: OnlineDeployment, scale: Scale | None) -> DeploymentState:
    """What is there, in our words.

    Args:
        entity: As it was read.
        scale: What its autoscale setting says; ``None`` where it has none.
    """
    tags = entity.tags or {}
    word = state_word(entity)
    health = _HEALTH.get(word, "unknown")
    copies = entity.instance_count
    return DeploymentState(
        name=str(entity.name).lower(),  # as in the traffic
        version=str(tags.get(VERSION_TAG, "")),
        spec=str(tags.get(SPEC_TAG, "")),
        health=health,
        is_busy=word in BUSY,
        message=""
        if health == "healthy"
        else f"Azure Machine Learning says: {_word(entity.provisioning_state)}.",
        n_copies=copies,
        is_ours=OWNER_TAG in tags,
        instance_type=str(entity.instance_type or ""),
        scale=scale or (Scale(minimum=copies, maximum=copies) if copies else None),
    )
