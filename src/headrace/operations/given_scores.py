"""Scores that exist already, in whatever form they come: made into what a comparison reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from headrace.domain.score_record import ScoreRecord
from headrace.domain.scores import ArmLines, LineFacts, LineObservation
from headrace.errors import Problem, UsageError, nearest

_METRIC = "score"
"""Name of a metric that was given without one."""

_LINE_COLUMNS = ("line", "line_id")
_ABOUT = ("arm", *_LINE_COLUMNS, "repeat", "failed", "error", "duration_ms", "cost_usd", "prompt_tokens",
          "completion_tokens", "model", "variant")  # fmt: skip
_MISSING_TYPES = ("NAType", "NaTType")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenScores:
    """Scores by arm and line.

    Attributes:
        arms: In order of appearance.
        facts: What is known of a line whatever the arm, by its id.
        metrics: Names of all scores, in order of appearance.
        records: One row for each score, in the order given.
    """

    arms: tuple[ArmLines, ...]
    facts: Mapping[str, LineFacts]
    metrics: tuple[str, ...]
    records: tuple[ScoreRecord, ...]


@dataclass(slots=True)
class _Cell:
    """One answer, while its rows are gathered."""

    row: Row
    scores: dict[str, float | None] = field(default_factory=dict)


def read_scores(
    scores: Any,
    *,
    metrics: Sequence[str] = (),
    line_id: str | None = None,
    clusters: str | Mapping[str, Any] | None = None,
    slices: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
) -> GivenScores:
    """Read scores.

    Args:
        scores: A mapping of arm to line id to a score, a mapping of metric to score, or a list of either, which are
            repeats; or rows with the columns ``arm``, ``line`` and one for each metric; or rows with the columns
            ``metric`` and ``value``, as ``headrace compare --output scores.csv`` writes them. Rows are mappings, or
            a frame of pandas or polars. Further columns are understood: ``repeat``, ``failed``, ``duration_ms``,
            ``cost_usd``, ``prompt_tokens``, ``completion_tokens``, ``variant``, ``model``.
        metrics: Columns that are scores; every column of numbers where none is named.
        line_id: The column that names the line, if it is neither ``line`` nor ``line_id``.
        clusters: A column, or a mapping of line id to cluster.
        slices: Columns, or a mapping of name to line id to value.

    Raises:
        UsageError: G905 for scores that cannot be read or stand there twice, G902 for no scores at all, D403 for a
            column that is not there, G901 for a metric that is not among the scores.
    """
    rows = list(_rows(scores))
    if not rows:
        raise UsageError(
            Problem(
                code="G902",
                what="There are no scores to compare.",
                fix="Give scores of at least two arms for the same lines.",
            )
        )
    line_column = _line_column(rows, line_id)
    for needed in ("arm", line_column):
        if not all(needed in row for row in rows):
            raise UsageError(_no_column(needed, rows))
    is_long = "metric" in rows[0] and "value" in rows[0]
    columns = [name for name in (clusters, *slices) if isinstance(name, str)]
    if isinstance(slices, Mapping):
        columns = [clusters] if isinstance(clusters, str) else []
    for name in columns:
        if name not in rows[0]:
            raise UsageError(_no_column(name, rows))
    names = _metric_names(rows, metrics, (*columns, line_column), is_long=is_long)
    cells = _gather(rows, line_column, names, is_long=is_long)
    return GivenScores(
        arms=_arm_lines(cells),
        facts=_facts(rows, line_column, clusters, slices),
        metrics=names,
        records=tuple(_records(cells, rows, line_column, is_long=is_long)),
    )


def _rows(scores: Any) -> Iterator[Row]:
    """Rows of whatever was given."""
    if hasattr(scores, "to_dicts"):  # polars
        return iter(scores.to_dicts())
    if hasattr(scores, "to_dict") and hasattr(scores, "columns"):  # pandas
        return iter(scores.to_dict("records"))
    if isinstance(scores, Mapping):
        return _rows_of_arms(scores)
    if isinstance(scores, Sequence) and not isinstance(scores, (str, bytes)):
        return (_row(number, row) for number, row in enumerate(scores))
    raise UsageError(_unreadable(f"a {type(scores).__name__} is neither a mapping nor rows"))


def _row(number: int, row: Any) -> Row:
    if isinstance(row, ScoreRecord):
        return {name: getattr(row, name) for name in ScoreRecord.__slots__}
    if isinstance(row, Mapping):
        return row
    raise UsageError(_unreadable(f"row {number} is no mapping of columns"))


def _rows_of_arms(scores: Mapping[Any, Any]) -> Iterator[Row]:
    for arm, lines in scores.items():
        if not isinstance(lines, Mapping):
            raise UsageError(_unreadable(f"the scores of arm {arm!r} are no mapping of line ids"))
        for line, given in lines.items():
            yield from _rows_of_line(str(arm), str(line), given)


def _rows_of_line(arm: str, line: str, given: Any) -> Iterator[Row]:
    repeats = given if isinstance(given, (list, tuple)) else [given]
    for repeat, item in enumerate(repeats):
        found = item if isinstance(item, Mapping) else {_METRIC: item}
        yield {"arm": arm, "line": line, "repeat": repeat, **found}


def _line_column(rows: Sequence[Row], wanted: str | None) -> str:
    if wanted is not None:
        return wanted
    return next((name for name in _LINE_COLUMNS if name in rows[0]), _LINE_COLUMNS[0])


def _metric_names(
    rows: Sequence[Row], wanted: Sequence[str], taken: Sequence[str], *, is_long: bool
) -> tuple[str, ...]:
    if is_long:
        known = tuple(dict.fromkeys(str(row["metric"]) for row in rows))
    else:
        about = {*_ABOUT, *taken}
        columns = dict.fromkeys(name for row in rows for name in row if name not in about)
        known = tuple(name for name in columns if name in wanted or _has_numbers(rows, name))
    missing = [name for name in wanted if name not in known]
    if missing:
        near = nearest(missing[0], known)
        listed = f"Scores: {', '.join(known) or 'none'}."
        raise UsageError(
            Problem(
                code="G901",
                what=f'The metric "{missing[0]}" is not among the scores.',
                fix=f'Did you mean "{near}"? {listed}' if near else listed,
            )
        )
    if not known:
        raise UsageError(
            Problem(
                code="G902",
                what="No column of the rows holds numbers, so there are no scores to compare.",
                fix="Give each metric a column of numbers, or true and false.",
            )
        )
    return tuple(wanted) or known


def _has_numbers(rows: Sequence[Row], name: str) -> bool:
    """Whether a column can be a score: numbers and nothing else, besides what is missing."""
    values = [_plain(row.get(name)) for row in rows]
    return any(value is not None for value in values) and all(
        value is None or isinstance(value, (bool, int, float)) for value in values
    )


def _gather(
    rows: Sequence[Row], line_column: str, names: Sequence[str], *, is_long: bool
) -> dict[tuple[str, str, int], _Cell]:
    cells: dict[tuple[str, str, int], _Cell] = {}
    for row in rows:
        key = (str(row["arm"]), str(_plain(row[line_column])), _repeat(row))
        cell = cells.get(key)
        found = [str(row["metric"])] if is_long else names
        if cell is not None and (not is_long or found[0] in cell.scores):
            raise UsageError(_twice(key, has_repeats="repeat" in row))
        if cell is None:
            cell = cells[key] = _Cell(row)
        for name in found:
            if name in names:
                cell.scores[name] = _number(row.get("value" if is_long else name), name, key)
    return cells


def _repeat(row: Row) -> int:
    value = _plain(row.get("repeat", 0))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, int):
        return value
    raise UsageError(_unreadable(f"repeat {value!r} is no whole number"))


def _number(value: Any, metric: str, key: tuple[str, str, int]) -> float | None:
    found = _plain(value)
    if isinstance(found, str):
        if not found.strip():
            return None
        try:
            return float(found)
        except ValueError:
            found = value
    try:
        if found is None or isinstance(found, (bool, int, float)):
            return None if found is None else float(found)
    except OverflowError:  # an integer beyond every float
        return None
    raise UsageError(_unreadable(f"{metric} of arm {key[0]!r} on line {key[1]!r} is no number"))


def _plain(value: Any) -> Any:
    """A value as plain Python has it: numpy's scalars as numbers, the empty cells of frames as nothing."""
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if not isinstance(value, (bool, int, float, str)) and hasattr(value, "item"):
        return value.item()
    return value


