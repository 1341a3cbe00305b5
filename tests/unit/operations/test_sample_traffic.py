"""Data made of live requests: which are taken, what of them is written, and where the data say they are from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.evidence import a_completion, a_feedback, a_traffic, an_exposure
from tests.support.runs import START_NS, a_time

from headrace.config import load_settings
from headrace.domain.evidence import unit_digest
from headrace.domain.traffic import Condition, RequestLog, TrafficArm, UnitSource
from headrace.domain.variant import Arm
from headrace.errors import UsageError
from headrace.operations.ab_revisions import settle_revision
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.sample_traffic import TrafficSample, sample_traffic
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  text: {type: string}
  note: {type: string, default: ""}
outputs:
  said: {type: string, reference: "${echo.output}"}
nodes:
- {name: echo, type: python, source: {type: code, path: echo.py}, inputs: {text: "${inputs.text}"}}
"""
ECHO = "from promptflow.core import tool\n\n\n@tool\ndef echo(text: str) -> str:\n    return text\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / ".headrace").mkdir()
    settings = load_settings({"HOME": str(tmp_path)})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def begin(workspace: Workspace, **log: Any) -> None:
    """A test in which ten requests were logged: every second one of b, the third of all disliked, the last failed."""
    shadow = TrafficArm(name="mirror", arm=Arm(name="mirror"), shadow_share=1.0)
    traffic = a_traffic(log=RequestLog(share=1.0, **log))
    traffic = replace(traffic, arms=(*traffic.arms, shadow))
    settle_revision(workspace.store, traffic, a_time())
    for number in range(10):
        is_last = number == 9
        country = {"header:x-country": "DE" if number < 4 else "FR"}
        made = an_exposure(
            number, arm="ab"[number % 2], at_ns=START_NS + number, version="v1", attributes=country
        )
        completion = a_completion(
            number,
            inputs={"text": f"text {number}", "note": {"phone": "1", "kept": number}},
            outputs=None if is_last else {"said": f"said {number}", "secret": "s"},
            problem="E601" if is_last else "",
            has_consent=number % 3 == 0,
        )
        feedback = a_feedback(number, value=0.0 if number == 3 else 1.0)
        workspace.store.append_evidence([made, completion, feedback])
    mirrored = an_exposure("m", arm="mirror", role="shadow", request_id="r0", at_ns=START_NS + 20)
    workspace.store.append_evidence(
        [mirrored, a_completion("m", inputs={"text": "t"}, outputs={"said": "x"})]
    )
    workspace.store.append_evidence([an_exposure("bare", at_ns=START_NS + 30), a_completion("bare")])


def rows(workspace: Workspace, **asked: Any) -> list[dict[str, Any]]:
    file = workspace.cwd / "live.jsonl"
    sample_traffic(workspace, TrafficSample(test="checkout", **asked), file, is_replacing=True)
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in found]


def test_logged_requests_are_written_with_what_went_in_and_came_out_and_no_unit(workspace: Workspace) -> None:
    begin(workspace)
    found = rows(workspace)

    assert texts(found) == [f"text {number}" for number in range(10)]
    assert found[3] == {
        "text": "text 3",
        "note": {"phone": "1", "kept": 3},
        "live_arm": "b",
        "live_version": "v1",
        "live_request": "r3",
        "live_problem": "",
        "live_output_said": "said 3",
        "live_output_secret": "s",
        "live_feedback_thumbs": 0.0,
    }
    assert found[9]["live_problem"] == "E601"
    assert found[9]["live_output_said"] is None
    content = (workspace.cwd / "live.jsonl").read_text(encoding="utf-8")
    assert unit_digest("checkout", "user 3") not in content
    assert "x-country" not in content


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"arms": ("b",)}, [1, 3, 5, 7, 9]),
        ({"feedback": ("thumbs=0",)}, [3]),
        ({"feedback": ("thumbs >= 0.5",), "arms": ("b",)}, [1, 5, 7, 9]),
        ({"is_failed": True}, [9]),
        ({"where": {"header:x-country": "DE"}}, [0, 1, 2, 3]),
        ({"where": {"text": "text 5"}}, [5]),
        ({"where": {"output:said": "said 6"}}, [6]),
    ],
)
def test_requests_are_chosen_by_arm_feedback_failure_and_slice(
    workspace: Workspace, asked: dict[str, Any], numbers: list[int]
) -> None:
    begin(workspace)
    assert texts(rows(workspace, **asked)) == [f"text {number}" for number in numbers]


