"""Deployment files: where a flow runs for everybody, in which versions, and who gets which of them.

::

    name: triage                       # of the endpoint or the app; the address is made of it
    target: azureml                    # local, azureml (managed online endpoint) or aca (Container Apps), whose
                                       # place has environment and registry instead of workspace
    flow: triage@prod                  # or a folder, relative to this file
    azure: {subscription: "${env:AZURE_SUBSCRIPTION_ID}", resource_group: rg, workspace: ws}
    authentication: key                # key, entra or none
    identities: [/subscriptions/…/userAssignedIdentities/x]
    network: {public: true, egress: true}
    size: {instance_type: Standard_DS3_v2}      # aca: {cpu: 0.5, memory_gib: 1}
    scale: {min: 1, max: 3, requests_at_once: 20, cpu_percent: 70}
    requests: {timeout_s: 60, at_once: 10}
    probes: {liveness: {initial_delay_s: 10}, readiness: {failures: 30}}
    environment: {LOG: info, KEY: {keyvault: "https://kv.vault.azure.net/secrets/key"}, REGION: {env: REGION}}
    connections: {my_aoai: {keyvault: "https://kv.vault.azure.net/secrets/aoai"}}
    collect: 0.1                       # share of requests that the data collector keeps
    canary: 10                         # percent that a new version gets at first
    max_shift: 50                      # percentage points that a share may move at once
    gate: result.json                  # what has to be passed before traffic moves
    sample: sample.json                # inputs of the smoke test
    price_usd_per_hour: 0.3            # of one copy
    tags: {team: support}
    arms:                              # absent: versions take turns in two places
      - {name: few_shot, variant: "${classify.few_shot}", model: my_aoai/gpt-4o-mini, traffic: 90}
      - {name: mini, flow: triage@3, traffic: 10}
    experiment: experiment.yaml        # where arms of these names come from
    traffic: traffic.yaml              # in place of arms: those of an online test, with its weights

``${env:NAME}`` in a value stands for what the environment holds when the file is read; ``{env: NAME}`` in place of a
value is a secret, which is not read before it is needed. An overlay ``deployment.prod.yaml`` is laid over the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from headrace.domain.deployment import (
    ACA,
    AZUREML,
    LOCAL,
    Authentication,
    AzurePlace,
    Deployment,
    Endpoint,
    TargetName,
)
from headrace.errors import DefinitionError
from headrace.formats.deployment_arms import read_deployments
from headrace.formats.deployment_limits import LIMITS
from headrace.formats.deployment_parts import (
    COPY_KEYS,
    first_copy,
    not_of_target,
    read_copy,
    read_count,
    read_percent,
)
from headrace.formats.deployment_settings import UNSET, resolve_variables
from headrace.formats.experiment_parts import refuse
from headrace.formats.overlay import lay_over, overlay_file
from headrace.formats.paths import exists, is_folder
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, by_place, root_block

FILE_NAME: Final = "deployment.yaml"
KEYS: Final = (
    "name", "target", *COPY_KEYS, "azure", "authentication", "identities", "network", "canary", "max_shift", "gate",
    "price_usd_per_hour", "arms", "experiment", "traffic", "description", "$schema",
)  # fmt: skip
PLACE_KEYS: Final = ("subscription", "resource_group", "workspace", "environment", "location", "registry")
TARGET_NAMES: Final[tuple[TargetName, ...]] = get_args(TargetName)
IDENTITY: Final = (
    r"^(?i:/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/microsoft\.managedidentity"
    r"/userassignedidentities/[^/\s]+)$"
)
PLACE_NAME: Final = r"^[^/\s]+$"
ENVIRONMENT_ID: Final = (
    r"^(?i:/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/microsoft\.app"
    r"/managedenvironments/[^/\s]+)$"
)
_TARGET_HINTS: Final = {
    "azure": AZUREML, "aml": AZUREML, "managed": AZUREML, "containerapp": ACA, "containerapps": ACA,
    "container_apps": ACA, "serverless": ACA, "localhost": LOCAL,
}  # fmt: skip
_ONLY_AZURE: Final = ("azure", "identities")
_IDENTITY = re.compile(IDENTITY)
_PLACE_NAME = re.compile(PLACE_NAME)
_ENVIRONMENT_ID = re.compile(ENVIRONMENT_ID)


def read_deployment(path: Path, environment: str | None, variables: Mapping[str, str]) -> Endpoint:
    """Read a deployment file, or the ``deployment.yaml`` of a folder.

    Args:
        path: The file or its folder.
        environment: Name of an overlay: ``prod`` lays ``deployment.prod.yaml`` over ``deployment.yaml``.
        variables: What ``${env:NAME}`` stands for.

    Returns:
        What is wished for. Flows, samples and gates that are there are paths from the working directory; a flow
        that is the name of a version stays one.

    Raises:
        DefinitionError: Everything that is wrong with the file or its overlay, and with the arms of an experiment or a
            traffic file that it names, at once.
        UsageError: F001 or C507 when there is no such overlay.
    """
    file = path / FILE_NAME if is_folder(path) else path
    overlay = overlay_file(file, environment) if environment is not None else None
    data, findings = _read_files(file, overlay)
    root = root_block(data, findings)
    endpoint = _read(root, file, variables) if root.data else None
    if findings.has_errors() or endpoint is None:
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return endpoint


def _read_files(file: Path, overlay: Path | None) -> tuple[Any, Findings]:
    data, source_map, problems = read_yaml(read_text(file), str(file))
    if overlay is not None:
        over, over_map, more = read_yaml(read_text(overlay), str(overlay))
        problems = (*problems, *more)
        if over is not None and not isinstance(over, dict):
            over_findings = Findings(over_map, list(problems))
            root_block(over, over_findings)
            raise DefinitionError(*over_findings.problems)
        data, source_map = lay_over(data, source_map, over, over_map)
    return data, Findings(source_map, list(problems))


def _read(root: Block, file: Path, variables: Mapping[str, str]) -> Endpoint | None:
    if "$schema" in root and "endpoint_name" in root.data:
        what = "This is a deployment of Azure Machine Learning, which says other things in other words."
        fix = f"Take it over with: headrace deploy import {file}"
        root.findings.add("F004", root.at("endpoint_name"), what, fix, at_key=True)
        return None
    root.check_keys(KEYS, "A deployment file", severity="error")
    target = _read_target(root)
    if target is None:
        return None
    used = {key: value for key, value in root.data.items() if target != LOCAL or key not in _ONLY_AZURE}
    root = Block(resolve_variables(used, variables, root.findings), (), root.findings)
    start = read_copy(root, first_copy(target), target, file)
    deployments = read_deployments(root, start, target, file)
    is_public, is_egress_public = _read_network(root, target)
    place = _read_place(root, target, deployments) if target != LOCAL else None
    price = root.number("price_usd_per_hour")
    if price is not None and price < 0:
        refuse(root, "price_usd_per_hour", "a number of at least 0, in US dollars")
    if target == AZUREML:
        _check_sizes(root, deployments)
    return Endpoint(
        name=_read_name(root, target),
        target=target,
        deployments=deployments,
        place=place,
        canary_percent=read_percent(root, "canary", 10),
        authentication=_read_authentication(root, target),
        identities=_read_identities(root),
        is_public=is_public,
        is_egress_public=is_egress_public,
        max_shift=read_count(root, "max_shift", 50, low=1, high=100),
        gate=_read_gate(root, file),
        traffic_file=str(file.parent / text) if (text := root.text("traffic")) is not None else "",
        hourly_usd=None if price is None else float(price),
        description=root.note("description") or "",
        tags=start.tags,
        path=str(file),
        source_map=root.findings.source_map,
    )


def _read_target(root: Block) -> TargetName | None:
    text = root.word("target", TARGET_NAMES, hints=_TARGET_HINTS)
    if text is None:
        if not isinstance(root.data.get("target"), (dict, list)):
            root.missing("target", "The deployment")
        return None
    return next((name for name in TARGET_NAMES if name == text), None)


def _read_name(root: Block, target: TargetName) -> str:
    text = root.required_text("name", "The deployment")
    limits = LIMITS[target]
    if text is not None and not limits.name.fullmatch(text):
        what = f"{limits.called} takes no name like {text!r}."
        is_small = limits.name.fullmatch(text.lower()) is not None
        offer = f"Write {text.lower()}, or a name" if is_small else "Choose a name"
        root.findings.add("X102", root.at("name"), what, f"{offer} of {limits.wanted}.")
    return text or ""


def _read_place(root: Block, target: TargetName, deployments: tuple[Deployment, ...]) -> AzurePlace | None:
    if root.data.get("azure") is None:
        root.missing("azure", "The deployment")
        return None
    block = root.block("azure")
    block.check_keys(PLACE_KEYS, "A place in Azure", severity="error")
    needed = ["subscription", "resource_group", "workspace" if target == AZUREML else "environment"]
    if target == ACA and not all(item.image for item in deployments):
        needed.append("registry")
    for key in needed:
        block.required_text(key, "The place in Azure")
    texts = {key: block.text(key) or "" for key in PLACE_KEYS}
    for key, text in texts.items():
        if not text or _PLACE_NAME.fullmatch(text):
            continue
        if key != "environment":
            refuse(block, key, "a name, without / and blanks")
        elif not _ENVIRONMENT_ID.fullmatch(text):
            refuse(
                block,
                key,
                "a name, or /subscriptions/…/resourceGroups/…/providers/Microsoft.App/managedEnvironments/…",
            )
    return AzurePlace(**texts)


def _read_authentication(root: Block, target: TargetName) -> Authentication:
    words: tuple[Authentication, ...] = get_args(Authentication)
    text = root.word(
        "authentication", words, hints={"aad": "entra", "aad_token": "entra", "aml_token": "entra"}
    )
    if text == "none" and target == AZUREML:
        what = "Managed online endpoints answer nobody without a key or a token."
        root.findings.add("X103", root.at("authentication"), what, "Write key or entra.")
    return next((word for word in words if word == text), "key")


def _read_identities(root: Block) -> tuple[str, ...]:
    found = []
    for pointer, value in root.items("identities"):
        if isinstance(value, str) and _IDENTITY.fullmatch(value):
            found.append(value)
        elif value != UNSET:
            what = "This is no resource id of a user-assigned identity."
            fix = (
                "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…, "
                "as az identity show --query id prints it."
            )
            root.findings.add("F005", pointer, what, fix)
    return tuple(dict.fromkeys(found))


def _read_network(root: Block, target: TargetName) -> tuple[bool, bool]:
    network = root.block("network")
    network.check_keys(("public", "egress"), "A network", severity="error")
    values = []
    for key in ("public", "egress"):
        value = network.data.get(key)
        if value is not None and not isinstance(value, bool):
            refuse(network, key, "true or false")
        # A process of this machine is only reached from elsewhere where that is said.
        values.append(value is True if target == LOCAL and key == "public" else value is not False)
    if target == ACA and not values[1]:
        fix = "Remove it; what an app reaches is set at its environment and virtual network."
        not_of_target(network, "egress", target, fix)
    return values[0], values[1]


def _read_gate(root: Block, file: Path) -> str:
    """A file where there is one or the text means one, else the name of a comparison."""
    text = root.text("gate") or ""
    is_path = "/" in text or text.endswith(".json") or (text and exists(file.parent / text))
    return str(file.parent / text) if is_path else text


def _check_sizes(root: Block, deployments: tuple[Deployment, ...]) -> None:
    """F006 where a managed online deployment has no machine."""
    if any(not item.size.instance_type for item in deployments):
        pointer = ("size",) if "size" in root else ()
        what = "The deployment has no instance_type, the machine that a copy runs on."
        fix = "Add size: {instance_type: Standard_DS3_v2}, or another machine of the region with quota."
        root.findings.add("F006", pointer, what, fix)
