"""``headrace ab``: what a person and a script are told about a test, and what the commands do to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.evidence import a_completion, a_feedback, a_traffic, a_trial, an_exposure
from tests.support.racing import make_racers
from tests.support.runs import a_time

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.config import load_settings
from headrace.domain.evidence import Exposure
from headrace.domain.traffic import OnlineGuardrail, OnlineMetric
from headrace.formats.experiment import load_experiment
from headrace.operations.ab_revisions import settle_revision
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import open_workspace
from headrace.store.base import RunStore
from headrace.store.opening import open_store

Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    (tmp_path / ".headrace").mkdir()
    opened = open_store(str(tmp_path / ".headrace" / "headrace.sqlite"), tmp_path)
    traffic = a_traffic(
        metrics=(
            OnlineMetric(name="thumbs", source="thumbs", window_s=10),
            OnlineMetric(name="failures", source="failures", direction="lower"),
        ),
        guardrails=(OnlineGuardrail(metric="failures", max_ratio=1.0),),
    )
    settle_revision(opened, traffic, a_time())
    yield opened
    opened.close()


@pytest.fixture
def run(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.chdir(tmp_path)

    def call(line: str) -> tuple[int, str, str]:
        code = run_command_line(line.split(), Session(tmp_path, {"HOME": str(tmp_path), "USER": "ann"}))
        return code, *capsys.readouterr()

    return call


def test_the_tests_of_a_store_are_listed_with_what_holds(run: Call) -> None:
    code, out, _ = run("ab status --output table")

    assert code == 0
    assert "checkout" in out
    assert "a 50%, b 50%" in out


def test_a_status_shows_effects_evidence_guardrails_and_the_sample_ratio(run: Call, store: RunStore) -> None:
    store.append_evidence(a_trial(200, is_liked=True))
    code, out, _ = run("ab status checkout --output table")

    assert code == 0
    assert out.startswith("Ship b.")
    for part in ("+0.800", "better", "of 20", "failures", "kept", "Sample ratio as it should be"):
        assert part in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_status_can_be_read_by_programs_and_posted(run: Call, store: RunStore) -> None:
    store.append_evidence(a_trial(200, is_liked=True))
    report = json.loads(run("ab status checkout --output json")[1])
    markdown = run("ab status checkout --output markdown")[1]

    assert report["report"]["decision"]["arm"] == "b"
    assert report["revision"]["shares"] == {"a": 0.5, "b": 0.5}
    assert "| b | 200 |" in markdown
    assert "▲ better" in markdown


def test_a_status_is_json_whatever_has_been_recorded(run: Call, store: RunStore) -> None:
    for number in range(2):
        store.append_evidence(
            [an_exposure(number), a_completion(number, cost_usd=1.7e308, latency_ms=1.7e308)]
        )
    store.append_evidence([an_exposure(7, arm="a"), a_completion(7, answered_by="a", cost_usd=1.0)])

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for command in (
        "ab status checkout --output json",
        "ab decide checkout --output json",
        "ab status --output json",
    ):
        json.loads(run(command)[1], parse_constant=refuse)


@pytest.mark.parametrize(
    ("trial", "code", "words"),
    [
        ({"n": 200, "is_liked": True}, 0, "Ship b."),
        ({"n": 20, "is_liked": True}, 6, "Too little evidence"),
        ({"n": 200, "is_hated": True}, 1, "Keep a"),
    ],
)
def test_a_decision_ends_like_a_gate_and_changes_nothing(
    run: Call, store: RunStore, trial: dict[str, int], code: int, words: str
) -> None:
    store.append_evidence(a_trial(**trial))
    found, out, _ = run("ab decide checkout")

    assert found == code
    assert words in out
    assert len(store.list_revisions("checkout")) == 1


def test_one_look_rolls_back_what_breaches_a_guardrail_and_says_so(run: Call, store: RunStore) -> None:
    store.append_evidence(a_trial(60, failing=3))
    code, _, err = run("ab watch --all --once")

    assert (code, [item.reason for item in store.list_revisions("checkout")]) == (
        0,
        ["started", "rolled back"],
    )
    assert "rolled back: b" in err


def test_a_person_promotes_and_is_named_in_the_history(run: Call, store: RunStore) -> None:
    asked = run("ab promote checkout b")[0]
    done = run("ab promote checkout b --yes")
    history = run("ab revisions checkout --output table")[1]

    assert asked == 2
    assert done[:2] == (0, "checkout, revision 2: promoted: b.\n")
    assert store.list_revisions("checkout")[-1].by == "ann"
    assert "b answers everybody" in history


def test_a_test_is_stopped_resumed_and_deleted_once_it_is_over(run: Call, store: RunStore) -> None:
    assert run("ab stop checkout --arm b")[0] == 0
    assert run("ab resume checkout b --by bob")[0] == 0
    assert run("ab delete checkout --yes")[0] == 2
    assert run("ab stop checkout")[0] == 0
    assert [(item.reason, item.by) for item in store.list_revisions("checkout")][1:] == [
        ("stopped", "ann"),
        ("resumed", "bob"),
        ("stopped", "ann"),
    ]
    assert run("ab delete checkout --yes")[0] == 0
    assert store.list_ab_tests() == ()


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("ab watch", "headrace ab status"),
        ("ab watch checkout --all", "headrace ab status"),
        ("ab watch --all --once --page 0", "one of them"),
        ("ab watch chekout --once", "checkout"),
        ("ab status chekout", "checkout"),
    ],
)
def test_a_wrong_call_is_told_what_to_do(run: Call, line: str, fix: str) -> None:
    code, _, err = run(line)

    assert code == 2
    assert fix in err


@pytest.mark.parametrize("group", ["data", "dataset"])
def test_data_are_made_of_live_requests_and_shown_with_where_they_come_from(
    run: Call, store: RunStore, tmp_path: Path, group: str
) -> None:
    logged = [
        record
        for number in range(5)
        for record in (
            an_exposure(number),
            a_completion(number, inputs={"text": f"text {number}"}, outputs={"label": "x"}),
            a_feedback(number, value=float(number > 1)),
        )
    ]
    store.append_evidence(logged)
    code, out, err = run(f"{group} from-traffic checkout live.jsonl --feedback thumbs=1 --limit 2")

    assert code == 0
    assert out == "2 lines written to live.jsonl, version live.jsonl@1.\n"
    assert "2 live requests of the online test checkout, revision 1" in err
    assert len((tmp_path / "live.jsonl").read_text().splitlines()) == 2
    code, out, _ = run(f"{group} show live.jsonl@1")
    assert code == 0
    assert "thumbs=1; of 3 that fit, drawn with seed 0" in out
    code, _, err = run(f"{group} from-traffic checkout live.jsonl")
    assert (code, "S806" in err) == (2, True)


def test_a_status_has_the_offline_results_beside_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_racers(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        run_experiment(workspace, load_experiment(Path("experiment.yaml")))
        metric = OnlineMetric(name="helpful", source="thumbs", window_s=10, offline="passed")
        weights = {"worst": 0.5, "best": 0.5}
        traffic = a_traffic(weights, baseline="worst", metrics=(metric,), experiment="race")
        settle_revision(workspace.store, traffic, a_time())
        trial = a_trial(200, is_liked=True)
        arms = {"a": "worst", "b": "best"}
        workspace.store.append_evidence(
            [replace(item, arm=arms[item.arm]) if isinstance(item, Exposure) else item for item in trial]
        )

    def status(form: str) -> str:
        line = f"ab status checkout --output {form}"
        assert run_command_line(line.split(), Session(tmp_path, {"HOME": str(tmp_path)})) == 0
        return capsys.readouterr().out

    table = status("table")
    assert "best, helpful: agree, because better offline and online." in table
    (effect,) = json.loads(status("json"))["offline"]["effects"]
    assert (effect["arm"], effect["offline_metric"], effect["agreement"]) == ("best", "passed", "agree")
    assert effect["offline"]["interval"]["low"] > 0