def test_a_draw_is_the_same_every_time_and_another_one_under_another_seed(workspace: Workspace) -> None:
    begin(workspace)
    first = texts(rows(workspace, limit=4))

    assert len(first) == 4
    assert texts(rows(workspace, limit=4)) == first
    assert any(texts(rows(workspace, limit=4, seed=seed)) != first for seed in (1, 2, 3))


def test_as_many_of_every_arm_are_drawn(workspace: Workspace) -> None:
    begin(workspace)
    found = rows(workspace, per_arm=2)
    assert sorted(row["live_arm"] for row in found) == ["a", "a", "b", "b"]


def test_mirrored_requests_are_taken_only_where_their_arm_is_named(workspace: Workspace) -> None:
    begin(workspace)
    assert texts(rows(workspace, arms=("mirror",))) == ["t"]


def test_where_consent_is_asked_for_only_requests_that_gave_it_are_taken(workspace: Workspace) -> None:
    asks = Condition(attribute=UnitSource(place="header", name="x-consent"), operator="is", value="yes")
    begin(workspace, consent=asks)
    assert texts(rows(workspace)) == ["text 0", "text 3", "text 6", "text 9"]


def test_what_the_file_or_the_command_redacts_is_left_out_at_any_depth(workspace: Workspace) -> None:
    begin(workspace, redact=("phone",))
    found = rows(workspace, redact=("secret", "text"))
    assert found[0]["note"] == {"kept": 0}
    assert "text" not in found[0]
    assert "live_output_secret" not in found[0]


def test_feedback_about_a_unit_counts_for_its_requests_and_the_last_word_counts(workspace: Workspace) -> None:
    begin(workspace)
    unit = unit_digest("checkout", "user 5")
    workspace.store.append_evidence(
        [
            a_feedback("u", exposure="", unit=unit, metric="rating", value=2.0),
            a_feedback("late", exposure="r5", value=0.0, at_ns=START_NS + 99),
            a_feedback("early", exposure="r5", value=1.0, at_ns=START_NS + 1),
        ]
    )
    (found,) = rows(workspace, feedback=("rating<3",))
    assert (found["live_feedback_rating"], found["live_feedback_thumbs"]) == (2.0, 0.0)


def test_the_version_of_the_data_says_where_they_come_from(workspace: Workspace) -> None:
    begin(workspace)
    asked = TrafficSample(test="checkout", arms=("b",), limit=3, seed=7, redact=("note",))
    version = sample_traffic(workspace, asked, workspace.cwd / "live.jsonl")

    assert workspace.store.list_data_versions() == (version,)
    assert version.name == "live.jsonl@1"
    assert version.origin is not None
    assert version.origin["test"] == "checkout"
    assert version.origin["revisions"] == [1]
    assert version.origin["filters"] == {"arms": ["b"], "limit": 3}
    assert (version.origin["seed"], version.origin["fitting"], version.origin["drawn"]) == (7, 5, 3)
    assert version.origin["redacted"] == ["note"]


def test_only_a_file_of_json_lines_is_written(workspace: Workspace) -> None:
    begin(workspace)
    with pytest.raises(UsageError, match="is no name for JSON lines"):
        sample_traffic(workspace, TrafficSample(test="checkout"), workspace.cwd / "live.csv")
    assert not (workspace.cwd / "live.csv").exists()


def test_data_from_traffic_are_data_of_the_next_run(workspace: Workspace) -> None:
    begin(workspace, redact=("note",))
    file = workspace.cwd / "live.jsonl"
    version = sample_traffic(workspace, TrafficSample(test="checkout", feedback=("thumbs=0",)), file)
    flow = workspace.cwd / "flow"
    flow.mkdir()
    (flow / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (flow / "echo.py").write_text(ECHO, encoding="utf-8")

    run = create_run(workspace, RunRequest(flow=flow, data=file, name="next"))

    assert (run.n_completed, run.spec.data_version) == (1, version.number)
    assert [line.outputs["said"] for line in workspace.store.read_lines("next")] == ["text 3"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"test": "checkout", "arms": ("c",)}, "V305"),
        ({"test": "checkout", "feedback": ("thumbs",)}, "C507"),
        ({"test": "checkout", "where": {"text": "nothing"}}, "S843"),
        ({"test": "chekout"}, "S841"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_written(
    workspace: Workspace, asked: dict[str, Any], code: str
) -> None:
    begin(workspace)
    file = workspace.cwd / "live.jsonl"
    with pytest.raises(UsageError) as caught:
        sample_traffic(workspace, TrafficSample(**asked), file)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert not file.exists()
