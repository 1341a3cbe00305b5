"""Some lines of a data file, as part of its path: ``data/test.jsonl#column=split&value=dev`` or ``#sample=20&seed=1``.

The path alone says which lines are meant, so that whatever reads the data later reads the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from headrace.domain.dataset import Dataset, LazyLines, Line
from headrace.errors import DefinitionError, Problem, nearest

_KEYS = frozenset({"column", "value", "sample", "seed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Which lines of a file are read.

    Attributes:
        column, value: Lines whose column has this value, both as text; ``None`` for all.
        n: How many of these are drawn at random; ``None`` for all, as with more than there are.
        seed: Of the draw.
    """

    column: str | None = None
    value: str | None = None
    n: int | None = None
    seed: int = 0


def choice_path(path: str, choice: DataChoice) -> str:
    """The path with the choice behind it; unchanged where all lines are chosen."""
    words: dict[str, str] = {}
    if choice.column is not None and choice.value is not None:
        words |= {"column": choice.column, "value": choice.value}
    if choice.n is not None:
        words |= {"sample": str(choice.n), "seed": str(choice.seed)}
    return f"{path}#{urlencode(words)}" if words else path


def split_choice(path: Path) -> tuple[Path, DataChoice | None]:
    """The path of the file and what is chosen of it; ``None`` where the path says nothing of the kind."""
    before, mark, after = path.name.rpartition("#")
    given = {key: values[-1] for key, values in parse_qs(after, keep_blank_values=True).items()}
    if not (mark and before and given and _KEYS.issuperset(given)) or ("column" in given) != (
        "value" in given
    ):
        return path, None
    n, seed = given.get("sample"), given.get("seed", "0")
    if not all(number.isascii() and number.isdecimal() for number in (n or "1", seed)):
        return path, None
    choice = DataChoice(
        column=given.get("column"), value=given.get("value"), n=int(n) if n else None, seed=int(seed)
    )
    return path.parent / before, choice


def choose_lines(dataset: Dataset, choice: DataChoice, shown: str) -> Dataset:
    """The chosen lines of a dataset, numbered anew from 0 in the order of the file.

    A sample is drawn by the order of SHA-256 over the seed and the number of a line, which is the same everywhere.

    Args:
        dataset: All lines.
        choice: Which of them.
        shown: The path with the choice.

    Raises:
        DefinitionError: D403 when there is no such column, D402 when no line has the value.
    """
    if choice.column is not None and choice.column not in dataset.columns:
        near = nearest(choice.column, dataset.columns)
        what = f"{dataset.path} has no column {choice.column!r} to split it by."
        fix = f'Did you mean "{near}"?' if near else f"Its columns are: {', '.join(dataset.columns)}."
        raise DefinitionError(Problem(code="D403", what=what, fix=fix))
    numbers = _numbers(dataset, choice)
    if not numbers:
        what = f"No line of {dataset.path} has {choice.value!r} in the column {choice.column!r}."
        raise DefinitionError(Problem(code="D402", what=what, fix="Correct the value of the split."))
    chosen = frozenset(numbers)

    def read() -> Iterator[Line]:
        found = (line for line in dataset.lines if line.number in chosen)
        return (replace(line, number=number) for number, line in enumerate(found))

    digest = chosen_digest(dataset.digest, choice)
    return replace(dataset, path=shown, lines=LazyLines(read, len(numbers)), digest=digest)


def chosen_digest(digest: str, choice: DataChoice | None) -> str:
    """SHA-256 of the chosen lines, by that of all; the same where all are."""
    if choice is None:
        return digest
    return hashlib.sha256(f"{digest}{choice_path('', choice)}".encode()).hexdigest()


def other_lines(dataset: Dataset, choice: DataChoice) -> tuple[Line, ...]:
    """The lines that are left: of a sample those of the same value that were not drawn, else those of other values.

    They are numbered as in the dataset.
    """
    chosen = frozenset(_numbers(dataset, choice))
    return tuple(
        line
        for line in dataset.lines
        if line.number not in chosen and (choice.n is None or _matches(line, choice))
    )


def _numbers(dataset: Dataset, choice: DataChoice) -> list[int]:
    numbers = [line.number for line in dataset.lines if _matches(line, choice)]
    if choice.n is None:
        return numbers
    return sorted(sorted(numbers, key=lambda number: _draw(choice.seed, number))[: choice.n])


def _matches(line: Line, choice: DataChoice) -> bool:
    return choice.column is None or _as_text(line.columns.get(choice.column)) == choice.value


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _draw(seed: int, number: int) -> bytes:
    return hashlib.sha256(f"{seed}:{number}".encode()).digest()
