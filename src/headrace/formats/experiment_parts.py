"""Parts that the sections of an experiment file share: paths, mappings, models."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from headrace.domain.variant import ModelSpec, Price
from headrace.domain.version import parse_version_name
from headrace.errors import DefinitionError, HeadraceError, UsageError
from headrace.formats.arms import parse_model
from headrace.formats.flex import is_entry
from headrace.formats.mapping import as_arm_outputs, parse_mapping
from headrace.formats.paths import exists
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

ItemT = TypeVar("ItemT")


MOST_REPEATS = 1_000
"""Every repeat of every arm is a run, which is planned and recorded before the first call."""


def refuse(block: Block, key: str, wanted: str) -> None:
    """Report F005 for the value at ``key``: it should be ``wanted``."""
    block.findings.add("F005", block.at(key), f"{key} should be {wanted}.", f"Write {wanted}.")


def read_path(block: Block, key: str, file: Path, owner: str, default: str | None = None) -> str:
    """The path at ``key``, relative to the folder of ``file``; F006 without one, F001 where there is nothing.

    Args:
        block: The mapping that has the key.
        key: The key.
        file: The experiment file.
        owner: What the mapping is called.
        default: The path where the key is not there.
    """
    text = (block.required_text(key, owner) if default is None else block.text(key)) or default
    if text is None:
        return ""
    target = file.parent / text
    if not exists(target) and not (key == "flow" and is_entry(target.name)):
        pointer = block.at(key) if key in block else block.pointer
        fix = "Correct the path; it is relative to the folder of the experiment file."
        block.findings.add("F001", pointer, f"{text} does not exist.", fix)
    return str(target)


def read_flow_path(block: Block, key: str, file: Path, owner: str, default: str | None = None) -> str:
    """As :func:`read_path`; the name of a version is left as it is, because the store knows what it stands for."""
    text = block.text(key) or ""
    is_version = parse_version_name(text) is not None and not exists(file.parent / text)
    return text if is_version else read_path(block, key, file, owner, default)


def read_texts(block: Block) -> dict[str, str]:
    """Values as text; what is no text is written as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for key, value in block.data.items()
    }


def read_mapping(block: Block, *, may_see_baseline: bool = False) -> dict[str, str]:
    """A column mapping as texts; D404 for a reference that cannot be read.

    Args:
        block: The mapping.
        may_see_baseline: Whether ``${baseline.outputs.x}`` can be read.
    """
    texts = read_texts(block)
    known = as_arm_outputs(texts) if may_see_baseline else texts
    try:
        parse_mapping(known, lambda name: block.findings.source_map.span(block.at(name)))
    except DefinitionError as error:
        block.findings.problems.extend(error.problems)
    return texts


def read_whole(block: Block, key: str, *, default: int, at_least: int, at_most: int | None = None) -> int:
    """The whole number at ``key``; F005 for anything else, for less than ``at_least`` or more than ``at_most``."""
    number = block.number(key)
    if number is None:
        return default
    if not isinstance(number, int) or number < at_least or (at_most is not None and number > at_most):
        wanted = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most:,}"
        refuse(block, key, f"a whole number {wanted}")
        return default
    return number


def adopt(findings: Findings, error: HeadraceError, pointer: Pointer) -> None:
    """Report the problems of an error at ``pointer``."""
    for problem in error.problems:
        findings.add(problem.code, pointer, problem.what, problem.fix)


def read_items(root: Block, key: str, read: Callable[[Pointer, Any, Findings], ItemT | None]) -> list[ItemT]:
    """What ``read`` makes of the items of the list at ``key``, without those it makes nothing of."""
    found = (read(pointer, value, root.findings) for pointer, value in root.items(key))
    return [item for item in found if item is not None]


def no_mapping(pointer: Pointer, findings: Findings, wanted: str) -> None:
    """Report F005 for an item that is neither text nor a mapping."""
    findings.add("F005", pointer, f"Here should be {wanted}.", f"Write {wanted}.")


def read_model(pointer: Pointer, value: Any, findings: Findings) -> ModelSpec | None:
    """``connection/model`` or a mapping with connection and model; ``None`` with C507, F005, F006 or F012."""
    if isinstance(value, str):
        try:
            return parse_model(value)
        except UsageError as error:
            adopt(findings, error, pointer)
            return None
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "connection/model or a mapping with connection and model")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(("name", "connection", "model", "parameters", "price"), "A model", severity="error")
    connection = block.required_text("connection", "The model")
    model = block.text("model") or (connection if connection == "baseline" else None)
    if model is None:
        block.missing("model", "The model")
    if connection is None or model is None:
        return None
    return ModelSpec(
        name=block.text("name") or model,
        connection=connection,
        model=model,
        parameters=block.block("parameters").data,
        price=read_price(block),
    )


def read_price(block: Block) -> Price | None:
    """The price of a model in US dollars per million tokens; ``None`` without one."""
    if block.data.get("price") is None:
        return None
    price = block.block("price")
    price.check_keys(("input_usd", "output_usd"), "A price", severity="error")
    amounts: list[float] = []
    for key in ("input_usd", "output_usd"):
        amount = price.number(key)
        if key not in price:
            price.missing(key, "The price")
        elif amount is not None and not 0 <= amount < inf:
            refuse(price, key, "a number of at least 0, in US dollars per million tokens")
        amounts.append(float(amount or 0))
    return Price(input_usd=amounts[0], output_usd=amounts[1])
