"""Run the arms of an experiment as a race: block by block, each arm for as long as it can still win."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import CANCELED, COMPLETED, RUNNING, Run
from headrace.domain.scores import LineObservation, MetricSpec
from headrace.domain.variant import Arm
from headrace.engine.events import ArmDropped, OnEvent, ignore_event
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.evaluation.evaluators.registry import BUILTINS, has_limits
from headrace.evaluation.race import (
    Field,
    Standing,
    draw_order,
    find_standing,
    score_line,
    settle_batch,
)
from headrace.formats.lines import read_dataset
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.collect_scores import EVALUATOR_TAG, JudgedRun
from headrace.operations.judged_pairs import sees_baseline
from headrace.operations.line_runners import Where
from headrace.operations.named_versions import refuse_moved
from headrace.operations.race_outcome import RACE, drop_as_plain, observe, race_as_plain, recorded_field
from headrace.operations.run_owner import new_owner
from headrace.operations.run_parts import PartedRun
from headrace.operations.workspace import Workspace
from headrace.store.records import decode_json, encode_json

_Key = tuple[str, int, str | None]
"""Arm, repeat and evaluator; of the arm's own run no evaluator."""


def check_race(experiment: Experiment) -> None:
    """Refuse a race that could not be decided, before anything is paid for.

    Raises:
        UsageError: G951 when the score that decides has no limits, or none is named; G952 when an evaluator looks at
            the baseline's answers.
    """
    spec = experiment.race
    if spec is None:
        return
    place = experiment.place("race") or experiment.place()
    if not experiment.metrics:
        fix = "Name the score that decides with --metric, or under metrics."
        what = "A race needs a score that decides, and none is named."
        raise UsageError(Problem(code="G951", what=what, span=place, fix=fix))
    metric = experiment.metrics[0]
    if spec.score_range is None:
        if metric.kind == "unbounded":
            raise UsageError(replace(_without_limits(metric.name, "is declared unbounded"), span=place))
        for evaluator in experiment.evaluators:
            builtin = BUILTINS.get(evaluator.builtin or "")
            score = metric.name.removeprefix(f"{evaluator.name}.")
            if builtin is not None and not has_limits(builtin, evaluator.name, score):
                raise UsageError(replace(_without_limits(metric.name, "has no limits"), span=place))
    for evaluator in experiment.evaluators:
        if sees_baseline(evaluator):
            what = f"The evaluator {evaluator.name!r} looks at what the baseline answered, which a race may drop."
            fix = "Compare without a race, or leave the evaluator away."
            span = experiment.place(*evaluator.pointer) or place
            raise UsageError(Problem(code="G952", what=what, span=span, fix=fix))


def race_judgement(
    workspace: Workspace, experiment: Experiment, judgement: Mapping[str, Any], where: Where
) -> dict[str, Any]:
    """How the experiment judges, with its race: the order is drawn here, before any result."""
    if experiment.race is None:
        return dict(judgement)
    n_at_once = where.max_concurrency or workspace.settings.max_concurrency
    n_lines = len(read_dataset(Path(experiment.data_path)).lines)
    field = Field(
        spec=settle_batch(experiment.race, n_at_once, n_lines),
        arms=tuple(arm.name for arm in experiment.arms),
        order=draw_order(n_lines, experiment.seed),
    )
    return {**judgement, RACE: race_as_plain(field, experiment.metrics[0], experiment.seed)}


def check_same_race(record: RecordedExperiment, judgement: Mapping[str, Any], arms: Sequence[str]) -> None:
    """Refuse to go on with another experiment than is asked for.

    Args:
        record: The experiment as it was begun.
        judgement: How the one that is asked for judges.
        arms: Its arms.

    Raises:
        UsageError: G953; S832 a tag that it names has moved.
    """
    recorded = record.judgement
    refuse_moved(recorded, judgement)
    asked: dict[str, Any] = decode_json(encode_json(judgement))
    if RACE in asked and RACE in recorded:  # the batch may depend on how many lines are answered at once
        asked[RACE] = {**asked[RACE], "batch": recorded[RACE]["batch"]}
    changed = [name for name in sorted({*asked, *recorded} - {RACE}) if asked.get(name) != recorded.get(name)]
    if (RACE in asked) != (RACE in recorded):
        changed.append(RACE)
    elif RACE in asked:
        race = recorded[RACE]
        changed += [f"race.{name}" for name, value in asked[RACE].items() if race.get(name) != value]
    if list(arms) != [arm["name"] for arm in record.definition["arms"]]:
        changed.append("arms")
    if changed:
        differ = "differs" if len(changed) == 1 else "differ"
        what = f"The experiment {record.id!r} was begun otherwise: {', '.join(changed)} {differ}."
        fix = f"Go on with it as it was begun: headrace experiment resume {quote(record.id)}"
        raise UsageError(Problem(code="G953", what=what, fix=fix))


