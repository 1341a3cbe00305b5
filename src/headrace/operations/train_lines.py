"""Lines to choose examples from: the train split of an experiment, in two halves, and what is held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

from headrace.domain.dataset import Dataset, Line
from headrace.domain.evaluation import Experiment
from headrace.domain.flow import Flow
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.data_choice import DataChoice, choice_path, other_lines, split_choice
from headrace.formats.lines import read_dataset
from headrace.formats.paths import exists
from headrace.operations.chosen_lines import data_inputs, line_digest

MIN_LINES = 20
"""Train lines that there must be: ten to take examples from, and ten to choose by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLine:
    """One line of the train split.

    Attributes:
        number: In the train data.
        inputs: What the flow gets of it.
        digest: What tells it by its content.
    """

    number: int
    columns: Mapping[str, Any]
    inputs: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSplit:
    """The data of a suggestion.

    Attributes:
        path: Of the train lines, with which of a file they are.
        pool: Lines that examples are taken from.
        choice: Lines that candidates are chosen by; none of them is an example.
        held_out_path: The lines that nothing is chosen by; ``None`` where they are the rest of a file.
        rest: These lines, as columns; empty where they have a path.
        n_held_out: How many there are.
        n_same: Train lines that have the inputs of an earlier one, left out.
        digests: Of all train lines.
    """

    path: str
    pool: tuple[TrainLine, ...]
    choice: tuple[TrainLine, ...]
    held_out_path: str | None
    n_held_out: int
    n_same: int
    digests: tuple[str, ...]
    rest: tuple[Mapping[str, Any], ...] = field(default=())


def split_train(experiment: Experiment, flow: Flow, train: str, seed: int) -> TrainSplit:
    """Read the train lines, set the held-out ones apart, and halve the former.

    Halves are drawn by the order of SHA-256 over the seed and the content of a line, or its cluster, so they are the
    same everywhere and whatever the order of the file.

    Args:
        experiment: Its data are the held-out lines, or hold both.
        flow: Declares the inputs, by which lines are told apart.
        train: The path of a data file; ``column=value`` of the experiment's; or the share of its lines, from 0 to 1.
        seed: Of the halves, and of the share.

    Raises:
        DefinitionError: The data cannot be read or does not fit; G972 where a line is on both sides.
        UsageError: G971 for too few lines, F001 for a file that is not there.
    """
    path, held_out_path = _paths(experiment, train, seed)
    dataset = read_dataset(Path(path))
    held_out, rest = _held_out(path, held_out_path)
    lines = _read(experiment, flow, dataset)
    _refuse_both(lines, dataset, held_out, data_inputs(flow, experiment.column_mapping, held_out))
    single = list({line.digest: line for line in reversed(lines)}.values())[::-1]
    if len(single) < MIN_LINES:
        what = f"{path} has {len(single)} different lines to choose examples from and by."
        raise UsageError(Problem(code="G971", what=what, fix=f"Name at least {MIN_LINES} lines: --train."))
    pool, choice = _halves(single, experiment.cluster, seed)
    return TrainSplit(
        path=path,
        pool=pool,
        choice=choice,
        held_out_path=held_out_path,
        rest=rest,
        n_held_out=len(held_out.lines),
        n_same=len(lines) - len(single),
        digests=tuple(dict.fromkeys(line.digest for line in lines)),
    )


