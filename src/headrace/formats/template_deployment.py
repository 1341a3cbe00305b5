"""``deployment_config.json`` of Microsoft's LLMOps template, as parts of deployment files of ours.

::

    {"azure_managed_endpoint": [{"ENV_NAME": "dev", "ENDPOINT_NAME": "triage", "CURRENT_DEPLOYMENT_NAME": "blue",
      "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION": "100", "PRIOR_DEPLOYMENT_NAME": "", "DEPLOYMENT_VM_SIZE": "Standard_E4",
      "DEPLOYMENT_INSTANCE_COUNT": 1, "ENVIRONMENT_VARIABLES": {"example-name": "example-value"}, ...}],
     "kubernetes_endpoint": [...], "webapp_endpoint": [...]}

The format is that of ``configs/deployment_config.json`` in microsoft/genaiops-promptflow-template; ``config.json`` or
``llmops_config.json`` beside its folder says which resource group and workspace a stage has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from headrace.errors import DefinitionError
from headrace.formats.import_notes import ImportNotes
from headrace.formats.imported_variables import read_variables
from headrace.formats.managed_deployment import ManagedPart, read_number
from headrace.formats.paths import is_file
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, root_block

MANAGED: Final = "azure_managed_endpoint"
_ELSEWHERE: Final = {
    "kubernetes_endpoint": "A deployment on Kubernetes has no target here: headrace flow build makes an image for it.",
    "webapp_endpoint": "A web app runs the image of headrace flow build; the target aca runs it without a plan.",
}
_NAMED: Final = ("ENDPOINT_NAME", "WEB_APP_NAME", "CURRENT_DEPLOYMENT_NAME")
_STAGE_FILES: Final = ("config.json", "llmops_config.json")
_STAGE_KEYS: Final = {
    "SUBSCRIPTION_ID": "subscription",
    "RESOURCE_GROUP_NAME": "resource_group",
    "WORKSPACE_NAME": "workspace",
}
_LEFT: Final = {
    "DEPLOYMENT_DESC": "Deployments have the description of their endpoint.",
    "DEPLOYMENT_BASE_IMAGE_NAME": "headrace builds the server of the flow itself.",
    "DEPLOYMENT_CONDA_PATH": "Packages belong into the requirements.txt of the flow.",
}
_READ: Final = (
    "ENV_NAME", "ENDPOINT_NAME", "ENDPOINT_DESC", "CURRENT_DEPLOYMENT_NAME", "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION",
    "PRIOR_DEPLOYMENT_NAME", "PRIOR_DEPLOYMENT_TRAFFIC_ALLOCATION", "DEPLOYMENT_VM_SIZE", "DEPLOYMENT_INSTANCE_COUNT",
    "ENVIRONMENT_VARIABLES", "TEST_FILE_PATH",
)  # fmt: skip


def read_template_deployments(file: Path, notes: ImportNotes) -> list[tuple[str, ManagedPart]]:
    """Stages with the deployment of each, in the order of the file.

    Args:
        file: The ``deployment_config.json``.
        notes: Takes what becomes of each key.

    Raises:
        DefinitionError: F004 for a file without managed endpoints, and what else is wrong with it.
    """
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    for key, why in _ELSEWHERE.items():
        for pointer, value in root.items(key):
            if any(Block(value, pointer, findings).text(name) for name in _NAMED):
                notes.ask(root, key, why)
                break
    items = root.items(MANAGED)
    if not items and not findings.has_errors():
        what = "The file has no managed endpoint that could be taken over."
        fix = f"Name a file with {MANAGED}, or the YAML files of an endpoint and its deployments."
        findings.add("F004", (MANAGED,) if MANAGED in root else (), what, fix)
    stages = _read_stages(file.parent)
    found = [_read_stage(Block(value, pointer, findings), file, stages, notes) for pointer, value in items]
    if findings.has_errors():
        raise DefinitionError(*(problem for problem in findings.problems if problem.severity == "error"))
    return found


def _read_stage(
    block: Block, file: Path, stages: dict[str, dict[str, str]], notes: ImportNotes
) -> tuple[str, ManagedPart]:
    said: dict[str, Any] = {}
    stage = block.text("ENV_NAME") or "dev"
    endpoint = (block.required_text("ENDPOINT_NAME", "The endpoint") or "").lower()
    notes.add("taken", block, "ENDPOINT_NAME", "name")
    if block.text("ENDPOINT_DESC"):
        notes.take(block, "ENDPOINT_DESC", said, "description", block.text("ENDPOINT_DESC"))
    if block.text("DEPLOYMENT_VM_SIZE"):
        notes.take(block, "DEPLOYMENT_VM_SIZE", said, "size.instance_type", block.text("DEPLOYMENT_VM_SIZE"))
    count = read_number(block, "DEPLOYMENT_INSTANCE_COUNT")
    if count is not None:
        notes.take(block, "DEPLOYMENT_INSTANCE_COUNT", said, "scale.min", int(count))
        said["scale"]["max"] = int(count)
    variables = read_variables(block.block("ENVIRONMENT_VARIABLES"), notes)
    if variables.environment:
        said["environment"] = variables.environment
    _take_sample(block, file, said, notes)
    for key in block.data:
        if key not in _READ:
            notes.leave(block, key, _LEFT.get(key, "headrace has no use for it."))
    part = ManagedPart(
        kind="deployment",
        file=file,
        name=(block.text("CURRENT_DEPLOYMENT_NAME") or "").lower(),
        endpoint=endpoint,
        said=said,
        place={**stages.get(stage, {}), **variables.place},
        traffic=_read_traffic(block, notes),
    )
    return stage, part


def _take_sample(block: Block, file: Path, said: dict[str, Any], notes: ImportNotes) -> None:
    text = block.text("TEST_FILE_PATH")
    if text is None:
        return
    for folder in (file.parent.parent, file.parent):
        if is_file(folder / text):
            notes.take(block, "TEST_FILE_PATH", said, "sample", str(folder / text))
            return
    notes.ask(block, "TEST_FILE_PATH", "There is no such file; the sample of the flow is used.", "sample")


def _read_traffic(block: Block, notes: ImportNotes) -> dict[str, int]:
    found = {}
    for which in ("CURRENT", "PRIOR"):
        name, key = block.text(f"{which}_DEPLOYMENT_NAME"), f"{which}_DEPLOYMENT_TRAFFIC_ALLOCATION"
        share = read_number(block, key) if block.data.get(key) not in (None, "") else None
        if name is not None:
            found[name] = int(share or 0)
            notes.add("taken", block, f"{which}_DEPLOYMENT_NAME", "arms.name")
            if share is not None:
                notes.add("taken", block, key, "arms.traffic")
        elif which == "CURRENT":
            why = "Without a name, versions take turns in two places, blue and green."
            notes.add("translated", block, f"{which}_DEPLOYMENT_NAME", "", why)
    return found


def _read_stages(folder: Path) -> dict[str, dict[str, str]]:
    """Stage to place, of the file beside the folder of the configuration that says it."""
    found: dict[str, dict[str, str]] = {}
    for file in (parent / name for parent in (folder.parent, folder) for name in _STAGE_FILES):
        if is_file(file):
            for block in _stage_blocks(file):
                place = {key: block.text(name) or "" for name, key in _STAGE_KEYS.items()}
                stage = block.text("ENV_NAME") or ""
                found.setdefault(stage, {key: text for key, text in place.items() if text})
    return found


def _stage_blocks(file: Path) -> Iterator[Block]:
    data, source_map, _ = read_yaml(read_text(file), str(file))
    envs = data.get("envs") if isinstance(data, dict) else None
    for place, value in enumerate(envs if isinstance(envs, list) else []):
        if isinstance(value, dict):
            yield Block(value, ("envs", place), Findings(source_map))
