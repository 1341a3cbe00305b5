"""Columns of data and of an earlier run → flow inputs, line by line.

The rules are prompt flow's. An input without a mapping reads the data column of its own name, unless it
declares a default: then the default is used, whatever the data holds. Lines of data and of the run are
joined by their line number; a line that one of them does not have is left out.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from headrace.domain.dataset import FACTS, ColumnMapping, Dataset, LazyLines, Line, MappedValue, SourceLine
from headrace.domain.flow import PROMPTY, Flow
from headrace.domain.values import own_copy
from headrace.errors import Problem, nearest
from headrace.source import Span

Place = Callable[[str], Span | None]
"""Where the mapping of an input is written; ``None`` when it comes from a command line."""

LINE_NUMBER = "line_number"
"""The column by which data and runs are joined where both have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One source of columns: what people call it, and every column name that occurs."""

    name: str
    columns: tuple[str, ...]
    is_empty: bool


def map_lines(
    flow: Flow,
    mapping: ColumnMapping,
    dataset: Dataset | None,
    source: Collection[SourceLine] | None,
    *,
    place: Place = lambda _: None,
    key: str | None = None,
) -> tuple[Collection[Line], tuple[Problem, ...]]:
    """Give every line the flow inputs that the mapping takes from data and from an earlier run.

    Args:
        flow: Declares the inputs.
        mapping: Input name to where its value comes from; inputs not named follow the default rule.
        dataset: The lines of ``--data``.
        source: The completed lines of the earlier run, in order of their numbers.
        place: Where each mapping is written, for problems.
        key: The key of a file under which mappings are written, as a person calls it; ``None`` for a command line.

    Returns:
        Lines whose ``columns`` are flow inputs, not yet converted and without those that a line does not
        have, and what is mapped to a name that is no input; and the problems D402, D403, D406 and the warning
        T204; D406 is a warning where no mapping was given at all. An error among them leaves no lines.
    """
    numbers = array("q")
    tables = _make_tables(dataset, source, numbers)
    full = _complete(flow, mapping, dataset)
    problems = [_unknown_input(flow, name, place) for name in mapping if name not in flow.inputs]
    if any(table.is_empty for table in tables.values()):
        return (), (*problems, *(_empty(table, flow) for table in tables.values() if table.is_empty))
    found = (
        _check(name, mapped, tables, is_default=name not in mapping, key=key)
        for name, mapped in full.items()
        if name in flow.inputs
    )
    missing = [_placed(problem, flow, dataset, place) for problem in found if problem is not None]
    if not missing and not any(mapped.source in tables for mapped in full.values()):
        problem = _placed_first(_no_reference(flow), mapping, place)
        # Without any mapping prompt flow runs every line on the defaults; a mapping of literals alone it refuses.
        if (flow.inputs and not mapping) or (flow.kind == PROMPTY and not flow.inputs):
            problems.append(replace(problem, severity="warning"))
        else:
            missing.append(problem)
    if missing:
        return (), (*problems, *missing)
    lines = _map_lines(full, dataset, source, numbers)
    if not lines:
        return (), (*problems, _nothing_in_common(flow, dataset))
    return lines, tuple(problems)


def _make_tables(
    dataset: Dataset | None, source: Collection[SourceLine] | None, numbers: array[int]
) -> dict[str, _Table]:
    """The sources by their names in a mapping; ``numbers`` is filled with those of the source's lines."""
    tables: dict[str, _Table] = {}
    if dataset is not None:
        tables["data"] = _Table(name="the data", columns=dataset.columns, is_empty=not dataset.lines)
    if source is not None:
        inputs: dict[str, None] = {}
        outputs: dict[str, None] = {LINE_NUMBER: None}
        for line in source:
            numbers.append(line.number)
            inputs.update(dict.fromkeys(line.inputs))
            outputs.update(dict.fromkeys(line.outputs))
        is_empty = not numbers
        tables["run.outputs"] = _Table(
            name="the outputs of the run", columns=tuple(outputs), is_empty=is_empty
        )
        # That there are no lines is said of the outputs.
        tables["run.inputs"] = _Table(name="the data of the run", columns=tuple(inputs), is_empty=False)
        tables["run"] = _Table(name="the run", columns=FACTS, is_empty=False)
    return tables