def json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a ``.jsonl`` file."""
    return "".join(json.dumps(dict(row), ensure_ascii=False, default=str) + "\n" for row in rows)


def _paths(experiment: Experiment, train: str, seed: int) -> tuple[str, str | None]:
    """The path of the train lines, and that of the held-out ones; ``None`` where these are the rest of the file."""
    whole, chosen = split_choice(Path(experiment.data_path))
    share = _share(train)
    if share is not None:
        n = max(1, ceil(share * len(read_dataset(Path(experiment.data_path)).lines)))
        if chosen is not None and chosen.n is not None:
            fix = "Name a column of the split, or a file: --train column=value, --train PATH."
            what = "The data of the experiment are a sample already, so no share of it can be taken."
            raise UsageError(Problem(code="G971", what=what, fix=fix))
        column, value = (chosen.column, chosen.value) if chosen is not None else (None, None)
        return choice_path(str(whole), DataChoice(column=column, value=value, n=n, seed=seed)), None
    if exists(Path(train)):
        return train, experiment.data_path
    column, equals, value = train.partition("=")
    if not equals or not column:
        what = f"{train} is no file, no column=value, and no share of the lines from 0 to 1."
        fix = "Name the lines to choose examples from: --train data/train.jsonl, --train split=train, --train 0.5."
        raise UsageError(Problem(code="G971", what=what, fix=fix))
    path = choice_path(str(whole), DataChoice(column=column, value=value))
    return path, None if chosen is None else experiment.data_path


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0.0 < share < 1.0 else None


def _held_out(path: str, held_out_path: str | None) -> tuple[Dataset, tuple[Mapping[str, Any], ...]]:
    """The held-out lines, and their columns where they have no path of their own."""
    if held_out_path is not None:
        return read_dataset(Path(held_out_path)), ()
    file, choice = split_choice(Path(path))
    whole = read_dataset(file)
    lines = other_lines(whole, choice) if choice is not None else ()
    if not lines:
        what = f"All lines of {file} are train lines, so none is held out."
        raise UsageError(Problem(code="G971", what=what, fix="Leave some lines out of the train split."))
    numbered = [
        Line(number=number, columns=line.columns, span=line.span) for number, line in enumerate(lines)
    ]
    return replace(whole, lines=numbered), tuple(line.columns for line in lines)


def _read(experiment: Experiment, flow: Flow, dataset: Dataset) -> list[TrainLine]:
    inputs = data_inputs(flow, experiment.column_mapping, dataset)
    return [
        TrainLine(number=line.number, columns=line.columns, inputs=given, digest=line_digest(given))
        for line, given in zip(dataset.lines, inputs, strict=True)
    ]


def _refuse_both(
    lines: Sequence[TrainLine], train: Dataset, held_out: Dataset, inputs: Sequence[Mapping[str, Any]]
) -> None:
    known = {line.digest: line.number for line in lines}
    both = [
        (number, known[digest]) for number, digest in enumerate(map(line_digest, inputs)) if digest in known
    ]
    if not both:
        return
    first, twin = both[0]
    ours = next(line.span for line in train.lines if line.number == twin)
    theirs = next(line.span for number, line in enumerate(held_out.lines) if number == first)
    n = len(both)
    what = f"{n:,} of {len(inputs):,} held-out lines {'is' if n == 1 else 'are'} in the train split as well."
    raise DefinitionError(
        Problem(
            code="G972",
            what=what,
            span=theirs,
            related=(("the same inputs", ours),) if ours is not None else (),
            fix="Take them out of one of the two; ids do not count, the inputs of the flow do.",
        )
    )


def _halves(
    lines: Sequence[TrainLine], cluster: str | None, seed: int
) -> tuple[tuple[TrainLine, ...], tuple[TrainLine, ...]]:
    """Lines to take examples from, and lines to choose by; a cluster is on one side."""
    groups: dict[str, list[TrainLine]] = {}
    for line in lines:
        key = line.digest if cluster is None else str(line.columns.get(cluster))
        groups.setdefault(key, []).append(line)
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    pool: list[TrainLine] = []
    choice: list[TrainLine] = []
    for key in order:
        (pool if len(pool) < len(choice) else choice).extend(groups[key])
    if not pool or not choice:
        what = f"All train lines are of one {cluster}, so they cannot be halved."
        raise UsageError(Problem(code="G971", what=what, fix="Name lines of at least two clusters."))
    return tuple(sorted(pool, key=_number)), tuple(sorted(choice, key=_number))


def _number(line: TrainLine) -> int:
    return line.number
