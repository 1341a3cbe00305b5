"""A model that refuses every request: a run says so while it waits, wherever its lines are run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.model_server import ModelServer, Reply, error

from headrace.config import load_settings
from headrace.engine import waiting
from headrace.engine.events import LineFinished, RunEvent, RunHeldUp
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import open_workspace

FLOW = """\
inputs:
  q: {type: string}
outputs:
  a: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {model: gpt, q: "${inputs.q}"}
  connection: c
  api: chat
"""
CONNECTION = """\
name: c
type: open_ai
api_key: key
base_url: %s
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_waits_for_a_quota_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_S", 0.3)
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text(FLOW, "utf-8")
    (tmp_path / "flow" / "ask.jinja2").write_text("# user:\n{{q}}\n", "utf-8")
    (tmp_path / "data.jsonl").write_text('{"q": "a"}\n{"q": "b"}\n{"q": "c"}\n', "utf-8")
    heard: list[RunEvent] = []

    def hear(event: RunEvent) -> None:
        heard.append(event)
        # A worker tells of itself once a second: others may have told before it that they wait for what it was refused.
        if isinstance(event, RunHeldUp) and event.refused:
            server.default = Reply()

    settings = load_settings({"HOME": str(tmp_path)})
    with (
        ModelServer(default=error(429, "rate_limit_exceeded", retry_after_s=1.2)) as server,
        open_workspace(settings, tmp_path) as workspace,
    ):
        folder = tmp_path / ".headrace" / "connections"
        folder.mkdir(parents=True)
        (folder / "c.yaml").write_text(CONNECTION % server.base_url, "utf-8")
        request = RunRequest(
            flow=tmp_path / "flow", data=tmp_path / "data.jsonl", name="r", workers=workers, max_concurrency=4
        )
        run = create_run(workspace, request, hear)
    assert (run.status, run.n_completed) == ("Completed", 3)
    held_up = [event for event in heard if isinstance(event, RunHeldUp)]
    assert all(event.n_waiting >= 1 for event in held_up)
    assert all(event.refused >= 1 for event in held_up if event.n_waiting == 3)  # then all workers have told
    assert 1 <= held_up[-1].refused <= len(server.requests)
    told = {(event.run, event.service, event.model) for event in held_up}
    assert told == {("r", server.url[len("http://") :], "gpt")}
    assert [event.status for event in heard if isinstance(event, LineFinished)] == ["Completed"] * 3
