"""What Container Apps refuse of a body: names, traffic, secrets, sizes, probes; and merge patches."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.support.azure.messages import Refusal

_APP_NAME = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,30}[a-z0-9])")
_SUFFIX = re.compile(r"(?!.*--)[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"(?!.*--)[a-z]([a-z0-9-]*[a-z0-9])?")
_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_VAULT_URL = re.compile(
    r"https://[a-z0-9-]+\.vault\.azure\.net/secrets/[A-Za-z0-9-]+(/[0-9a-f]+)?", re.IGNORECASE
)
_MOST_REVISION_NAME = 54
_PROBE_RANGES = {
    "initialDelaySeconds": (0, 60),
    "periodSeconds": (1, 240),
    "timeoutSeconds": (1, 240),
    "successThreshold": (1, 10),
    "failureThreshold": (1, 10),
}


def bad(code: str, message: str) -> Refusal:
    """400."""
    return Refusal(400, code, message)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def check_app_name(name: str) -> None:
    """2 to 32 small letters, digits and single dashes."""
    if not _APP_NAME.fullmatch(name):
        raise bad("ContainerAppInvalidName", f"Invalid ContainerApp name '{name}'.")


def check_template(app: str, template: Mapping[str, Any], secrets: Collection[str]) -> None:
    """Everything about a revision."""
    suffix = template.get("revisionSuffix") or ""
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise bad("ContainerAppInvalidRevisionSuffix", f"Invalid revision suffix '{suffix}'.")
    if suffix and len(f"{app}--{suffix}") > _MOST_REVISION_NAME:
        raise bad("ContainerAppInvalidRevisionSuffix", f"The revision name '{app}--{suffix}' is too long.")
    containers = template.get("containers") or []
    if not containers:
        raise bad("ContainerAppContainersRequired", "At least one container is required.")
    for container in containers:
        _check_container(container, secrets)
    scale = template.get("scale") or {}
    least, most = scale.get("minReplicas") or 0, scale.get("maxReplicas", 10)
    if not 0 <= least <= most <= 1000 or most < 1:
        raise bad("ContainerAppInvalidScale", f"minReplicas {least} and maxReplicas {most} do not fit.")
    for rule in scale.get("rules") or ():
        kinds = [kind for kind in ("http", "tcp", "custom", "azureQueue") if rule.get(kind)]
        if not rule.get("name") or len(kinds) != 1:
            raise bad("ContainerAppInvalidScaleRule", "A scale rule has a name and one kind.")


def _check_container(container: Mapping[str, Any], secrets: Collection[str]) -> None:
    if not container.get("name") or not container.get("image"):
        raise bad("ContainerAppContainerInvalid", "A container has a name and an image.")
    resources = container.get("resources") or {}
    cpu, memory = resources.get("cpu", 0.5), str(resources.get("memory", "1Gi"))
    if cpu * 4 % 1 or not 0.25 <= cpu <= 4 or memory != f"{cpu * 2:g}Gi":
        message = f"The total requested CPU and memory resources for this application (CPU: {cpu}, memory: {memory}) is invalid."
        raise bad("ContainerAppInvalidResourceTotal", message)
    names = [item.get("name") for item in container.get("env") or ()]
    if len(set(names)) != len(names):
        raise bad("ContainerAppDuplicateEnvVar", "A variable is there twice.")
    for item in container.get("env") or ():
        if ("value" in item) == ("secretRef" in item) or not item.get("name"):
            raise bad(
                "ContainerAppInvalidEnvVar",
                f"The variable {item.get('name')} has one of value and secretRef.",
            )
        if "secretRef" in item and item["secretRef"] not in secrets:
            message = (
                f"SecretRef '{item['secretRef']}' defined for container '{container['name']}' not found."
            )
            raise bad("ContainerAppSecretRefNotFound", message)
    for probe in container.get("probes") or ():
        _check_probe(probe)


def _check_probe(probe: Mapping[str, Any]) -> None:
    if probe.get("type") not in ("Liveness", "Readiness", "Startup") or not (probe.get("httpGet") or {}).get(
        "port"
    ):
        raise bad("ContainerAppProbeInvalid", "A probe has a type and asks a port.")
    for name, (least, most) in _PROBE_RANGES.items():
        if name in probe and not (isinstance(probe[name], int) and least <= probe[name] <= most):
            raise bad(
                "ContainerAppProbeInvalid", f"{name} of a probe is from {least} to {most}, not {probe[name]}."
            )
    if probe["type"] != "Readiness" and probe.get("successThreshold", 1) != 1:
        raise bad("ContainerAppProbeInvalid", "successThreshold has to be 1 for liveness and startup.")


def check_configuration(
    configuration: Mapping[str, Any], revisions: Collection[str], identities: Collection[str]
) -> None:
    """What belongs to the app.

    Args:
        configuration: As it would be.
        revisions: Names of those that there are.
        identities: Of the app, in small letters.
    """
    is_single = configuration.get("activeRevisionsMode", "Single") == "Single"
    ingress = configuration.get("ingress")
    if ingress is not None:
        if not ingress.get("targetPort"):
            raise bad("ContainerAppInvalidTargetPort", "An ingress has a targetPort.")
        _check_traffic(ingress.get("traffic") or [], revisions, is_single=is_single)
    names = [item.get("name") for item in configuration.get("secrets") or ()]
    if len(set(names)) != len(names):
        raise bad("ContainerAppSecretInvalid", "A secret is there twice.")
    for item in configuration.get("secrets") or ():
        _check_secret(item, identities)
    for item in configuration.get("registries") or ():
        _check_identity(item.get("identity"), identities)
        if not item.get("server") or not (item.get("identity") or item.get("passwordSecretRef")):
            raise bad("ContainerAppRegistryInvalid", "A registry has a server and an identity or a password.")


def _check_secret(item: Mapping[str, Any], identities: Collection[str]) -> None:
    if not _SECRET.fullmatch(str(item.get("name"))):
        raise bad("ContainerAppSecretNameInvalid", f"The secret name '{item.get('name')}' is invalid.")
    url = item.get("keyVaultUrl")
    if url is not None:
        if not _VAULT_URL.fullmatch(url):
            raise bad("ContainerAppSecretKeyVaultUrlInvalid", f"'{url}' is no address of a secret.")
        _check_identity(item.get("identity") or "", identities)
    elif not item.get("value"):
        message = f"Invalid Request: Container app secret(s) with name(s) '{item['name']}' cannot be found or have no value."
        raise bad("ContainerAppSecretInvalid", message)


def _check_identity(identity: Any, identities: Collection[str]) -> None:
    if identity is None:
        return
    if str(identity).lower() not in identities:
        raise bad(
            "ContainerAppIdentityNotFound", f"The identity '{identity}' is not assigned to the container app."
        )


def _check_traffic(traffic: list[Mapping[str, Any]], revisions: Collection[str], *, is_single: bool) -> None:
    if not traffic:
        return
    if is_single and any(not item.get("latestRevision") for item in traffic):
        raise bad("ContainerAppTrafficInvalid", "Traffic weights need activeRevisionsMode Multiple.")
    total = sum(item.get("weight") or 0 for item in traffic)
    if total != 100:
        raise bad("ContainerAppInvalidTrafficWeight", f"Traffic weights have to add to 100, not {total}.")
    labels = [item["label"] for item in traffic if item.get("label")]
    if len(set(labels)) != len(labels) or not all(_LABEL.fullmatch(label) for label in labels):
        raise bad("ContainerAppInvalidTrafficLabel", f"Labels are unique small words: {', '.join(labels)}.")
    known = {name.lower() for name in revisions}
    for item in traffic:
        name = item.get("revisionName")
        if bool(name) == bool(item.get("latestRevision")):
            raise bad("ContainerAppTrafficInvalid", "A weight has a revisionName or latestRevision.")
        if name and name.lower() not in known:
            raise bad("RevisionNotFound", f"The revision '{name}' was not found.")
        if not isinstance(item.get("weight", 0), int) or not 0 <= item.get("weight", 0) <= 100:
            raise bad("ContainerAppInvalidTrafficWeight", "A weight is a whole number from 0 to 100.")