def _map_lines(
    full: Mapping[str, MappedValue],
    dataset: Dataset | None,
    source: Collection[SourceLine] | None,
    numbers: array[int],
) -> Collection[Line]:
    """The lines that all sources have, in order of their numbers."""
    if source is None:
        lines = dataset.lines if dataset else ()
        return LazyLines(lambda: (_map_line(full, line.number, line, None) for line in lines), len(lines))
    if dataset is None:
        return LazyLines(lambda: (_map_line(full, line.number, None, line) for line in source), len(source))
    known: Container[int]
    rows: Collection[tuple[int, Line]]
    if LINE_NUMBER in dataset.columns:
        # Exported outputs carry the number of the line they belong to, which need not be in order.
        known = by_number = {_own_number(line): line for line in dataset.lines}
        rows = sorted(by_number.items(), key=itemgetter(0))
    else:
        lines = dataset.lines
        known = range(len(lines))
        rows = LazyLines(lambda: ((line.number, line) for line in lines), len(lines))
    count = sum(number in known for number in numbers)
    return LazyLines(lambda: _join(full, iter(rows), source), count)


def _own_number(line: Line) -> int:
    own = line.columns.get(LINE_NUMBER)
    return own if isinstance(own, int) and not isinstance(own, bool) else line.number


def _join(
    full: Mapping[str, MappedValue], rows: Iterator[tuple[int, Line]], source: Collection[SourceLine]
) -> Iterator[Line]:
    """Both are in order of their numbers."""
    row = next(rows, None)
    for line in source:
        while row is not None and row[0] < line.number:
            row = next(rows, None)
        if row is None:
            return
        if row[0] == line.number:
            yield _map_line(full, line.number, row[1], line)


def _map_line(
    full: Mapping[str, MappedValue], number: int, data: Line | None, source: SourceLine | None
) -> Line:
    columns: dict[str, Any] = {}
    for name, mapped in full.items():
        if mapped.source == "literal":
            columns[name] = own_copy(mapped.literal)  # all lines share it
            continue
        if mapped.source == "data":
            row = data.columns if data else {}
        elif source is None:
            row = {}
        elif mapped.source == "run.inputs":
            row = source.inputs
        elif mapped.source == "run":
            row = source.facts
        else:
            row = {LINE_NUMBER: source.number, **source.outputs}
        if mapped.column is not None and mapped.column in row:
            columns[name] = row[mapped.column]
    return Line(number=number, columns=columns, span=data.span if data else None)


def _complete(flow: Flow, mapping: ColumnMapping, dataset: Dataset | None) -> dict[str, MappedValue]:
    """The mapping of every name that has one; of an input without, by the default rule."""
    columns = dataset.columns if dataset else ()
    full: dict[str, MappedValue] = {}
    for name, declared in flow.inputs.items():
        if name in mapping:
            full[name] = mapping[name]
        elif not declared.has_default or (declared.prefers_column and name in columns):
            full[name] = MappedValue(source="data", column=name)
    return full | dict(mapping)


def _check(
    name: str, mapped: MappedValue, tables: Mapping[str, _Table], *, is_default: bool, key: str | None
) -> Problem | None:
    """D403 when the mapped column is nowhere."""
    if mapped.source == "literal":
        return None
    table = tables.get(mapped.source)
    column = mapped.column or ""
    if table is None:
        return _no_source(name, mapped, is_default=is_default, key=key)
    if column in table.columns:
        return None
    if is_default:
        what = f"The flow input {name!r} is not mapped, and {table.name} has no column of this name."
    else:
        what = f"The flow input {name!r} is mapped to {column!r}, but {table.name} has no such column."
    guess = nearest(column, table.columns)
    known = ", ".join(table.columns[:10]) or "none"
    start = f'Did you mean "{guess}"? ' if guess else ""
    target = f"${{{mapped.source}.{guess or 'column'}}}"
    way = f"Map it with --column-mapping '{name}={target}'"
    if key is not None:
        way = f'Write {name}: "{target}" under {key}'
    fix = f"{start}{way}. Columns: {known}."
    return Problem(code="D403", what=what, pointer=("inputs", name), fix=fix)


