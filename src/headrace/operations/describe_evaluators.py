"""What the built-in evaluators and the graders measure, take and give, from their registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import Problem, UsageError, nearest
from headrace.evaluation.evaluators.base import Builtin, EvaluatorOption
from headrace.evaluation.evaluators.packages import package_version
from headrace.evaluation.evaluators.registry import BUILTINS
from headrace.evaluation.judges.graders import GRADERS, load_grader


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorDescription:
    """One evaluator as it is shown.

    Attributes:
        title: What it measures.
        library: Distribution that it needs; empty for none.
        version: Of the library, ``None`` where it is not installed; of a grader its own.
        inputs, options, outputs: Name to what it is.
        note: What happens to degenerate inputs.
        example: An entry of an experiment file.
        is_grader: Whether it asks a model.
    """

    name: str
    title: str
    library: str
    version: str | None
    inputs: Mapping[str, str]
    options: Mapping[str, str]
    outputs: Mapping[str, str]
    note: str
    example: str
    is_grader: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "library": self.library or None,
            "version": self.version,
            "inputs": dict(self.inputs),
            "options": dict(self.options),
            "outputs": dict(self.outputs),
            "note": self.note,
            "example": self.example,
            "is_grader": self.is_grader,
        }


def list_evaluators() -> tuple[EvaluatorDescription, ...]:
    """All of them, those that ask no model first."""
    return (*(_describe(item) for item in BUILTINS.values()), *(_describe_grader(name) for name in GRADERS))


def find_evaluator(name: str) -> EvaluatorDescription:
    """One of them.

    Raises:
        UsageError: G922 for an unknown name.
    """
    if name in BUILTINS:
        return _describe(BUILTINS[name])
    if name in GRADERS:
        return _describe_grader(name)
    near = nearest(name, [*BUILTINS, *GRADERS])
    fix = f'Did you mean "{near}"?' if near else "headrace evaluator list shows all."
    raise UsageError(Problem(code="G922", what=f"There is no built-in evaluator {name!r}.", fix=fix))


def _describe(item: Builtin) -> EvaluatorDescription:
    return EvaluatorDescription(
        name=item.name,
        title=item.title,
        library=item.package,
        version=package_version(item.package) if item.package else None,
        inputs={
            given.name: f"{given.title}{'' if given.is_required else '; may be left out'}"
            for given in item.inputs
        },
        options={option.name: _option(option) for option in item.options},
        outputs={
            output.name or item.name: f"{output.title}; {output.direction} is better"
            for output in item.outputs
        },
        note=item.note,
        example=item.example,
    )


def _option(option: EvaluatorOption) -> str:
    default = "must be given" if option.default is None else f"default {_shown(option.default)}"
    words = f"; one of {', '.join(option.words)}" if option.words else ""
    return f"{option.title}{words}; {default}"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe_grader(name: str) -> EvaluatorDescription:
    grader = load_grader(name)
    return EvaluatorDescription(
        name=name,
        title=grader.description,
        library="",
        version=str(grader.version),
        inputs=dict.fromkeys(grader.needs, "what the grade is made of"),
        options={},
        outputs={name: "higher is better"},
        note="Asks the models that are named. See judges.md.",
        example=f"{{builtin: {name}, models: [my_connection/gpt-4o-mini]}}",
        is_grader=True,
    )
