"""The arms of a traffic file: what each of them runs, and its share of the requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headrace.domain.override import override_text
from headrace.domain.remote import RemoteFlow
from headrace.domain.traffic import TrafficArm
from headrace.domain.variant import Arm, Variant
from headrace.domain.version import parse_version_name
from headrace.errors import UsageError, nearest
from headrace.formats.arms import parse_variant
from headrace.formats.experiment import OfferedArms
from headrace.formats.experiment_parts import adopt, no_mapping, read_model, refuse
from headrace.formats.flex import is_entry
from headrace.formats.paths import exists
from headrace.formats.remote import DEPLOYED_KEYS, read_deployed, read_remote
from headrace.formats.remote import KEYS as REMOTE_KEYS
from headrace.formats.shape import Block, Findings
from headrace.formats.traffic_parts import read_share
from headrace.source import Pointer

ARM_KEYS: Final = ("name", "flow", "variant", "choices", "model", "overrides", "weight", "shadow")
_DEFINING = ("flow", "variant", "choices", "model", "overrides")
_SLACK = 0.001
"""How far weights may be from 1: thirds are written with three digits."""

_LONGEST_NAME = 500
"""Characters of the name of an arm, which is in a header of every answer."""

FLOW_FIX: Final = (
    "Correct the path; it is relative to the folder of the traffic file, or name a version: triage@prod."
)

_ADDRESS = re.compile(r"https?://")
_FIELD = re.compile(r"[^.\s]+\.\S+")


def read_arms(root: Block, file: Path, offered: OfferedArms | None) -> tuple[TrafficArm, ...]:
    """The arms; those of the experiment where the file names none.

    Args:
        root: The whole file.
        file: The traffic file; paths are relative to its folder.
        offered: What the file of the experiment says; ``None`` without one.
    """
    start = len(root.findings.problems)
    items = root.items("arms")
    if not items and offered is not None:
        items = [(("experiment",), arm.name) for arm in offered.arms]
    arms: list[_Found] = []
    for pointer, value in items:
        found = _read_arm(pointer, value, root.findings, file, offered)
        if found is None:
            continue
        if any(found[0].name == arm.name for arm, _ in arms):
            what = f"Two arms are called {found[0].name!r}."
            root.findings.add("V303", (*pointer, "name"), what, "Give each arm a name of its own.")
        arms.append(found)
    if root.findings.has_errors(start):
        return tuple(arm for arm, _ in arms)
    return _share_out(root, arms)


_Found = tuple[TrafficArm, bool]
"""An arm, and whether it says its weight."""


def _read_arm(
    pointer: Pointer, value: Any, findings: Findings, file: Path, offered: OfferedArms | None
) -> _Found | None:
    if isinstance(value, str) and value:
        value = {"name": value}
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "the name of an arm, or a mapping with name and weight")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(ARM_KEYS, "An arm", severity="error")
    name = block.required_text("name", "The arm")
    shadow = read_share(block, "shadow", default=0.0) if block.data.get("shadow") is not None else None
    if shadow is not None and "weight" in block:
        what = "An arm that is mirrored to answers nobody, so it has no weight."
        findings.add("G985", block.at("weight"), what, "Keep one of weight and shadow.", at_key=True)
    weight = read_share(block, "weight", default=0.0)
    if name is None:
        return None
    if not name.isprintable() or name != name.strip() or len(name) > _LONGEST_NAME:
        refuse(block, "name", f"a name of one line, of at most {_LONGEST_NAME} characters")
    has_own = any(block.data.get(key) is not None for key in _DEFINING)
    arm = _read_definition(block, name, file) if has_own else _find_offered(block, name, offered)
    found = TrafficArm(
        name=name,
        arm=arm,
        source=arm.remote.url if arm.remote is not None else arm.flow_path or "",
        weight=weight,
        shadow_share=shadow,
        span=findings.source_map.span(pointer),
    )
    return found, block.data.get("weight") is not None


def _find_offered(block: Block, name: str, offered: OfferedArms | None) -> Arm:
    """The arm as the experiment has it; without an experiment file the flow as it is."""
    if offered is None:
        return Arm(name=name)
    names = [arm.name for arm in offered.arms]
    if name not in names:
        near = nearest(name, names)
        what = f"The experiment has no arm {name!r}."
        fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}. Or say what it runs."
        block.findings.add("V305", block.at("name"), what, fix)
        return Arm(name=name)
    return offered.arms[names.index(name)]


def _read_definition(block: Block, name: str, file: Path) -> Arm:
    flow_path, remote = _read_flow(block, file)
    model = None
    if block.data.get("model") is not None:
        model = read_model(block.at("model"), block.data["model"], block.findings)
    arm = Arm(
        name=name,
        variant=_read_variant(block, name),
        model=model,
        overrides=_read_overrides(block.block("overrides")),
        flow_path=flow_path,
        remote=remote,
    )
    if remote is not None:
        for key in ("variant", "choices", "model", "overrides"):
            if block.data.get(key) is not None:
                what = f"An arm behind an address runs elsewhere, so {key} cannot be set here."
                fix = f"Remove {key}, or flow."
                block.findings.add("G985", block.at(key), what, fix, at_key=True)
    return arm


def _read_flow(block: Block, file: Path) -> tuple[str | None, RemoteFlow | None]:
    value, pointer = block.data.get("flow"), block.at("flow")
    if isinstance(value, dict) or (isinstance(value, str) and _ADDRESS.match(value)):
        said = Block(value if isinstance(value, dict) else {"url": value}, pointer, block.findings)
        if "deployed" in said and "url" not in said:
            said.check_keys(DEPLOYED_KEYS, "A deployed flow", severity="error")
            return None, read_deployed(said, file)
        said.check_keys(REMOTE_KEYS, "A flow behind an address", severity="error")
        return None, read_remote(said)
    text = block.text("flow")
    if text is None:
        return None, None
    target = file.parent / text
    if exists(target) or is_entry(target.name):
        return str(target), None
    if parse_version_name(text) is None:
        block.findings.add("F001", pointer, f"{text} does not exist.", FLOW_FIX)
    return text, None


def _read_variant(block: Block, name: str) -> Variant | None:
    if block.data.get("choices") is not None:
        if block.data.get("variant") is not None:
            what = "The arm has choices, so it cannot have variant as well."
            block.findings.add(
                "G985", block.at("variant"), what, "Keep one of choices and variant.", at_key=True
            )
        choices = block.block("choices")
        return Variant(name=name, choices={node: choices.text(node) or "" for node in choices.data})
    text = block.text("variant")
    if text is None:
        return None
    try:
        node, variant_id = parse_variant(text)
    except UsageError as error:
        adopt(block.findings, error, block.at("variant"))
        return None
    return Variant(name=variant_id, choices={node: variant_id})


def _read_overrides(block: Block) -> dict[str, str]:
    for key in block.data:
        if not _FIELD.fullmatch(key):
            what = f"{key!r} does not name a node and one of its fields."
            block.findings.add("C507", block.at(key), what, "Write node.field.", at_key=True)
    return {key: override_text(key.partition(".")[2], value) for key, value in block.data.items()}


def _share_out(root: Block, arms: Sequence[_Found]) -> tuple[TrafficArm, ...]:
    """Arms with their weights: as the file says, or equal ones where it says none."""
    answering = [(arm, is_said) for arm, is_said in arms if not arm.is_shadow]
    key = ("arms",) if "arms" in root else ()
    if not answering:
        what = "All arms are mirrored to, so nobody answers." if arms else "The test has no arm."
        fix = "Add arms: at least one with a weight, or an experiment file that has arms."
        root.findings.add("G982", key, what, fix, at_key=bool(key))
        return tuple(arm for arm, _ in arms)
    silent = [arm.name for arm, is_said in answering if not is_said]
    total = sum(arm.weight for arm, _ in answering)
    if silent and len(silent) < len(answering):
        what = f"Some arms say their weight, and these do not: {', '.join(silent)}."
        fix = "Give every arm that answers a weight, or none for equal shares."
        root.findings.add("G981", key, what, fix, at_key=bool(key))
    elif not silent and abs(total - 1) > _SLACK:
        what = f"The weights add up to {total:.6g}, not to 1."
        root.findings.add("G981", key, what, "Change them so that they add up to 1.", at_key=bool(key))
    else:
        equal = 1 / len(answering)
        return tuple(
            arm if arm.is_shadow else replace(arm, weight=equal if silent else arm.weight / total)
            for arm, _ in arms
        )
    return tuple(arm for arm, _ in arms)