def _arm_lines(cells: Mapping[tuple[str, str, int], _Cell]) -> tuple[ArmLines, ...]:
    arms: dict[str, dict[str, list[LineObservation]]] = {}
    made_of: dict[str, Row] = {}
    for (arm, line, _), cell in cells.items():
        made_of.setdefault(arm, cell.row)
        arms.setdefault(arm, {}).setdefault(line, []).append(
            LineObservation(
                scores=cell.scores,
                is_failed=_is_true(cell.row.get("failed")),
                duration_ms=_amount(cell.row, "duration_ms") or 0.0,
                prompt_tokens=int(_amount(cell.row, "prompt_tokens") or 0),
                completion_tokens=int(_amount(cell.row, "completion_tokens") or 0),
                cost_usd=None if "metric" in cell.row else _amount(cell.row, "cost_usd"),
            )
        )
    return tuple(
        ArmLines(
            arm=arm,
            lines={line: tuple(found) for line, found in lines.items()},
            variant=_text(made_of[arm].get("variant")),
            model=_text(made_of[arm].get("model")),
        )
        for arm, lines in arms.items()
    )


def _is_true(value: Any) -> bool:
    found = _plain(value)
    return found.strip().lower() in ("true", "1", "yes") if isinstance(found, str) else bool(found)


