"""What docs/splitting-elsewhere.md shows runs in front of two endpoints on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from headrace.ab import Split, SplitMiddleware
from headrace.domain.evidence import Completion
from headrace.errors import DefinitionError
from headrace.store.opening import open_store
from tests.support.endpoint import serving
from tests.support.reference_docs import DOCS
from tests.support.split_elsewhere import Asked, completions, exposures, feedbacks
from tests.support.web_server import WebServer, web_server

PAGE = (DOCS / "splitting-elsewhere.md").read_text(encoding="utf-8")
ADDRESSES = {"old": "http://127.0.0.1:9001", "new": "http://127.0.0.1:9002"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, WebServer]]:
    """The page's two endpoints, and its traffic file in the working directory."""
    (text,) = blocks("yaml")
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        found = {}
        for name, address in ADDRESSES.items():
            found[name] = stack.enter_context(web_server())
            found[name].answers[:] = [(200, json.dumps({"answer": f"of {name}"}))]
            text = text.replace(address, found[name].url.rstrip("/"))
        Path("traffic.yaml").write_text(text, encoding="utf-8")
        yield found


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "splitting-elsewhere.md", "exec"), names)  # noqa: S102 - the page's own code
    return names


def records() -> list[Any]:
    store = open_store(Path(".headrace/headrace.sqlite"))
    try:
        return [arrival.evidence for arrival in store.read_arrivals("answers")]
    finally:
        store.close()


def test_the_program_of_the_page_splits_its_requests(arms: dict[str, WebServer]) -> None:
    names = run(blocks("python")[0])
    app = names["app"]
    assert isinstance(app, SplitMiddleware)
    asked = {f"user-{number}": ask(app, f"user-{number}") for number in range(20)}
    again = {unit: ask(app, unit) for unit in asked}
    by_arm = {unit: answer.headers["x-headrace-arm"] for unit, answer in asked.items()}
    assert by_arm == {unit: answer.headers["x-headrace-arm"] for unit, answer in again.items()}
    assert {name: len(server.asked) for name, server in arms.items()} == {
        name: 2 * list(by_arm.values()).count(name) for name in arms
    }
    said = blocks("json")[0].replace("…", asked["user-0"].headers["x-headrace-exposure-id"])
    assert Asked(app, "/feedback", body=[said.encode()]).status == 200
    names["split"].close()
    kept = records()
    assert (len(exposures(kept)), len(completions(kept)), len(feedbacks(kept))) == (40, 40, 1)
    assert {completion.problem for completion in completions(kept)} == {""}


def test_the_baseline_of_the_page_answers_for_an_arm_that_fails(arms: dict[str, WebServer]) -> None:
    names = run(blocks("python")[0])
    arms["new"].answers[:] = [(503, "{}")]
    units = [f"user-{number}" for number in range(20)]
    answers = [ask(names["app"], unit) for unit in units]
    names["split"].close()
    assert {answer.status for answer in answers} == {200}
    chosen = [answer.headers["x-headrace-arm"] for answer in answers]
    ended: list[Completion] = completions(records())
    assert sorted((one.problem, one.answered_by) for one in ended) == sorted(
        ("http_503", "old") if arm == "new" else ("", "old") for arm in chosen
    )
    assert "new" in chosen


def test_the_script_of_the_page_asks_an_arm(
    arms: dict[str, WebServer], capsys: pytest.CaptureFixture[str]
) -> None:
    run(blocks("python")[1])
    arm, _, answer = capsys.readouterr().out.strip().partition(" ")
    assert answer == f"of {arm}"
    exposure, completion, feedback = records()
    assert (exposure.arm, completion.cost_usd, feedback.exposure) == (arm, 0.002, exposure.id)
    assert len(arms[arm].asked) == 1


def test_a_server_without_a_flow_splits_what_the_page_says_and_shares_the_test_with_its_script(
    arms: dict[str, WebServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, {}, [], traffic=["traffic.yaml"]) as endpoint:
        answers = {
            user: endpoint.ask("POST", "/score", {"question": "why?"}, {"x-user-id": user})
            for user in (f"user-{number}" for number in range(20))
        }
        # A server works in the folder of its flow.
        monkeypatch.chdir(tmp_path)
        with Split.open("traffic.yaml") as split:
            assert {user: split.choose(user).arm for user in answers} == {
                user: answer.headers["x-headrace-arm"] for user, answer in answers.items()
            }
            assert split.revision.number == 1
            assert split.flush(30)
    assert {answer.body["answer"].split()[-1] for answer in answers.values()} == {"old", "new"}
    assert all(
        answer.body["answer"] == f"of {answer.headers['x-headrace-arm']}" for answer in answers.values()
    )
    scored = [asked for server in arms.values() for asked in server.asked if asked.path == "/score"]
    assert len(scored) == 20
    kept = exposures(records())
    assert len(kept) == 40
    assert len({exposure.unit for exposure in kept}) == 20


def test_a_server_without_a_flow_has_to_know_what_it_sends(
    arms: dict[str, WebServer], tmp_path: Path
) -> None:
    text = Path("traffic.yaml").read_text(encoding="utf-8").replace(", inputs: [question]", "")
    Path("traffic.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught, serving(tmp_path, {}, [], traffic=["traffic.yaml"]):
        pass
    (problem,) = caught.value.problems
    assert (problem.code, problem.span and problem.span.line) == ("F006", 5)


def ask(app: Any, unit: str) -> Asked:
    body = [json.dumps({"question": "Where is my parcel?"}).encode()]
    return Asked(app, "/answer", headers={"x-user-id": unit}, body=body)
