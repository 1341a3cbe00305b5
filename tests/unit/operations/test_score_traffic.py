"""Evaluators and judges of live requests: which they score, once, within their budgets, whatever goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.evidence import a_completion, a_traffic, an_exposure
from tests.support.model_server import ModelServer, answer

from headrace.cli.main import run_command_line
from headrace.config import load_settings
from headrace.domain.evidence import Feedback
from headrace.domain.traffic import OnlineEvaluator, OnlineGuardrail, OnlineMetric, RequestLog
from headrace.errors import Problem
from headrace.operations.ab_revisions import settle_revision, stop
from headrace.operations.follow_ab import AbFollower
from headrace.operations.score_traffic import Scoring, TrafficScorer
from headrace.operations.watch_ab import Watch, look_once
from headrace.operations.workspace import Workspace, open_workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000
MATCH = {
    "builtin": "exact_match",
    "name": "same",
    "column_mapping": {"prediction": "${run.outputs.label}", "reference": "${data.text}"},
}
JUDGE = {
    "builtin": "rubric",
    "name": "tone",
    "parameters": {"criteria": "Politeness."},
    "column_mapping": {"answer": "${run.outputs.label}"},
    "models": [{"connection": "one", "model": "gpt", "price": {"input_usd": 0, "output_usd": 1_000_000}}],
}
SAME = OnlineEvaluator(name="same", entry=MATCH)


class Told:
    """What a person would have read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str, problems: Sequence[Problem]) -> None:
        self.texts.append(text)


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[datetime]) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    with open_workspace(load_settings(), tmp_path) as opened:
        monkeypatch.setattr(opened, "now", lambda: clock[0])
        yield opened


@pytest.fixture
def judge(tmp_path: Path, workspace: Workspace) -> Iterator[ModelServer]:
    """A model service that grades everything 5 and takes 1 US dollar for each of its 5 tokens."""
    reply = json.dumps({"reason": "Polite.", "grade": 5})
    with ModelServer(default=lambda _: answer(reply, usage=(1, 5))) as server:
        fields = f"name: one\ntype: open_ai\napi_key: k\nbase_url: {server.base_url}\n"
        (tmp_path / "c.yaml").write_text("$schema: https://example.invalid\n" + fields, "utf-8")
        assert run_command_line(["connection", "create", "--file", "c.yaml"]) == 0
        yield server


def begin(workspace: Workspace, *evaluators: OnlineEvaluator, n: int = 6, **changes: Any) -> None:
    """A test with ``n`` logged requests, of which arm b answers right."""
    traffic = a_traffic(log=RequestLog(share=1.0), evaluators=evaluators, **changes)
    settle_revision(workspace.store, traffic, NOW - timedelta(hours=1))
    ask(workspace, range(n))


def ask(workspace: Workspace, numbers: Sequence[int], **changes: Any) -> None:
    for number in numbers:
        arm = "ab"[number % 2]
        exposure = an_exposure(number, arm=arm, at_ns=NOW_NS - 60_000_000_000 + number)
        outputs = {"label": "right" if arm == "b" else "wrong"}
        completion = a_completion(number, **{"inputs": {"text": "right"}, "outputs": outputs, **changes})
        workspace.store.append_evidence([exposure, completion])


def said(workspace: Workspace) -> list[Feedback]:
    arrivals = workspace.store.read_arrivals("checkout")
    return [item.evidence for item in arrivals if isinstance(item.evidence, Feedback)]


def scores(workspace: Workspace, metric: str) -> dict[str, float | None]:
    return {item.exposure: item.value for item in said(workspace) if item.metric == metric}


def scorer(
    workspace: Workspace, tell: Callable[[str, Sequence[Problem]], None] | None = None
) -> TrafficScorer:
    return TrafficScorer(workspace, "checkout", tell or Told())


def test_logged_requests_get_the_score_of_an_evaluator_as_feedback(workspace: Workspace) -> None:
    begin(workspace, SAME)
    assert scorer(workspace).step() == 6
    assert scores(workspace, "same") == {f"r{number}": float(number % 2) for number in range(6)}
    assert {(item.source, item.at_ns, item.test) for item in said(workspace)} == {
        ("same", NOW_NS, "checkout")
    }


def test_a_request_is_scored_once_by_scorers_that_begin_again_and_beside_each_other(
    workspace: Workspace, judge: ModelServer
) -> None:
    begin(workspace, SAME, OnlineEvaluator(name="tone", entry=JUDGE))
    one, other = scorer(workspace), scorer(workspace)
    assert (one.step(), other.step(), scorer(workspace).step()) == (12, 0, 0)
    ask(workspace, [6])
    assert (other.step(), one.step()) == (2, 0)
    assert len(judge.requests) == 7