def race_arms(workspace: Workspace, runs: ArmRuns, on_event: OnEvent | None = None) -> list[JudgedRun]:
    """Run the race that the judgement describes, from where its recorded runs stand, to its end.

    Raises:
        DefinitionError: Flow, data, mapping or evaluator are wrong.
        UsageError: G951 when a score lies beyond its limits; S818, S819.
        ExecutionError: It was stopped at a limit.
        KeyboardInterrupt: After it was interrupted; it can be resumed.
    """
    race = _Race(workspace, runs, on_event or ignore_event)
    try:
        return race.run()
    finally:
        race.leave()


class _Race:
    def __init__(self, workspace: Workspace, runs: ArmRuns, hear: OnEvent) -> None:
        self._workspace = workspace
        self._runs = runs
        self._hear = hear
        self._field = recorded_field(runs.judgement[RACE])
        self._metric: MetricSpec = runs.experiment.metrics[0]
        self._owner = new_owner()
        self._arms = {arm.name: arm for arm in runs.experiment.arms}
        self._parts: dict[_Key, PartedRun] = {}
        self._seen: dict[tuple[str, int], dict[int, LineObservation]] = {
            (arm, repeat): {} for arm in self._field.arms for repeat in range(runs.experiment.repeats)
        }
        self._range = (0.0, 0.0)

    def run(self) -> list[JudgedRun]:
        self._find_known()
        standing = self._standing()
        self._drop(standing)
        while not standing.is_over:
            for arm in standing.alive:
                for repeat in range(self._runs.experiment.repeats):
                    self._run_block(self._arms[arm], repeat, standing.next_lines)
            standing = self._standing()
            self._drop(standing)
        for arm in standing.alive:
            self._close(arm, standing)
        return [
            self._judged(arm, repeat)
            for repeat in range(self._runs.experiment.repeats)
            for arm in self._field.arms
        ]

    def leave(self) -> None:
        """Close what is still open, as interrupted: nobody works on it any more."""
        problem = Problem(
            code="E608",
            what="The race was interrupted.",
            fix=f"Go on with it: headrace experiment resume {quote(self._runs.experiment_id)}",
        )
        store = self._workspace.store
        for part in self._parts.values():
            part.leave()
            with suppress(HeadraceError):  # what ended the race is what is to be said
                run = None if part.name is None else store.read_run(part.name)
                if run is not None and run.status == RUNNING and run.owner == self._owner:
                    store.finish_run(
                        run.spec.name,
                        status=CANCELED,
                        finished_at=self._workspace.now(),
                        metrics={},
                        problem=problem,
                    )

    def _find_known(self) -> None:
        """Take up the runs of a race that was begun before."""
        runs = self._workspace.store.list_runs(experiment=self._runs.experiment_id)
        arms = {run.spec.name: run.spec for run in runs if run.spec.source_run is None}
        for run in sorted(runs, key=lambda item: item.spec.source_run is not None):
            spec = arms.get(run.spec.source_run or run.spec.name)
            if spec is not None and spec.arm in self._arms:
                evaluator = run.spec.tags.get(EVALUATOR_TAG) if run.spec.source_run is not None else None
                self._take_up((spec.arm, spec.repeat, evaluator), run)
        for arm, repeat in self._seen:
            part = self._parts.get((arm, repeat, None))
            if part is not None and part.name is not None:
                self._read(arm, repeat, self._workspace.store.line_statuses(part.name))

    def _take_up(self, key: _Key, run: Run) -> None:
        self._parts[key] = self._make(key, run.spec.name)

    def _make(self, key: _Key, name: str | None = None) -> PartedRun:
        arm, repeat, evaluator = key
        if evaluator is None:
            request = self._runs.arm_request(self._arms[arm], repeat)
        else:
            source = self._parts[(arm, repeat, None)].name or ""
            spec = next(item for item in self._runs.experiment.evaluators if item.name == evaluator)
            run = self._workspace.store.read_run(source)
            request = self._runs.evaluation_request(self._workspace, spec, run.spec)
        return PartedRun(
            self._workspace,
            replace(request, judgement=self._runs.judgement),
            owner=self._owner,
            n_lines=len(self._field.order),
            hear=self._hear,
            name=name,
        )

    def _standing(self) -> Standing:
        experiment, spec = self._runs.experiment, self._field.spec
        scores: dict[str, dict[int, float | None]] = {arm: {} for arm in self._field.arms}
        for arm in self._field.arms:
            repeats = [self._seen[(arm, repeat)] for repeat in range(experiment.repeats)]
            for number in repeats[0]:
                if all(number in seen for seen in repeats):
                    observations = [seen[number] for seen in repeats]
                    scores[arm][number] = score_line(observations, self._metric, spec.score_range)
        return find_standing(self._field, scores)

    def _run_block(self, arm: Arm, repeat: int, numbers: Collection[int]) -> None:
        seen = self._seen[(arm.name, repeat)]
        left = [number for number in numbers if number not in seen]
        if not left:
            return
        answered = self._run_part((arm.name, repeat, None), left)
        completed = [number for number in left if answered.get(number) == COMPLETED]
        for evaluator in self._runs.experiment.evaluators:
            if completed:
                self._run_part((arm.name, repeat, evaluator.name), completed)
        self._read(arm.name, repeat, left)

    def _run_part(self, key: _Key, numbers: Collection[int]) -> Mapping[int, str]:
        """Run the lines that are not recorded; the statuses of all that are."""
        store = self._workspace.store
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = self._make(key)
        known = store.line_statuses(part.name) if part.name is not None else {}
        if any(number not in known for number in numbers):
            part.run(numbers)
            known = store.line_statuses(part.name or "")
        return known

    def _read(self, arm: str, repeat: int, numbers: Collection[int]) -> None:
        """Read lines whose answer is recorded, and what all evaluators said of it."""
        store, seen = self._workspace.store, self._seen[(arm, repeat)]
        evaluators = self._runs.experiment.evaluators
        names = {
            item.name: part.name
            for item in evaluators
            if (part := self._parts.get((arm, repeat, item.name))) is not None and part.name is not None
        }
        for number in numbers:
            answer = store.read_line(self._parts[(arm, repeat, None)].name or "", number)
            if answer is None:
                continue
            scores: dict[str, Any] = {}
            is_judged = answer.status != COMPLETED or len(names) == len(evaluators)
            if answer.status == COMPLETED:
                for evaluator, name in names.items():
                    said = store.read_line(name, number)
                    is_judged = is_judged and said is not None
                    outputs = said.outputs if said is not None and said.status == COMPLETED else {}
                    for output, value in outputs.items():
                        scores[f"{evaluator}.{output}"] = value
                        scores.setdefault(output, value)
            if is_judged:
                seen[number] = observe(answer.status, scores, self._metric)
                self._check_limits(seen[number].scores[self._metric.name])

    def _check_limits(self, score: float | None) -> None:
        """Refuse a score beyond the limits that the decisions rest on.

        Raises:
            UsageError: G951.
        """
        if score is None:
            return
        limit, name = self._field.spec.score_range, self._metric.name
        if limit is None:
            if not 0.0 <= score <= 1.0:
                raise UsageError(_without_limits(name, f"is {score:g} on a line"))
            return
        low, high = self._range if self._range != (0.0, 0.0) else (score, score)
        self._range = low, high = min(low, score), max(high, score)
        if high - low > limit * (1 + 1e-9):
            raise UsageError(_without_limits(name, f"spans {high - low:g}, more than the range {limit:g}"))

    def _drop(self, standing: Standing) -> None:
        for arm, drop in standing.drops.items():
            if self._close(arm, standing):
                self._hear(
                    ArmDropped(
                        arm=arm,
                        block=drop.block,
                        n_lines=drop.n_lines,
                        n_left=len(self._field.order) - drop.n_lines,
                        ahead=drop.ahead,
                        deficit=drop.deficit,
                    )
                )

    def _close(self, arm: str, standing: Standing) -> bool:
        """Close the runs of an arm that has nothing left to do; whether any was open."""
        store, drop = self._workspace.store, standing.drops.get(arm)
        n_done = standing.n_lines if drop is None else drop.n_lines
        note = {RACE: drop_as_plain(drop, n_done, len(self._field.order))}
        was_open = False
        for key, part in self._parts.items():
            if key[0] == arm and part.name is not None:
                run = store.read_run(part.name)
                store.update_run(part.name, properties={**run.spec.properties, **note})
                if run.status != COMPLETED:
                    was_open = True
                    part.close()
        return was_open

    def _judged(self, arm: str, repeat: int) -> JudgedRun:
        store = self._workspace.store
        runs = {
            key[2]: store.read_run(part.name)
            for key, part in self._parts.items()
            if key[:2] == (arm, repeat) and part.name is not None
        }
        evaluations = {name: run for name, run in runs.items() if name is not None}
        return JudgedRun(arm=arm, run=runs[None], evaluations=evaluations)


def _without_limits(metric: str, because: str) -> Problem:
    return Problem(
        code="G951",
        what=f"The score {metric!r} {because}, so how far an arm can catch up on the lines left is not known.",
        fix="Let a score from 0 to 1 decide, give the largest less the smallest possible score with --race-range, "
        "or compare without a race.",
    )
