"""Python evaluators: what they take, and the entry that calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.domain.evaluation import EvaluatorSpec
from headrace.evaluation.evaluators.base import EvaluatorInput
from headrace.evaluation.evaluators.objects import Callee
from headrace.evaluation.evaluators.packages import package_version
from headrace.evaluation.evaluators.returned_names import returned_names
from headrace.providers.loading import load_by_name
from headrace.tools.project import loading_turn, project_in_use, working_folder

_ENTRY = "headrace.evaluation.evaluators.python_entry:PythonEntry"
_ASYNC_ENTRY = "headrace.evaluation.evaluators.python_entry:AsyncPythonEntry"
_LOAD = "headrace.evaluation.evaluators.python_entry:load_callee"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEvaluator:
    """What a Python evaluator is run as.

    Attributes:
        entry: Of its flow.
        inputs: What it takes.
        init: What the entry is made with.
        folder: Where its code is.
    """

    entry: str
    inputs: tuple[EvaluatorInput, ...]
    init: Mapping[str, Any]
    folder: Path


def describe_python(evaluator: EvaluatorSpec) -> PythonEvaluator:
    """Load a Python evaluator to see what it takes.

    Raises:
        DefinitionError: G926 where it cannot be loaded, made or called.
    """
    where, _, name = (evaluator.python or "").rpartition(":")
    folder = Path(evaluator.folder).resolve()
    if where.endswith(".py"):
        file = folder / where
        folder, python = file.parent, f"{file.name}:{name}"
        version = f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    else:
        python = f"{where}:{name}"
        version = _versions(where)
    compat.install()
    with working_folder(folder, is_brief=True), project_in_use(folder), loading_turn():
        callee: Callee = load_by_name(_LOAD)(python, folder, evaluator.parameters)
    init = {
        "python": python,
        "folder": str(folder),
        "name": evaluator.name,
        "parameters": dict(evaluator.parameters),
        "version": version,
    }
    return PythonEvaluator(
        entry=_ASYNC_ENTRY if callee.is_async else _ENTRY, inputs=callee.inputs, init=init, folder=folder
    )


def python_scores(evaluator: EvaluatorSpec) -> tuple[str, ...] | None:
    """Names that the scores of a Python evaluator may have; ``None`` where that is open."""
    where, _, name = (evaluator.python or "").rpartition(":")
    if not where.endswith(".py"):
        return None
    try:
        source = (Path(evaluator.folder) / where).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None
    names = returned_names(source, name, evaluator.name)
    return None if names is None else tuple(sorted(names))


def _versions(module: str) -> str:
    """Distributions that a module comes with, and their versions; empty for one of the project."""
    names = packages_distributions().get(module.partition(".")[0], ())
    return ", ".join(f"{name} {package_version(name)}" for name in sorted(set(names)))