def test_what_another_scorer_is_at_is_left_to_it(workspace: Workspace, judge: ModelServer) -> None:
    begin(workspace, OnlineEvaluator(name="tone", entry=JUDGE), n=2)
    claim = Feedback(id="r0:tone.claim", test="checkout", at_ns=NOW_NS, metric="tone.claim", value=None)
    workspace.store.append_evidence([claim])
    assert scorer(workspace).step() == 1
    assert set(scores(workspace, "tone")) == {"r1"}
    assert len(judge.requests) == 1


def test_an_evaluator_scores_a_share_of_the_units(workspace: Workspace) -> None:
    begin(workspace, OnlineEvaluator(name="same", entry=MATCH, share=0.5), n=60)
    n_scored = scorer(workspace).step()
    assert 15 < n_scored < 45
    assert scorer(workspace).step() == 0


def test_failed_unlogged_and_forced_requests_are_not_scored(workspace: Workspace) -> None:
    begin(workspace, SAME, n=0)
    ask(workspace, [0], inputs=None, outputs=None)
    ask(workspace, [1], outputs=None, problem="E601")
    workspace.store.append_evidence(
        [
            an_exposure(2, role="forced", at_ns=NOW_NS),
            a_completion(2, inputs={"text": "x"}, outputs={"label": "x"}),
        ]
    )
    assert scorer(workspace).step() == 0


def test_a_judge_never_spends_more_than_its_budget_of_a_day(
    workspace: Workspace, judge: ModelServer, clock: list[datetime]
) -> None:
    begin(workspace, OnlineEvaluator(name="tone", entry=JUDGE, max_usd=17.0), n=20)
    assert scorer(workspace).step() == 3
    assert scores(workspace, "tone") == {"r0": 1.0, "r1": 1.0, "r2": 1.0}
    assert sum(value or 0.0 for value in scores(workspace, "tone.cost_usd").values()) == 15.0
    assert scorer(workspace).step() == 0  # one that begins again knows what is spent

    clock[0] = NOW + timedelta(hours=13)
    assert scorer(workspace).step() == 3
    assert len(judge.requests) == 6


def test_a_judge_whose_price_is_not_known_is_not_run_within_a_budget(
    workspace: Workspace, judge: ModelServer
) -> None:
    entry = {**JUDGE, "models": [{"connection": "one", "model": "gpt"}]}
    begin(workspace, OnlineEvaluator(name="tone", entry=entry, max_usd=1.0))
    told = Told()
    one = scorer(workspace, told)
    assert (one.step(), one.step()) == (0, 0)
    assert told.texts == ["The evaluator tone of checkout scores nothing: it cannot be run."]
    assert judge.requests == []


def test_failures_are_counted_and_said_once_and_leave_the_others_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "checks.py").write_text("def broken(label):\n    raise ValueError(label)\n", "utf-8")
    entry = {
        "python": "checks.py:broken",
        "name": "broken",
        "column_mapping": {"label": "${run.outputs.label}"},
    }
    begin(workspace, OnlineEvaluator(name="broken", entry=entry), SAME)
    told = Told()
    one = scorer(workspace, told)
    one.step()

    assert one.failures() == {"broken": 6, "same": 0}
    assert told.texts == ["The evaluator broken of checkout gives no score for a request."]
    assert len(scores(workspace, "same")) == 6
    assert set(scores(workspace, "broken").values()) == {None}
    assert one.step() == 0


def test_requests_whose_window_is_over_get_no_score(workspace: Workspace, clock: list[datetime]) -> None:
    begin(workspace, SAME, metrics=(OnlineMetric(name="same", source="same", window_s=600),))
    clock[0] = NOW + timedelta(minutes=30)
    assert scorer(workspace).step() == 0


def test_nothing_is_scored_when_the_test_is_over(workspace: Workspace) -> None:
    begin(workspace, SAME)
    stop(workspace.store, "checkout", NOW, by="ann")
    assert scorer(workspace).step() == 0


def test_a_watch_scores_and_the_score_is_a_metric_and_a_guardrail(
    workspace: Workspace, clock: list[datetime]
) -> None:
    metric = OnlineMetric(name="right", source="same", kind="mean", low=0.0, high=1.0, window_s=600)
    guardrail = OnlineGuardrail(metric="right", margin=0.1)
    begin(workspace, SAME, n=200, metrics=(metric,), guardrails=(guardrail,), baseline="b")
    told = Told()
    look_once(workspace, Watch(workspace.store, ("checkout",), told), told)
    clock[0] = NOW + timedelta(hours=1)

    report = AbFollower(workspace.store, "checkout").look(clock[0]).report
    assert [arm.metric("right").mean for arm in report.arms] == [0.0, 1.0]  # type: ignore[union-attr]
    assert [rollback.arm for rollback in report.rollbacks] == ["a"]


def test_scores_are_given_beside_whoever_asks_for_them(workspace: Workspace) -> None:
    begin(workspace, SAME)
    scoring = Scoring(workspace, Told())
    scoring.ask("checkout")
    deadline = time.monotonic() + 60
    while len(scores(workspace, "same")) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    scoring.close(60)
    assert len(scores(workspace, "same")) == 6
