"""A flow that asks a model once per line, and a model service that often fails: as is measured of real ones, and worse."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.model_server import ModelServer, Reply, Request, broken, error, hang

from headrace.domain.connection import Connection, Secret
from headrace.operations.run_batch import RunRequest
from headrace.operations.workspace import Workspace

TIMEOUT_S = 1.0
SETTINGS = {"HEADRACE_MODEL_TIMEOUT_S": str(TIMEOUT_S), "HEADRACE_MAX_RETRIES": "12"}
"""A hang is over after a second, and no line is so unlucky that it meets thirteen faults in a row."""

FLOW = """\
inputs:
  n: {type: int}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: faulty
  api: chat
  inputs: {model: m, temperature: 0, n: "${inputs.n}"}
- name: count
  type: python
  source: {type: code, path: count.py}
  inputs: {answers: "${ask.output}"}
  aggregation: true
"""
COUNT = """\
from promptflow.core import log_metric, tool

@tool
def count(answers: list):
    log_metric("n", len(answers))
    log_metric("different", len(set(answers)))
"""


def make_flow(folder: Path, n_lines: int) -> RunRequest:
    """The flow and its data."""
    flow = folder / "flow"
    flow.mkdir()
    files = {"flow.dag.yaml": FLOW, "ask.jinja2": "user:\nWhat is {{n}}?\n", "count.py": COUNT}
    for name, text in files.items():
        flow.joinpath(name).write_text(text, "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(n_lines)), "utf-8")
    return RunRequest(flow=flow, data=data, name="whole", max_concurrency=32)


def _answer(request: Request) -> Reply:
    return Reply(text=f"answer to {request.body['messages'][-1]['content']}", delay_s=0.02)


def faulty(draw: random.Random) -> Callable[[Request], Reply]:
    """Of the requests 10 % end with 500, 5 % with a broken connection, and 1 % never."""

    def reply(request: Request) -> Reply:
        chance = draw.random()
        if chance < 0.1:
            return error(500)
        if chance < 0.15:
            return broken()
        return hang() if chance < 0.16 else _answer(request)

    return reply


@contextmanager
def model_service(workspace: Workspace) -> Iterator[ModelServer]:
    """A service without faults as yet, which the workspace knows under the name that the flow asks for."""
    with ModelServer(default=_answer, is_recording=False) as server:
        connection = Connection(
            name="faulty",
            type="open_ai",
            configs={"base_url": server.base_url},
            secrets={"api_key": Secret(value="key-of-nobody")},
        )
        workspace.connections.create(connection)
        yield server
