"""The evaluators of an experiment file.

::

    evaluators:
      - f1                                        # a built-in by name
      - {flow: evaluation/answer}                 # an evaluation flow
      - {builtin: numeric, name: price, parameters: {relative: 0.01},
         column_mapping: {prediction: "${run.outputs.price}", reference: "${data.price}"}}
      - {python: "checks.py:Style", parameters: {strict: true}}     # a function or class of a file
      - {python: "my_package.checks:style"}                         # or of a module
      - {builtin: groundedness, models: [my_aoai/gpt-4o, baseline], repeats: 3}   # a panel of judges

An evaluator is exactly one of ``flow``, ``builtin`` and ``python``. Without ``name`` it is called after what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec
from headrace.errors import Problem, UsageError
from headrace.formats.experiment_parts import (
    no_mapping,
    read_items,
    read_mapping,
    read_model,
    read_path,
    read_whole,
)
from headrace.formats.flex import is_entry
from headrace.formats.paths import exists
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

_KINDS = ("flow", "builtin", "python")
_KEYS = (*_KINDS, "name", "column_mapping", "parameters", "models", "repeats")
_ONLY_BUILTIN = ("models", "repeats")
_PYTHON_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


def read_evaluators(root: Block, file: Path) -> tuple[EvaluatorSpec, ...]:
    """Read the evaluators of an experiment; findings go to the block.

    Args:
        root: The whole file.
        file: The experiment file; paths are relative to its folder.
    """
    evaluators: dict[str, EvaluatorSpec] = {}
    for pointer, value in root.items("evaluators"):
        found = read_evaluator(pointer, value, root.findings, file)
        if found is None:
            continue
        if found.name in evaluators:
            at = (*pointer, "name") if isinstance(value, dict) and "name" in value else pointer
            what = f"Two evaluators are called {found.name!r}."
            root.findings.add("F003", at, what, "Give each evaluator a name of its own.")
        evaluators[found.name] = found
    return tuple(evaluators.values())


def read_evaluator(pointer: Pointer, value: Any, findings: Findings, file: Path) -> EvaluatorSpec | None:
    """Read one evaluator, the name of a built-in or a mapping; ``None`` where it does not say what it is.

    Args:
        pointer: Where it stands.
        value: What stands there.
        findings: Where problems go.
        file: Paths are relative to its folder.
    """
    if isinstance(value, str) and value:
        return EvaluatorSpec(name=value, builtin=value, pointer=pointer)
    if not isinstance(value, dict):
        no_mapping(
            pointer, findings, "the name of a built-in evaluator, or a mapping with flow, builtin or python"
        )
        return None
    block = Block(value, pointer, findings)
    block.check_keys(_KEYS, "An evaluator", severity="error")
    kind = _read_kind(block)
    if kind is None:
        return None
    flow_path = read_path(block, "flow", file, "The evaluator") if kind == "flow" else None
    python = _read_python(block, file) if kind == "python" else None
    builtin = block.required_text("builtin", "The evaluator") if kind == "builtin" else None
    default = Path(flow_path).name if flow_path else builtin or (python or "").rpartition(":")[2]
    name = block.text("name") or default
    if kind == "flow" and block.data.get("parameters"):
        what = "An evaluation flow takes no parameters: what it is given stands in its column mapping."
        findings.add("F012", block.at("parameters"), what, "Move them to column_mapping.", at_key=True)
    for key in _ONLY_BUILTIN:
        if kind != "builtin" and key in block:
            what = f"Only a built-in evaluator that asks models has use for {key}."
            findings.add("F012", block.at(key), what, f"Remove {key}.", at_key=True)
    return EvaluatorSpec(
        name=name,
        flow_path=flow_path,
        builtin=builtin,
        python=python,
        folder=str(file.parent),
        column_mapping=read_mapping(block.block("column_mapping"), may_see_baseline=True),
        parameters=block.block("parameters").data,
        models=tuple(read_items(block, "models", read_model)),
        repeats=read_whole(block, "repeats", default=1, at_least=1),
        pointer=pointer,
    )


def parse_evaluator(text: str, folder: Path, column_mapping: Mapping[str, str]) -> EvaluatorSpec:
    """Read an evaluator of a command line: the path of a flow, ``file.py:name``, ``module:name``, or a built-in.

    Args:
        text: As it was given.
        folder: Where relative paths begin.
        column_mapping: Input name to mapping text.

    Raises:
        UsageError: F001 for a path that does not exist.
    """
    python = _PYTHON_FILE.fullmatch(text)
    target = folder / text
    if exists(target):
        return EvaluatorSpec(name=target.resolve().name, flow_path=str(target), column_mapping=column_mapping)
    if (python is not None and not exists(folder / python["file"])) or (python is None and "/" in text):
        missing = python["file"] if python is not None else text
        fix = "Name a flow, file.py:name, module:name or a built-in: headrace evaluator list."
        raise UsageError(Problem(code="F001", what=f"{missing} does not exist.", fix=fix))
    if python is not None or is_entry(text):
        return EvaluatorSpec(
            name=text.rpartition(":")[2], python=text, folder=str(folder), column_mapping=column_mapping
        )
    return EvaluatorSpec(name=text, builtin=text, column_mapping=column_mapping)


def check_names(evaluators: Sequence[EvaluatorSpec]) -> None:
    """Refuse two evaluators of one name.

    Raises:
        UsageError: F003.
    """
    names = [evaluator.name for evaluator in evaluators]
    for name in names:
        if names.count(name) > 1:
            what = f"Two evaluators are called {name!r}."
            fix = "Name each once, or give them names in an experiment file."
            raise UsageError(Problem(code="F003", what=what, fix=fix))


def _read_kind(block: Block) -> str | None:
    given = [key for key in block.data if key in _KINDS]
    if not given:
        what = "The evaluator does not say what it is: it has none of flow, builtin and python."
        fix = "Add flow: PATH, builtin: NAME or python: FILE.py:NAME."
        block.findings.add("F006", block.pointer, what, fix)
        return None
    for key in given[1:]:
        what = f"The evaluator is a {given[0]} already, so it cannot have {key} as well."
        block.findings.add("F005", block.at(key), what, f"Keep one of {' and '.join(given)}.", at_key=True)
    return given[0]


def _read_python(block: Block, file: Path) -> str | None:
    text = block.required_text("python", "The evaluator")
    if text is None:
        return None
    found = _PYTHON_FILE.fullmatch(text)
    if found is not None and not exists(file.parent / found["file"]):
        fix = "Correct the path; it is relative to the folder of the experiment file."
        block.findings.add("F001", block.at("python"), f"{found['file']} does not exist.", fix)
    elif found is None and not is_entry(text):
        what = f"{text!r} does not name a function or class of a file or module."
        fix = "Write file.py:name, or module:name with dots for modules inside packages."
        block.findings.add("F016", block.at("python"), what, fix)
    return text
