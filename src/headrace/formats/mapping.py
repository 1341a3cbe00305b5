"""Column mappings: where flow inputs come from.

A value of the form ``${source.column}`` reads a column of ``data``, of ``run.inputs`` (the data that an
earlier run read) or of ``run.outputs`` (what it answered). The text after the source is one column name:
``${data.a.b}`` is the column ``a.b``. ``${run.duration_ms}`` and the other names of
:data:`headrace.domain.dataset.FACTS` say what the line took; stock promptflow knows no such values. Anything else is
a literal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from headrace.domain.dataset import FACTS, ColumnMapping, MappedValue
from headrace.errors import DefinitionError, Problem, nearest
from headrace.source import Span

_REFERENCE = re.compile(r"\$\{([^{}]+)\}")
_SOURCES = ("run.inputs", "run.outputs", "data")


BASELINE_OUTPUTS = "${baseline.outputs."
"""Begins a mapping to what the baseline arm answered to the same line; only an evaluator of an experiment has one."""

RUN_OUTPUTS = "${run.outputs."
"""Begins a mapping to an output of the run that is evaluated."""


def as_arm_outputs(texts: Mapping[str, Any], source: str = RUN_OUTPUTS) -> dict[str, Any]:
    """A mapping in which the outputs of the baseline are read from ``source``: where no mapping says, the arm's own."""
    return {
        name: source + value.removeprefix(BASELINE_OUTPUTS)
        if isinstance(value, str) and value.startswith(BASELINE_OUTPUTS)
        else value
        for name, value in texts.items()
    }


def rename_outputs(texts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping that reads the outputs of the evaluated run by the names that its flow has for them.

    Args:
        texts: Input name to mapping text.
        names: Name in ``texts`` to the flow's own; a name that is not there is the flow's own.
    """
    ours = {f"{RUN_OUTPUTS}{name}}}": f"{RUN_OUTPUTS}{own}}}" for name, own in names.items()}
    return {
        name: ours.get(value, value) if isinstance(value, str) else value for name, value in texts.items()
    }


def parse_mapping(
    texts: Mapping[str, Any], place: Callable[[str], Span | None] = lambda _: None
) -> ColumnMapping:
    """Read a column mapping.

    Args:
        texts: Flow input name to mapping text, or to any other value, which is a literal.
        place: Where the mapping of an input is written, for problems.

    Raises:
        DefinitionError: D404 for every mapping that looks like a reference and cannot be read as one.
    """
    mapping: dict[str, MappedValue] = {}
    problems: list[Problem] = []
    for name, value in texts.items():
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            mapping[name] = MappedValue(source="literal", literal=value)
            continue
        mapped = _parse_reference(found[1])
        if isinstance(mapped, MappedValue):
            mapping[name] = mapped
        else:
            what = f"The mapping of {name!r} names no source of columns."
            problems.append(Problem(code="D404", what=what, span=place(name), pointer=(name,), fix=mapped))
    if problems:
        raise DefinitionError(*problems)
    return mapping


def _parse_reference(inner: str) -> MappedValue | str:
    """Source and column, or the fix when there is none."""
    for source in _SOURCES:
        column = inner.removeprefix(f"{source}.")
        if column != inner and column:
            return MappedValue(source=source, column=column)
    if inner.removeprefix("run.") in FACTS and inner.startswith("run."):
        return MappedValue(source="run", column=inner.removeprefix("run."))
    if "." not in inner or inner.rstrip(".") in (*_SOURCES, "run"):
        source = inner.rstrip(".") if inner.rstrip(".") in _SOURCES else "data"
        column = "column" if inner.rstrip(".") in (*_SOURCES, "run") else inner
        return f"Write ${{{source}.{column}}}."
    head, _, rest = inner.rpartition(".")
    guess = nearest(head, (*_SOURCES, "inputs", "outputs"))
    known = {"inputs": "run.inputs", "outputs": "run.outputs"}.get(guess or "", guess)
    if known:
        return f"Did you mean ${{{known}.{rest}}}?"
    return "Write ${data.column}, ${run.inputs.column} or ${run.outputs.column}."
