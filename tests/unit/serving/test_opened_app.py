"""Apps that code makes of a flow: below another app, behind a proxy's path, and run by themselves as those of Flask."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.support.endpoint import write
from tests.support.ports import held_port
from tests.support.serve_process import until

from headrace.errors import DefinitionError
from headrace.operations.serve_flow import create_app

FILES = {
    "flow/flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}"}}
""",
    "flow/a.py": "from promptflow.core import tool\n\n@tool\ndef a(q: str):\n    return q.upper()\n",
}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    write(tmp_path, FILES)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HEADRACE_SERVE_NO_AUTH", "true")
    with chdir(tmp_path):
        return create_app(engine="fastapi", flow_file_path=str(tmp_path / "flow"))


def test_an_app_below_another_one_answers_below_its_path(app: Any) -> None:
    outer = Starlette(routes=[Mount("/flows/shout", app)])
    with TestClient(outer) as client:
        assert client.post("/flows/shout/score", json={"q": "a"}).json() == {"r": "A"}
        assert client.get("/flows/shout/health").status_code == 200
        assert client.get("/flows/shout/swagger.json").json()["openapi"] == "3.0.0"
        assert client.post("/score", json={"q": "a"}).status_code == 404
    with TestClient(outer) as client:  # in another event loop, when the first one has ended
        assert client.post("/flows/shout/score", json={"q": "b"}).json() == {"r": "B"}


def test_an_app_behind_a_path_that_the_server_is_told_of_answers_below_it(app: Any) -> None:
    with TestClient(app, root_path="/api") as client:
        assert client.post("/api/score", json={"q": "a"}).json() == {"r": "A"}


def test_what_keeps_an_app_from_being_opened_is_said_for_each_request_and_may_be_mended(
    app: Any, tmp_path: Path
) -> None:
    outer = Starlette(routes=[Mount("/f", app)])
    tool = tmp_path / "flow" / "a.py"
    tool.rename(tool.with_suffix(".away"))
    with TestClient(outer) as client:
        for _ in range(2):
            with pytest.raises(DefinitionError, match=r"a\.py"):
                client.post("/f/score", json={"q": "a"})
        tool.with_suffix(".away").rename(tool)
        assert client.post("/f/score", json={"q": "a"}).json() == {"r": "A"}


def _run(folder: Path, arguments: str) -> subprocess.Popen[str]:
    words = f"from promptflow.core._serving.app import create_app\ncreate_app(flow_file_path='flow').run({arguments})\n"
    (folder / "serve.py").write_text(words, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "headrace.compat", "serve.py"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_app_runs_by_itself_on_this_machine_alone(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    answers = []
    with held_port() as port, _run(tmp_path, f"port={port}, debug=False") as process:

        def is_answered() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("POST", "/score", '{"q": "a"}')
                answers.append(json.loads(connection.getresponse().read()))
            except OSError:
                assert process.poll() is None
                return False
            finally:
                connection.close()
            return True

        try:
            until(is_answered, seconds=60)
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert answers == [{"r": "A"}]


def test_an_app_that_others_reach_asks_for_keys(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with held_port() as port, _run(tmp_path, f"host='0.0.0.0', port={port}") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "nothing says who may ask" in said
