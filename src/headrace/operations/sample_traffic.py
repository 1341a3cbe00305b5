"""Data for the next experiment out of live requests: a sample of those that were logged, with where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any, Final

from headrace.domain.traffic import Traffic
from headrace.domain.values import JsonValue, without_fields
from headrace.domain.version import DataVersion
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.lines import read_dataset
from headrace.operations.ab_revisions import find_revisions, recorded_traffic
from headrace.operations.keep_version import keep_data_version
from headrace.operations.logged_requests import LoggedRequest, read_logged
from headrace.operations.new_files import refuse_existing, write_files
from headrace.operations.workspace import Workspace

ORIGIN: Final = "live requests"
"""What data from traffic say in ``from`` of their origin."""

_COMPARISON = re.compile(r"([^<>=]+)(<=|>=|=|<|>)([+-]?(?:\d+\.?\d*|\.\d+))")
_COMPARE: Final = {"=": eq, "<": lt, ">": gt, "<=": le, ">=": ge}
_NOT_ASKED: Final = frozenset({"forced", "shadow"})
"""Requests of testers, and mirrors, which nobody saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSample:
    """Which logged requests are wanted, and how many.

    Attributes:
        test: Name of the test.
        arms: Only of these arms; empty for all that answer. Mirrored requests of a shadow arm only where it is named.
        feedback: What was said of them, as ``thumbs=0`` or ``rating<3``; all of it.
        is_failed: Only those that failed in the arm.
        where: What they have to be, by input, ``output:NAME``, or an attribute such as ``header:x-country``; all of it.
        limit: The most requests; ``None`` for all that fit.
        per_arm: The most requests of each arm; ``None`` for no such limit.
        seed: Of the draw.
        redact: Fields that are left out at any depth, beside those that the traffic file names.
    """

    test: str
    arms: tuple[str, ...] = ()
    feedback: tuple[str, ...] = ()
    is_failed: bool = False
    where: Mapping[str, str] | None = None
    limit: int | None = None
    per_arm: int | None = None
    seed: int = 0
    redact: tuple[str, ...] = ()


def sample_traffic(
    workspace: Workspace, sample: TrafficSample, file: Path, *, is_replacing: bool = False
) -> DataVersion:
    """Write a sample of logged requests as JSON lines and keep it as a version of data that says where it is from.

    Where the traffic file asks for consent, only requests that gave it are taken. No unit and no attribute is written.

    Args:
        workspace: For the store.
        sample: What is wanted.
        file: Where to write.
        is_replacing: Overwrite a file that is there.

    Raises:
        UsageError: S841 for an unknown test, V305 for an unknown arm, C507 for a filter that is none or a file that is
            no JSON lines, S843 when no logged request fits, S806 when the file exists.
        StateError: S808 when it cannot be written; the store is away.
    """
    if file.suffix != ".jsonl":
        what, fix = f"{file.name} is no name for JSON lines.", "Name a file that ends in .jsonl."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    history = find_revisions(workspace.store, sample.test)
    traffic = recorded_traffic(history[-1])
    _check_arms(traffic, sample.arms)
    is_said = [_read_feedback(text) for text in sample.feedback]
    if not is_replacing:
        refuse_existing([file])
    logged = read_logged(workspace.store, sample.test)
    usable = [item for item in logged if traffic.log.consent is None or item.completion.has_consent]
    fitting = [
        item for item in usable if _fits(item, sample) and all(is_met(item.said) for is_met in is_said)
    ]
    if not fitting:
        raise UsageError(_nothing(sample.test, len(logged), len(usable)))
    drawn = _draw(fitting, sample)
    redacted = tuple(dict.fromkeys((*traffic.log.redact, *sample.redact)))
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _rows(drawn, frozenset(redacted)))
    write_files({file: text}, is_replacing=is_replacing)
    path = file.resolve()
    origin = _origin(sample, drawn, n_fitting=len(fitting), redacted=redacted)
    return keep_data_version(workspace, path, read_dataset(path), origin=origin)


def _check_arms(traffic: Traffic, arms: Sequence[str]) -> None:
    names = [arm.name for arm in traffic.arms]
    for arm in arms:
        if arm not in names:
            near = nearest(arm, names)
            fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}."
            raise UsageError(Problem(code="V305", what=f'{traffic.name} has no arm "{arm}".', fix=fix))


class _SaidTest:
    """Whether what was said of a request compares with a number as it should."""

    def __init__(self, metric: str, operator: str, number: float) -> None:
        self._metric = metric
        self._compare = _COMPARE[operator]
        self._number = number

    def __call__(self, said: Mapping[str, float]) -> bool:
        return self._metric in said and bool(self._compare(said[self._metric], self._number))


