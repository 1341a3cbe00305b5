from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.racing import ARMS, answers, make_race, make_racers

from headrace.config import load_settings
from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.race import RaceSpec
from headrace.domain.run import CANCELED, COMPLETED, Cap
from headrace.domain.scores import MetricSpec
from headrace.domain.version import NamedVersion
from headrace.engine.events import ArmDropped, LineFinished, RunEvent
from headrace.errors import UsageError
from headrace.evaluation.race import draw_order, order_digest
from headrace.evaluation.stats.racing import race as replay
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again, compare_runs
from headrace.operations.line_runners import Where
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace

N_LINES = 120
WINNER = RaceSpec(batch=10)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    make_racers(tmp_path, N_LINES)
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def matrix(folder: Path) -> list[list[float]]:
    """What every arm scores on every line; a line on which the worst arm fails counts as zero."""
    lines = [json.loads(line) for line in folder.joinpath("data.jsonl").read_text("utf-8").splitlines()]
    return [
        [float(arm in line["passed_by"] and not (arm == "worst" and line["n"] % 10 == 7)) for line in lines]
        for arm in ARMS
    ]


def dropped_at(result: ComparisonResult) -> dict[str, int]:
    race = result.context.race
    assert race is not None
    return {arm.arm: arm.drop.n_lines for arm in race.arms if arm.drop is not None}


def test_a_race_runs_what_its_rule_needs_and_nothing_else(workspace: Workspace) -> None:
    events: list[RunEvent] = []
    result = run_experiment(workspace, make_race(workspace.folder, WINNER), events.append)
    order = draw_order(N_LINES, 0)
    expected = replay(matrix(workspace.folder), order, batch=10)
    names = list(ARMS)
    assert dropped_at(result) == {names[arm]: n for arm, n in expected.dropped_at.items()}
    assert 0 < expected.calls < expected.full_grid_calls
    made = answers(workspace.folder)
    assert len(made) == len(set(made)) == expected.calls
    race = result.context.race
    assert race is not None
    assert (race.leader, race.answers, race.full_answers) == ("best", expected.calls, 4 * N_LINES)
    assert race.saved == pytest.approx(1 - expected.calls / expected.full_grid_calls)
    assert result.recommendation.arm == "best"
    assert race.order_digest == order_digest(order)
    assert [event.arm for event in events if isinstance(event, ArmDropped)] == sorted(
        dropped_at(result), key=lambda arm: (dropped_at(result)[arm], names.index(arm))
    )


def test_every_arm_has_one_run_that_holds_the_lines_it_ran_and_says_what_was_not_run(
    workspace: Workspace,
) -> None:
    result = run_experiment(workspace, make_race(workspace.folder, WINNER))
    order, dropped = draw_order(N_LINES, 0), dropped_at(result)
    assert [run.spec.arm for run in result.runs] == list(ARMS)
    for run in result.runs:
        assert run.status == COMPLETED
        n_lines = dropped.get(run.spec.arm or "", max(dropped.values()))
        assert sorted(workspace.store.line_statuses(run.spec.name)) == sorted(order[:n_lines])
        note = run.spec.properties["race"]
        assert (note["n_lines"], note["n_not_run"]) == (n_lines, N_LINES - n_lines)
        if run.spec.arm in dropped:
            assert note["why"] == "dropped"
            assert note["drop"]["n_lines"] == n_lines
        (evaluation,) = workspace.store.list_runs(source_run=run.spec.name)
        assert evaluation.n_completed == run.n_completed
    worst = result.runs[0]
    assert worst.n_failed == sum(number % 10 == 7 for number in order[: dropped["worst"]])


def test_a_dropped_arm_is_not_judged_and_keeps_its_score_over_the_lines_it_answered(
    workspace: Workspace,
) -> None:
    result = run_experiment(workspace, make_race(workspace.folder, WINNER))
    metric = result.comparison.primary
    assert metric is not None
    order, dropped = draw_order(N_LINES, 0), dropped_at(result)
    scores = matrix(workspace.folder)[0]
    seen = order[: dropped["worst"]]
    mean = metric.score_of("worst").mean
    assert mean is not None
    assert mean.value == pytest.approx(sum(scores[line] for line in seen) / len(seen))
    effect = metric.effect_of("worst")
    assert effect is not None
    assert not effect.verdict.is_judged
    assert "worst was dropped after" in effect.verdict.reason
    assert (effect.p_raw, effect.p_adjusted) == (None, None)
    assert effect.difference is not None
    assert effect.difference.interval is None
    assert all(score.p_best is None and score.in_best_set is None for score in metric.scores)


