"""Words that choose what is compared: ``${node.variant}``, ``connection/model``, and the arms they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from headrace.domain.variant import Arm, Factor, Level, ModelSpec, Variant
from headrace.errors import Problem, UsageError, nearest

BASELINE = "baseline"
"""Name of the embedded reader, as a connection and as a model."""

_VARIANT = re.compile(r"\$\{([^.{}]+)\.([^{}]+)\}|([^.${}]+)\.([^{}]+)")


def parse_variant(text: str) -> tuple[str, str]:
    """Read ``${node.variant}`` or ``node.variant``; quotes and blanks around it do not count.

    Returns:
        Node name and variant id; an id may hold dots and spaces.

    Raises:
        UsageError: V302.
    """
    found = _VARIANT.fullmatch(text.strip().strip("\"'").strip())
    if found is None:
        what = f"{text!r} does not select a variant."
        raise UsageError(
            Problem(code="V302", what=what, fix="Write ${node.variant}, with the names of both.")
        )
    return found[1] or found[3], found[2] or found[4]


def parse_model(text: str) -> ModelSpec:
    """Read ``connection/model``, or ``baseline`` alone; the model's name may hold slashes.

    Raises:
        UsageError: C507.
    """
    connection, slash, model = text.strip().partition("/")
    if connection == BASELINE and not slash:
        return ModelSpec(name=BASELINE, connection=BASELINE, model=BASELINE)
    if not connection or not model:
        what = f"{text!r} does not name a model."
        fix = "Write connection/model, for example my_aoai/gpt-4o-mini, or baseline."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return ModelSpec(name=model, connection=connection, model=model)


def make_arms(variants: Sequence[Variant], models: Sequence[ModelSpec]) -> tuple[Arm, ...]:
    """Every variant with every model; an empty axis stands for what the flow file says.

    An arm is called after its variant, or after its model where only the models differ, or ``variant/model``
    where both do. Models of one name on several connections are told apart by the connection.

    Raises:
        UsageError: V303 when two arms would share a name.
    """
    models = told_apart(models)
    arms = [
        Arm(name=_arm_name(variant, model, len(variants), len(models)), variant=variant, model=model)
        for variant in (variants or (None,))
        for model in (models or (None,))
    ]
    names = [arm.name for arm in arms]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    if twice:
        fix = "Give each variant and each model a name of its own."
        raise UsageError(
            *(Problem(code="V303", what=f"Two arms are called {name!r}.", fix=fix) for name in twice)
        )
    return tuple(arms)


def find_baseline(names: Sequence[str], wanted: str | None) -> str:
    """The arm that the others are compared with: the one named, else the first.

    Raises:
        UsageError: V305 when no arm has that name.
    """
    if wanted is not None and wanted not in names:
        raise UsageError(unknown_baseline(wanted, names))
    return names[0] if wanted is None else wanted


def unknown_baseline(wanted: str, names: Sequence[str]) -> Problem:
    """V305 for a baseline that is not among the arms."""
    close = nearest(wanted, names)
    return Problem(
        code="V305",
        what=f'The baseline "{wanted}" is not among the arms.',
        fix=f'Did you mean "{close}"?' if close else f"The arms are: {', '.join(names)}.",
    )


def told_apart(models: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Models of one name on several connections, named with their connection."""
    names = [model.name for model in models]
    return tuple(
        replace(model, name=f"{model.connection}/{model.model}")
        if names.count(model.name) > 1 and model.name == model.model
        else model
        for model in models
    )


def listed_factors(variants: Sequence[Variant], models: Sequence[ModelSpec]) -> tuple[Factor, ...]:
    """What stands under the keys ``variants`` and ``models`` as factors, also where it is a single one."""
    factors: list[Factor] = []
    if variants:
        levels = tuple(
            Level(name=item.name, choices=item.choices, pointer=("variants", number))
            for number, item in enumerate(variants)
        )
        factors.append(Factor(name="variant", kind="variant", levels=levels, pointer=("variants",)))
    if models:
        levels = tuple(
            Level(name=item.name, model=item, pointer=("models", number))
            for number, item in enumerate(models)
        )
        factors.append(Factor(name="model", kind="model", levels=levels, pointer=("models",)))
    return tuple(factors)


def _arm_name(variant: Variant | None, model: ModelSpec | None, variant_count: int, model_count: int) -> str:
    if variant is None and model is None:
        return "default"
    if variant is None or model is None:
        return variant.name if variant else model.name if model else ""
    if variant_count > 1 and model_count > 1:
        return f"{variant.name}/{model.name}"
    return model.name if model_count > 1 else variant.name