def _read_feedback(text: str) -> _SaidTest:
    found = _COMPARISON.fullmatch(text.replace(" ", ""))
    if found is None:
        what = f'"{text}" says nothing about feedback.'
        fix = "Compare a metric with a number, as in thumbs=0 or rating<3."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    metric, operator, number = found.groups()
    return _SaidTest(metric, operator, float(number))


def _fits(item: LoggedRequest, sample: TrafficSample) -> bool:
    exposure, completion = item.exposure, item.completion
    if sample.arms and exposure.arm not in sample.arms:
        return False
    if exposure.role in _NOT_ASKED and not (exposure.role == "shadow" and sample.arms):
        return False
    if sample.is_failed and not completion.problem:
        return False
    return all(_value(item, name) == wanted for name, wanted in (sample.where or {}).items())


def _value(item: LoggedRequest, name: str) -> str | None:
    """What a slice is by; texts as they are, all else as JSON writes it."""
    inputs, outputs = item.completion.inputs or {}, item.completion.outputs or {}
    place, _, output = name.partition(":")
    if name in inputs:
        value = inputs[name]
    elif place == "output" and output in outputs:
        value = outputs[output]
    elif name in item.exposure.attributes:
        value = item.exposure.attributes[name]
    else:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _draw(fitting: Sequence[LoggedRequest], sample: TrafficSample) -> list[LoggedRequest]:
    """The requests that are drawn, in the order in which they were made; the same ones whenever they are drawn."""

    def lot(item: LoggedRequest) -> str:
        return sha256(f"{sample.seed}\0{item.exposure.id}".encode("utf-8", "surrogatepass")).hexdigest()

    drawn = sorted(fitting, key=lot)
    if sample.per_arm is not None:
        n_taken: dict[str, int] = {}
        kept = []
        for item in drawn:
            arm = item.exposure.arm
            n_taken[arm] = n_taken.get(arm, 0) + 1
            if n_taken[arm] <= sample.per_arm:
                kept.append(item)
        drawn = kept
    taken = {item.exposure.id for item in drawn[: sample.limit]}
    return [item for item in fitting if item.exposure.id in taken]


def _rows(drawn: Sequence[LoggedRequest], redacted: Collection[str]) -> Iterator[dict[str, Any]]:
    """One row per request, all with the same columns; an input keeps its name."""
    outputs = _names(item.completion.outputs or {} for item in drawn)
    metrics = _names(item.said for item in drawn)
    inputs = _names(item.completion.inputs or {} for item in drawn)
    for item in drawn:
        exposure, completion = item.exposure, item.completion
        given = completion.inputs or {}
        answered = completion.outputs or {}
        live = {
            "live_arm": exposure.arm,
            "live_version": exposure.version,
            "live_request": exposure.request_id,
            "live_problem": completion.problem,
            **{f"live_output_{name}": answered.get(name) for name in outputs if name not in redacted},
            **{f"live_feedback_{name}": item.said.get(name) for name in metrics},
        }
        kept = {name: given.get(name) for name in inputs if name not in redacted}
        yield {
            name: without_fields(value, redacted)
            for name, value in {**kept, **{k: v for k, v in live.items() if k not in kept}}.items()
        }


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})


def _origin(
    sample: TrafficSample, drawn: Sequence[LoggedRequest], *, n_fitting: int, redacted: Sequence[str]
) -> dict[str, JsonValue]:
    filters: dict[str, JsonValue] = {
        "arms": list(sample.arms),
        "feedback": list(sample.feedback),
        "failed": sample.is_failed,
        "where": dict(sample.where or {}),
        "limit": sample.limit,
        "per_arm": sample.per_arm,
    }
    return {
        "from": ORIGIN,
        "test": sample.test,
        "revisions": sorted({item.exposure.revision for item in drawn}),
        "first_at": _time(drawn[0].exposure.at_ns),
        "last_at": _time(drawn[-1].exposure.at_ns),
        "filters": {name: value for name, value in filters.items() if value},
        "seed": sample.seed,
        "redacted": list(redacted),
        "fitting": n_fitting,
        "drawn": len(drawn),
    }


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat()


def _nothing(test: str, n_logged: int, n_usable: int) -> Problem:
    what = f"No request of {test} was logged."
    fix = "Log a share of the units in the traffic file: log: {share: 0.1}."
    if n_logged:
        what = f"None of the {n_logged:,} logged requests of {test} consents to being used."
        fix = "Ask for consent where requests are made, as log.consent of the traffic file says."
    if n_usable:
        what = f"None of the {n_usable:,} logged requests of {test} that may be used fits."
        fix = "Ask for less: fewer of --arm, --feedback, --failed and --where."
    return Problem(code="S843", what=what, fix=fix)