def test_a_race_compared_again_says_the_same(workspace: Workspace) -> None:
    first = run_experiment(workspace, make_race(workspace.folder, WINNER))
    assert first.experiment is not None
    again = compare_experiment_again(workspace, first.experiment)
    assert again.context.race == first.context.race
    assert again.recommendation == first.recommendation
    some = compare_runs(workspace, [run.spec.name for run in first.runs[:2]])
    assert some.context.race is None
    assert some.comparison.primary is not None
    assert not some.comparison.primary.effects[0].verdict.is_judged


@pytest.mark.parametrize("n_events", [1, 45, 95, 150])
def test_a_race_that_was_interrupted_goes_on_in_the_same_order_and_pays_no_answer_twice(
    n_events: int, workspace: Workspace
) -> None:
    n_heard = 0

    def interrupt(event: RunEvent) -> None:
        nonlocal n_heard
        n_heard += isinstance(event, LineFinished)
        if n_heard == n_events and isinstance(event, LineFinished):
            os.kill(os.getpid(), signal.SIGINT)

    experiment = make_race(workspace.folder, WINNER)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(workspace, experiment, interrupt, where=Where(max_concurrency=1))
    runs = workspace.store.list_runs()
    assert {run.status for run in runs} <= {CANCELED, COMPLETED}
    experiment_id = runs[0].spec.experiment
    result = run_experiment(workspace, experiment, where=Where(max_concurrency=1), resume=experiment_id)
    expected = replay(matrix(workspace.folder), draw_order(N_LINES, 0), batch=10)
    assert dropped_at(result) == {list(ARMS)[arm]: n for arm, n in expected.dropped_at.items()}
    made = answers(workspace.folder)
    assert len(made) == len(set(made)) == expected.calls
    assert {run.status for run in workspace.store.list_runs()} == {COMPLETED}


def test_a_finished_race_is_resumed_without_running_anything(workspace: Workspace) -> None:
    experiment = make_race(workspace.folder, WINNER)
    first = run_experiment(workspace, experiment)
    made = answers(workspace.folder)
    again = run_experiment(workspace, experiment, resume=first.experiment)
    assert answers(workspace.folder) == made
    assert again.context.race == first.context.race


def test_a_race_whose_tag_moved_is_not_resumed(workspace: Workspace) -> None:
    before, after = (NamedVersion(flow="f", number=number, digest=f"{number}" * 64) for number in (7, 9))
    experiment = replace(make_race(workspace.folder, WINNER), versions={"f@prod": before})
    first = run_experiment(workspace, experiment)
    with pytest.raises(UsageError) as raised:
        run_experiment(workspace, replace(experiment, versions={"f@prod": after}), resume=first.experiment)
    (problem,) = raised.value.problems
    assert problem.code == "S832"
    assert problem.what == "f@prod was on f@7 when this experiment began, and is on f@9 now."


def test_another_race_is_not_resumed(workspace: Workspace) -> None:
    experiment = make_race(workspace.folder, WINNER)
    first = run_experiment(workspace, experiment)
    for other in (
        replace(experiment, seed=1),
        replace(experiment, race=RaceSpec(mode="population", batch=10)),
        replace(experiment, arms=experiment.arms[1:]),
        replace(experiment, metrics=(MetricSpec(name="passed", direction="lower"),)),
    ):
        with pytest.raises(UsageError) as raised:
            run_experiment(workspace, other, resume=first.experiment)
        assert raised.value.problems[0].code == "G953"
    grid = run_experiment(workspace, make_race(workspace.folder, None))
    with pytest.raises(UsageError, match="begun otherwise: race differs"):
        run_experiment(workspace, experiment, resume=grid.experiment)


