"""The lines of a run as a table of ``inputs.*`` and ``outputs.*`` (promptflow-format: 9.12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.domain.run import LineResult
from headrace.providers.loading import load_optional

FAILED = "(Failed)"
_LINE_NUMBER = "line_number"


def make_details(lines: Iterable[LineResult], order: tuple[str, ...]) -> Any:
    """A pandas frame with one row for each line; an output that is not there, or is nothing, reads ``(Failed)``.

    Args:
        lines: The lines, in order of their number.
        order: Names of the inputs in the order of the columns, ``line_number`` among them.

    Raises:
        UsageError: C505 when pandas is not installed.
    """
    frame = load_optional("pandas:DataFrame", extra="pandas")
    kept = list(lines)
    inputs = [_in_order({**line.inputs, _LINE_NUMBER: line.line_number}, order) for line in kept]
    left = frame(inputs).add_prefix("inputs.")
    right = frame([dict(line.outputs) for line in kept]).add_prefix("outputs.")
    for name in right.columns:
        column = right[name]
        if column.isna().any():
            right[name] = column.astype(object).where(column.notna(), FAILED)
    return left.join(right)


def _in_order(values: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    first = {name: values[name] for name in order if name in values}
    return first | dict(values)