def _amount(row: Row, name: str) -> float | None:
    value = _number(row.get(name), name, (str(row["arm"]), "", 0))
    return value if value is not None and 0 <= value < inf else None


def _text(value: Any) -> str | None:
    found = _plain(value)
    return None if found is None or found != found or found == "" else str(found)


def _facts(
    rows: Sequence[Row],
    line_column: str,
    clusters: str | Mapping[str, Any] | None,
    slices: Sequence[str] | Mapping[str, Mapping[str, Any]],
) -> dict[str, LineFacts]:
    if clusters is None and not slices:
        return {}
    facts: dict[str, LineFacts] = {}
    for row in rows:
        line = str(_plain(row[line_column]))
        found = LineFacts(
            cluster=_text(clusters.get(line) if isinstance(clusters, Mapping) else row.get(clusters or "")),
            slices={
                name: text
                for name in slices
                if (text := _text(slices[name].get(line) if isinstance(slices, Mapping) else row.get(name)))
            },
        )
        known = facts.setdefault(line, found)
        if known != found:
            raise UsageError(
                _unreadable(
                    f"line {line!r} has two clusters or two values of a slice, which belong to the line"
                )
            )
    return facts


def _records(
    cells: Mapping[tuple[str, str, int], _Cell], rows: Sequence[Row], line_column: str, *, is_long: bool
) -> Iterator[ScoreRecord]:
    if is_long:
        for row in rows:
            arm, line, repeat = str(row["arm"]), str(_plain(row[line_column])), _repeat(row)
            cell = cells[arm, line, repeat]
            if str(row["metric"]) in cell.scores:
                yield ScoreRecord(
                    arm=arm,
                    line=line,
                    repeat=repeat,
                    metric=str(row["metric"]),
                    value=cell.scores[str(row["metric"])],
                    label=_text(row.get("label")),
                    reason=_text(row.get("reason")),
                    cost_usd=_amount(row, "cost_usd"),
                    error=_text(row.get("error")),
                    failed=_is_true(row.get("failed")),
                    evaluator=_text(row.get("evaluator")) or "",
                    run=_text(row.get("run")) or "",
                    evaluation_run=_text(row.get("evaluation_run")) or "",
                )
        return
    for (arm, line, repeat), cell in cells.items():
        for metric, value in cell.scores.items():
            yield ScoreRecord(
                arm=arm,
                line=line,
                repeat=repeat,
                metric=metric,
                value=value,
                error=_text(cell.row.get("error")),
                failed=_is_true(cell.row.get("failed")),
            )


def _unreadable(reason: str) -> Problem:
    return Problem(
        code="G905",
        what=f"The scores cannot be read: {reason}.",
        fix="Give {arm: {line: score}}, or rows with the columns arm, line and one of numbers for each metric.",
    )


def _twice(key: tuple[str, str, int], *, has_repeats: bool) -> Problem:
    arm, line, repeat = key
    which = f", repeat {repeat}" if has_repeats else ""
    return Problem(
        code="G905",
        what=f"There are two rows for arm {arm!r} and line {line!r}{which}.",
        fix="Remove one, or number the answers to a line in a column repeat: 0, 1 and so on.",
    )


def _no_column(name: str, rows: Sequence[Row]) -> Problem:
    known = tuple(str(column) for column in rows[0])
    near = nearest(name, known)
    return Problem(
        code="D403",
        what=f"The rows of scores have no column {name!r}.",
        fix=f"Did you mean {near!r}?" if near else f"Columns: {', '.join(known)}.",
    )
