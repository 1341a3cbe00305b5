"""Endpoints and deployments of Azure Machine Learning as YAML files, as parts of a deployment file of ours.

::

    $schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
    name: blue
    endpoint_name: triage
    model: {path: ../flow}             # or azureml:triage:3
    environment: {image: mcr.microsoft.com/azureml/promptflow/promptflow-runtime:latest, inference_config: {...}}
    instance_type: Standard_DS3_v2
    instance_count: 1
    environment_variables:
      PROMPTFLOW_RUN_MODE: serving
      PRT_CONFIG_OVERRIDE: deployment.subscription_id=…,deployment.resource_group=…,deployment.workspace_name=…
    request_settings: {request_timeout_ms: 180000, max_concurrent_requests_per_instance: 10}

The formats are those of learn.microsoft.com/azure/machine-learning/reference-yaml-endpoint-online and
reference-yaml-deployment-managed-online, as prompt flow's page how-to-deploy-to-code uses them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from headrace.errors import DefinitionError
from headrace.formats.deployment_arms import MOST_MIRRORED
from headrace.formats.deployment_limits import LIMITS
from headrace.formats.experiment_parts import refuse
from headrace.formats.import_notes import ImportNotes
from headrace.formats.imported_variables import read_variables
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, root_block

ManagedKind: TypeAlias = Literal["endpoint", "deployment", "kubernetes"]

_LONGEST_S: Final = LIMITS["azureml"].longest_timeout_s or 0.0
_PROBE_KEYS: Final = {
    "initial_delay": "initial_delay_s",
    "period": "period_s",
    "timeout": "timeout_s",
    "success_threshold": "successes",
    "failure_threshold": "failures",
}
_OURS_BUILT = "headrace builds the server of the flow itself, so packages belong into its requirements.txt."
_IN_WORKSPACE = re.compile(
    r"(?i)(?:azureml:)?/?/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/"
    r"microsoft\.machinelearningservices/workspaces/([^/]+)/.+"
)
"""The address of something in a workspace, as the service tells of what is there."""
_SILENT = ("$schema", "type", "endpoint_name", "id", "provisioning_state", "creation_context", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPart:
    """What one file says.

    Attributes:
        name: Of the endpoint, or of the deployment.
        endpoint: Name of the endpoint that it belongs to; its own for an endpoint.
        said: Keys of our file: of all of it for an endpoint, of an arm for a deployment.
        place: What it says of subscription, resource group and workspace.
        traffic: Deployment to percent.
        mirror: Deployment to percent.
        model: Path of the flow, relative to the file; empty for none.
        asset: Name of a registered model that holds the flow; empty for none.
    """

    kind: ManagedKind
    file: Path
    name: str
    endpoint: str
    said: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    asset: str = ""


def managed_kind(data: Any) -> ManagedKind | None:
    """What a YAML file describes, by its schema, else by its keys; ``None`` for anything else."""
    if not isinstance(data, dict):
        return None
    schema = str(data.get("$schema", "")).lower()
    if "kubernetesonline" in schema or data.get("type") == "kubernetes":
        return "kubernetes"
    if "onlinedeployment" in schema or ("endpoint_name" in data and "name" in data):
        return "deployment"
    return "endpoint" if "onlineendpoint" in schema or "auth_mode" in data else None


def read_managed(file: Path, notes: ImportNotes) -> ManagedPart | None:
    """Read one file; ``None`` for a file of another kind.

    Args:
        file: The file.
        notes: Takes what becomes of each key.

    Raises:
        DefinitionError: The file is no YAML, or what it says has another shape.
    """
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    kind = managed_kind(data)
    if kind is None:
        return None
    root = root_block(data, findings)
    # Names lose their capitals in the package that has sent them.
    name = (root.required_text("name", "The file") or "").lower()
    if kind == "kubernetes":
        why = "A deployment on Kubernetes has no target here: headrace flow build makes an image for it."
        notes.ask(root, "name", why)
        part = ManagedPart(kind=kind, file=file, name=name, endpoint=root.text("endpoint_name") or name)
    elif kind == "endpoint":
        part = _read_endpoint(root, file, name, notes)
    else:
        part = _read_deployment(root, file, name, notes)
    if findings.has_errors():
        raise DefinitionError(*(problem for problem in findings.problems if problem.severity == "error"))
    return part


def _read_endpoint(root: Block, file: Path, name: str, notes: ImportNotes) -> ManagedPart:
    said: dict[str, Any] = {}
    notes.take(root, "name", said, "name", name)
    for key in root.data:
        if key == "auth_mode":
            _take_authentication(root, said, notes)
        elif key == "identity":
            _take_identity(root.block("identity"), said, notes)
        elif key == "public_network_access":
            _take_access(root, key, said, "network.public", notes)
        elif key == "description" and root.text(key):
            notes.take(root, key, said, key, root.text(key))
        elif key == "tags":
            notes.take(root, key, said, key, _texts(root.block(key)))
        elif key == "properties":
            why = "Access to secrets is asked for where variables of the deployment need it."
            notes.leave(root, key, why)
        elif key == "compute":
            notes.leave(root, key, "Managed endpoints choose their machines by size.instance_type.")
        elif key not in (*_SILENT, "name", "traffic", "mirror_traffic"):
            notes.leave(root, key, "headrace has no use for it.")
    traffic, mirror = _percents(root, "traffic", notes), _percents(root, "mirror_traffic", notes)
    return ManagedPart(
        kind="endpoint", file=file, name=name, endpoint=name, said=said, traffic=traffic, mirror=mirror
    )


def _take_authentication(root: Block, said: dict[str, Any], notes: ImportNotes) -> None:
    mode = (root.text("auth_mode") or "").lower().replace("_", "")
    if mode == "key":
        notes.take(root, "auth_mode", said, "authentication", "key")
    elif mode == "aadtoken":
        notes.take(
            root, "auth_mode", said, "authentication", "entra", "Tokens of Microsoft Entra ID, as before."
        )
    else:
        why = "Callers with tokens of the workspace need tokens of Microsoft Entra ID instead, or a key."
        notes.take(root, "auth_mode", said, "authentication", "entra", why)


def _take_identity(identity: Block, said: dict[str, Any], notes: ImportNotes) -> None:
    found = []
    for pointer, value in identity.items("user_assigned_identities"):
        item = Block(value, pointer, identity.findings) if isinstance(value, dict) else None
        text = item.text("resource_id") if item is not None else value if isinstance(value, str) else None
        found += [text] if text else []
    if found:
        notes.take(identity, "user_assigned_identities", said, "identities", found)
    elif "type" in identity:
        notes.leave(
            identity, "type", "An identity of the endpoint itself is what it has where none is named."
        )


def _take_access(root: Block, key: str, said: dict[str, Any], target: str, notes: ImportNotes) -> None:
    notes.take(root, key, said, target, (root.text(key) or "enabled").lower() != "disabled")


def _percents(root: Block, key: str, notes: ImportNotes) -> dict[str, int]:
    found = {}
    block = root.block(key)
    for name in block.data:
        number = block.number(name)
        if number is not None:
            found[name.lower()] = int(number)
            notes.add("taken", block, name, f"arms.{'traffic' if key == 'traffic' else 'mirror'}")
    return {
        name: min(share, MOST_MIRRORED) if key == "mirror_traffic" else share for name, share in found.items()
    }


def _read_deployment(root: Block, file: Path, name: str, notes: ImportNotes) -> ManagedPart:
    said: dict[str, Any] = {}
    model, asset = _read_model(root, notes)
    notes.add("taken", root, "name", "arms.name", "")
    variables = read_variables(root.block("environment_variables"), notes)
    if variables.environment:
        said["environment"] = variables.environment
    for key in root.data:
        if key in ("name", "model", "environment_variables", *_SILENT):
            continue
        taker = _TAKERS.get(key)
        if taker is not None:
            taker(root, key, said, notes)
        else:
            notes.leave(root, key, _LEFT.get(key, "headrace has no use for it."))
    return ManagedPart(
        kind="deployment",
        file=file,
        name=name,
        endpoint=(root.required_text("endpoint_name", "The deployment") or "").lower(),
        said=said,
        place={**_workspace_of(root), **variables.place},
        model=model,
        asset=asset,
    )


def _workspace_of(root: Block) -> dict[str, str]:
    """Where the workspace is, by the addresses of what the deployment is made from."""
    for key in ("id", "model", "environment"):
        value = root.data.get(key)
        found = _IN_WORKSPACE.fullmatch(value) if isinstance(value, str) else None
        if found is not None:
            return dict(zip(("subscription", "resource_group", "workspace"), found.groups(), strict=True))
    return {}


def _read_model(root: Block, notes: ImportNotes) -> tuple[str, str]:
    value = root.data.get("model")
    if isinstance(value, dict):
        block = root.block("model")
        for key in block.data:
            if key != "path":
                notes.leave(
                    block, key, "headrace names and numbers what it registers by the version of the flow."
                )
        path = block.text("path") or ""
        return ("", path) if path.startswith("azureml:") else (path, "")
    return "", root.text("model") or ""


def _take_environment(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    del said
    if not isinstance(root.data[key], dict):
        notes.leave(root, key, _OURS_BUILT)
        return
    environment = root.block(key)
    for name in environment.data:
        if name == "inference_config":
            _check_routes(environment.block(name), notes)
        elif name in ("name", "version", "description", "tags", "properties"):
            continue
        elif name == "image" and "promptflow-runtime" not in (environment.text("image") or ""):
            why = f"{_OURS_BUILT} What else the image holds has to go there as well, or into an image by digest."
            notes.ask(environment, name, why, "image")
        else:
            notes.leave(environment, name, _OURS_BUILT)


def _check_routes(config: Block, notes: ImportNotes) -> None:
    scoring = config.block("scoring_route")
    path = scoring.text("path")
    if path is not None and path.rstrip("/") != "/score":
        notes.ask(
            scoring, "path", "The deployment answers at /score; callers of the endpoint see no difference."
        )
    else:
        environment = Block({}, config.pointer[:-1], config.findings)
        notes.leave(environment, "inference_config", "headrace says itself where it answers.")


def _take_size(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    notes.take(root, key, said, "size.instance_type", root.text(key))


def _take_count(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    count = read_number(root, key)
    if count is not None:
        notes.take(root, key, said, "scale.min", int(count))
        said["scale"]["max"] = int(count)


def _take_scale(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    scale = root.block(key)
    if (scale.text("type") or "default") == "default":
        notes.leave(root, key, "instance_count says it.")
        return
    for name, target in (
        ("min_instances", "scale.min"),
        ("max_instances", "scale.max"),
        ("target_utilization_percentage", "scale.cpu_percent"),
    ):
        number = read_number(scale, name)
        if number is not None:
            notes.take(scale, name, said, target, int(number))
    if "polling_interval" in scale:
        notes.leave(scale, "polling_interval", "Azure Monitor decides how often it looks.")


def _take_requests(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    requests = root.block(key)
    timeout_ms = read_number(requests, "request_timeout_ms")
    if timeout_ms is not None:
        seconds = timeout_ms / 1000
        is_long = seconds > _LONGEST_S
        why = "More than 180 seconds were for deployments of prompt flow only." if is_long else ""
        seconds = min(seconds, _LONGEST_S)
        plain = int(seconds) if seconds == int(seconds) else seconds
        notes.take(requests, "request_timeout_ms", said, "requests.timeout_s", plain, why)
    at_once = read_number(requests, "max_concurrent_requests_per_instance")
    if at_once is not None:
        name = "max_concurrent_requests_per_instance"
        notes.take(requests, name, said, "requests.at_once", int(at_once))
    if "max_queue_wait_ms" in requests:
        notes.leave(requests, "max_queue_wait_ms", "The service does not use it any more.")


def _take_probe(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    probe, target = root.block(key), f"probes.{key.removesuffix('_probe')}"
    for name in probe.data:
        number = read_number(probe, name) if name in _PROBE_KEYS else None
        if number is None:
            notes.leave(probe, name, "headrace asks its own routes.")
        elif name == "success_threshold" and key == "liveness_probe" and number != 1:
            notes.leave(probe, name, "What answers once is alive.")
        else:
            notes.take(probe, name, said, f"{target}.{_PROBE_KEYS[name]}", int(number))


def _take_collector(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    collector = root.block(key)
    enabled = [
        block
        for _, block in collector.block("collections").blocks()
        if str(block.data.get("enabled", "")).lower() == "true"
    ]
    rate = read_number(collector, "sampling_rate")
    share = (1.0 if rate is None else float(rate)) if enabled else 0.0
    notes.take(
        root, key, said, "collect", share, "Inputs and outputs of requests are collected, in this share."
    )


def _take_egress(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    _take_access(root, key, said, "network.egress", notes)


def _take_tags(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    notes.take(root, key, said, "tags", _texts(root.block(key)))


def _take_code(root: Block, key: str, said: dict[str, Any], notes: ImportNotes) -> None:
    del said
    why = "A scoring script is no flow: make its code a flow, as headrace flow save does of a function."
    notes.ask(root, key, why, "flow")


def read_number(block: Block, key: str) -> float | None:
    """The number at a key; text that is one counts, as the service reads it."""
    value = block.data.get(key)
    try:
        number = float(value) if isinstance(value, str) else block.number(key)
    except ValueError:
        return block.number(key)
    if number is None or isfinite(number):
        return number
    refuse(block, key, "a number")
    return None


def _texts(block: Block) -> dict[str, str]:
    return {key: block.text(key) or "" for key in block.data}


_TAKERS: Final = {
    "environment": _take_environment,
    "instance_type": _take_size,
    "instance_count": _take_count,
    "scale_settings": _take_scale,
    "request_settings": _take_requests,
    "liveness_probe": _take_probe,
    "readiness_probe": _take_probe,
    "data_collector": _take_collector,
    "egress_public_network_access": _take_egress,
    "tags": _take_tags,
    "code_configuration": _take_code,
}
_LEFT: Final = {
    "app_insights_enabled": "Traces go where the telemetry variables of the deployment say.",
    "model_mount_path": "headrace says itself where the flow lies.",
    "description": "Deployments have the description of their endpoint.",
    "properties": "They are set by the tools that made the deployment.",
}