def test_a_run_of_a_race_is_not_resumed_by_itself(workspace: Workspace) -> None:
    heard: list[RunEvent] = []

    def interrupt(event: RunEvent) -> None:
        if isinstance(event, LineFinished):
            heard.append(event)
            if len(heard) == 1:  # a second one might reach another test
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_experiment(workspace, make_race(workspace.folder, WINNER), interrupt)
    (run,) = workspace.store.list_runs()
    with pytest.raises(UsageError, match="part of a race"):
        resume_run(workspace, ResumeRequest(name=run.spec.name))


def test_repeats_race_by_their_mean(workspace: Workspace) -> None:
    result = run_experiment(workspace, make_race(workspace.folder, WINNER, repeats=2))
    once = replay(matrix(workspace.folder), draw_order(N_LINES, 0), batch=10)
    assert dropped_at(result) == {list(ARMS)[arm]: n for arm, n in once.dropped_at.items()}
    assert len(answers(workspace.folder)) == 2 * once.calls


def test_a_race_about_the_population_drops_later(workspace: Workspace) -> None:
    spec = RaceSpec(mode="population", batch=10)
    result = run_experiment(workspace, make_race(workspace.folder, spec))
    expected = replay(matrix(workspace.folder), draw_order(N_LINES, 0), batch=10, mode="population")
    race = result.context.race
    assert race is not None
    # After the last line nothing is dropped: then all is known.
    early = {list(ARMS)[arm]: n for arm, n in expected.dropped_at.items() if n < N_LINES}
    assert dropped_at(result) == early
    assert all(arm.drop.log_e is not None for arm in race.arms if arm.drop is not None)


def test_scores_without_limits_do_not_race(workspace: Workspace) -> None:
    experiment = make_race(workspace.folder, WINNER)
    unbounded = replace(experiment, metrics=(MetricSpec(name="passed", kind="unbounded"),))
    with pytest.raises(UsageError) as raised:
        run_experiment(workspace, unbounded)
    assert raised.value.problems[0].code == "G951"
    timed = (EvaluatorSpec(name="speed", builtin="latency"),)
    for name in ("speed", "speed.speed"):
        with pytest.raises(UsageError, match="has no limits"):
            run_experiment(workspace, replace(experiment, metrics=(MetricSpec(name=name),), evaluators=timed))
    assert workspace.store.list_runs() == ()
    workspace.folder.joinpath("judge.py").write_text(
        "def passed(answer: str) -> dict:\n    return {'passed': 5.0}\n", "utf-8"
    )
    with pytest.raises(UsageError) as raised:
        run_experiment(workspace, experiment)
    assert raised.value.problems[0].code == "G951"
    ranged = replace(unbounded, race=RaceSpec(batch=10, score_range=10.0))
    result = run_experiment(workspace, ranged)
    race = result.context.race
    assert race is not None
    assert not race.dropped
    assert race.n_left_out == N_LINES // 10  # the lines on which the worst arm fails


def test_a_race_without_a_metric_or_with_pairs_is_refused(workspace: Workspace) -> None:
    experiment = make_race(workspace.folder, WINNER)
    with pytest.raises(UsageError, match="none is named"):
        run_experiment(workspace, replace(experiment, metrics=()))
    (evaluator,) = experiment.evaluators
    sees = replace(evaluator, column_mapping={"answer": "${baseline.outputs.answer}"})
    with pytest.raises(UsageError) as raised:
        run_experiment(workspace, replace(experiment, evaluators=(sees,)))
    assert raised.value.problems[0].code == "G952"


def test_a_race_in_worker_processes_is_the_same_race(workspace: Workspace) -> None:
    where = Where(workers=1, max_concurrency=4)
    result = run_experiment(workspace, make_race(workspace.folder, RaceSpec(batch=60)), where=where)
    expected = replay(matrix(workspace.folder), draw_order(N_LINES, 0), batch=60)
    assert dropped_at(result) == {list(ARMS)[arm]: n for arm, n in expected.dropped_at.items() if n < N_LINES}
    assert len(answers(workspace.folder)) == expected.calls


def test_a_race_keeps_to_its_cap_like_any_run(workspace: Workspace) -> None:
    result = run_experiment(workspace, make_race(workspace.folder, WINNER), cap=Cap(tokens=1))
    assert result.context.race is not None  # no arm asks a model, so nothing is spent