def _no_source(name: str, mapped: MappedValue, *, is_default: bool, key: str | None) -> Problem:
    if mapped.source != "data":
        what = f"The flow input {name!r} is mapped to {mapped.source}, but no earlier run was given."
        fix = "Name the run with --run." if key is None else f'Write {name}: "${{data.column}}" under {key}.'
        return Problem(code="D403", what=what, pointer=("inputs", name), fix=fix)
    if is_default:
        what = f"The flow input {name!r} is not mapped, and no data was given."
        fix = f"Add --data, or map it with --column-mapping '{name}=${{run.outputs.column}}'."
        return Problem(code="D403", what=what, pointer=("inputs", name), fix=fix)
    what = f"The flow input {name!r} is mapped to the data, but no data was given."
    fix = "Add --data, or use ${run.inputs.column} for the data of the earlier run."
    return Problem(code="D403", what=what, pointer=("inputs", name), fix=fix)


def _placed(problem: Problem, flow: Flow, dataset: Dataset | None, place: Place) -> Problem:
    """Give a problem the place of the mapping, else that of the data, else that of the declared input."""
    name = str(problem.pointer[-1])
    declared = flow.source_map.key_span(("inputs", name))
    first = dataset.first.span if dataset and dataset.lines else None
    span = place(name) or first or declared
    related = (("the input is declared here", declared),) if span != declared else ()
    return replace(problem, span=span, related=related)


def _placed_first(problem: Problem, mapping: ColumnMapping, place: Place) -> Problem:
    """Give a problem of a whole mapping the place of the first input that is mapped, where a file says it."""
    span = next((found for name in mapping if (found := place(name)) is not None), None)
    if span is None:
        return problem
    related = (("the inputs are declared here", problem.span),) if problem.span is not None else ()
    return replace(problem, span=span, related=related)


def _unknown_input(flow: Flow, name: str, place: Place) -> Problem:
    guess = nearest(name, tuple(flow.inputs))
    return Problem(
        code="T204",
        what=f"The column mapping names {name!r}, but the flow has no such input; it is only recorded.",
        span=place(name) or flow.source_map.key_span(("inputs",)),
        pointer=("inputs", name),
        fix=f'Did you mean "{guess}"?' if guess else f"Inputs: {', '.join(flow.inputs) or 'none'}.",
        severity="warning",
    )


def _empty(table: _Table, flow: Flow) -> Problem:
    what = f"There is not one line in {table.name}."
    fix = "Name a run with completed lines." if table.name != "the data" else "Add lines to the data."
    return Problem(code="D402", what=what, span=flow.source_map.key_span(("inputs",)), fix=fix)


def _nothing_in_common(flow: Flow, dataset: Dataset | None) -> Problem:
    first = dataset.first.span if dataset and dataset.lines else None
    return Problem(
        code="D402",
        what="The data and the completed lines of the run have no line number in common.",
        span=first or flow.source_map.key_span(("inputs",)),
        fix="Use the data that the run was made with.",
    )


def _no_reference(flow: Flow) -> Problem:
    what = "No flow input is taken from data or from a run, so every line would be the same."
    name = next(iter(flow.inputs), "")
    fix = f"Map at least one input, for example {name}=${{data.{name}}}."
    if flow.kind == PROMPTY and not flow.inputs:
        what = "The prompty declares no inputs, so every line asks the same: its sample, if it has one."
        fix = "Declare the inputs that the lines should give."
    elif not flow.inputs:
        what = "The flow has no inputs, so there is nothing to run it over."
        fix = "Declare an input in the flow, or run it once with `headrace flow test`."
    return Problem(
        code="D406", what=what, span=flow.source_map.key_span(("inputs",)), pointer=("inputs",), fix=fix
    )
