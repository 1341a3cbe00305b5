"""The command as a process: signals, several processes, and versions that take over."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import write
from tests.support.otlp_collector import Collector
from tests.support.serve_process import running, until

TOOL = """\
import asyncio
import os
import words
from promptflow.core import tool

@tool
async def a(q: str):
    await asyncio.sleep(float(q))
    return f"{words.WORD} {os.environ.get('REGION')} {os.getpid()}"
"""
FILES = {
    "flow/flow.dag.yaml": """\
environment_variables: {REGION: eu}
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}"}}
""",
    "flow/a.py": TOOL,
    "flow/words.py": 'WORD = "old"\n',
}


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_requests_in_flight_end_before_the_process_does_with_success(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    write(tmp_path, FILES)
    answers: list[tuple[int, Any]] = []
    with running(tmp_path, *options) as served:
        asking = threading.Thread(target=lambda: answers.append(served.ask("1.5")))
        asking.start()
        time.sleep(0.4)
        served.signal(signal.SIGTERM)
        until(lambda: is_refused(served.port))
        assert answers == []
        asking.join(20)
        assert served.process.wait(20) == 0
    assert answers[0][0] == 200


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_process_that_is_to_stop_says_so_for_a_while_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    environment = {"HEADRACE_SERVE_STOP_DELAY_S": "1", "HEADRACE_GRACE_S": "1"}
    with running(tmp_path, environment=environment) as served:
        assert served.ask(path="/readyz", method="GET")[0] == 200
        served.signal(signal.SIGTERM)
        until(lambda: served.ask(path="/readyz", method="GET")[1]["status"] == "Draining", 1)
        assert served.ask()[0] == 200
        cut: list[int] = []
        asking = threading.Thread(target=lambda: cut.append(served.ask("60")[0]))
        asking.start()
        assert served.process.wait(10) == 0
        asking.join()
        until(lambda: any("exceeded" in line for line in served.said))
        assert not [line for line in served.said if "Traceback" in line or "Exception" in line]
    assert cut == [503]


def test_a_stream_that_the_server_waits_for_no_longer_ends_with_the_reason(tmp_path: Path) -> None:
    generator = TOOL.replace("    await", '    yield "begun"\n    await').replace("return f", "yield f")
    write(tmp_path, {**FILES, "flow/a.py": generator})
    with (
        Collector() as collector,
        running(
            tmp_path, environment={"HEADRACE_GRACE_S": "0.3", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        ) as served,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("POST", "/score", '{"q": "60"}', {"Accept": "text/event-stream"})
        response = connection.getresponse()
        assert response.readline() == b'data: {"r": "begun"}\n'
        served.signal(signal.SIGTERM)
        *_, last = response.read().decode().strip().split("\n\n")
        connection.close()
        assert served.process.wait(10) == 0
        assert not [line for line in served.said if "Traceback" in line]
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "The server is stopping."
    server = collector.spans()["POST /score"]
    assert (server.status, server.attributes["error.type"]) == ("error", "server-stopping")


def test_a_new_version_takes_over_at_a_signal_and_a_broken_one_does_not(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with running(tmp_path) as served:
        assert served.ask()[1]["r"].startswith("old eu ")
        before = served.ask(path="/readyz", method="GET")[1]["flows"]["/"]["version"]
        write(tmp_path, {"flow/words.py": 'WORD = "new"\n'})
        slow: list[Any] = []
        asking = threading.Thread(target=lambda: slow.append(served.ask("0.5")[1]["r"]))
        asking.start()
        time.sleep(0.2)
        served.signal(signal.SIGHUP)
        until(lambda: served.word() == "new")
        asking.join()
        assert slow[0].startswith("old eu ")
        assert served.ask()[1]["r"].startswith("new eu ")
        assert served.ask(path="/readyz", method="GET")[1]["flows"]["/"]["version"] != before
        write(tmp_path, {"flow/words.py": "WORD = \n"})
        served.signal(signal.SIGHUP)
        until(lambda: "refused" in served.ask(path="/readyz", method="GET")[1]["flows"]["/"])
        assert served.word() == "new"
        until(lambda: any("words.py" in line for line in served.said))
        write(tmp_path, {"flow/words.py": 'WORD = "third"\n'})
        served.signal(signal.SIGHUP)
        until(lambda: served.word() == "third")


def test_only_a_person_ends_the_server_with_an_interrupt(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with running(tmp_path, "--reload") as served:
        for raised in ("KeyboardInterrupt", "SystemExit(0)"):
            write(tmp_path, {"flow/words.py": f"raise {raised}\n"})
            until(lambda: "refused" in served.ask(path="/readyz", method="GET")[1]["flows"]["/"])
            assert served.ask(path="/readyz", method="GET")[1]["flows"]["/"]["refused"] == ["T206"]
            assert served.word() == "old"
            write(tmp_path, {"flow/words.py": 'WORD = "old"\n'})
            until(lambda: "refused" not in served.ask(path="/readyz", method="GET")[1]["flows"]["/"])
        served.signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        until(lambda: any("Stopped." in line for line in served.said))


def test_files_that_change_are_taken_over_without_a_failed_request(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with running(tmp_path, "--reload") as served:
        seen: list[str] = []
        is_over = threading.Event()

        def ask_on() -> None:
            while not is_over.is_set():
                status, body = served.ask()
                seen.append(body["r"].partition(" ")[0] if status == 200 else str(status))

        asking = [threading.Thread(target=ask_on) for _ in range(4)]
        for thread in asking:
            thread.start()
        for word in ("second", "third"):
            write(tmp_path, {"flow/words.py": f'WORD = "{word}"\n'})
            until(lambda word=word: word in seen)  # type: ignore[misc]
        text = (tmp_path / "flow/flow.dag.yaml").read_text(encoding="utf-8")
        write(tmp_path, {"flow/flow.dag.yaml": "inputs: [\n"})
        until(lambda: any("goes on" in line for line in served.said))
        write(tmp_path, {"flow/flow.dag.yaml": text})
        until(lambda: "refused" not in served.ask(path="/readyz", method="GET")[1]["flows"]["/"])
        is_over.set()
        for thread in asking:
            thread.join()
    assert set(seen) == {"old", "second", "third"}


def test_a_process_that_dies_is_replaced_while_the_others_answer(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with running(tmp_path, "--workers", "2") as served:
        until(lambda: len({served.process_id() for _ in range(10)}) == 2)
        victim = served.process_id()
        os.kill(victim, signal.SIGKILL)
        until(lambda: any(f"Worker process {victim} ended with -9" in line for line in served.said))
        until(lambda: len({served.process_id() for _ in range(10)} - {victim}) == 2)
        write(tmp_path, {"flow/words.py": 'WORD = "new"\n'})
        served.signal(signal.SIGHUP)
        until(lambda: {served.word() for _ in range(10)} == {"new"})


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    with running(tmp_path, environment={"PROMPTFLOW_WORKER_NUM": "2"}) as served:
        child = served.process_id()
        served.process.kill()
        until(lambda: not Path(f"/proc/{child}").exists())


def test_what_is_wrong_with_a_flow_is_said_once_by_several_processes(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "flow/words.py": "WORD = \n"})
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "flow", "serve", "--source", "flow", "--port", "0", "--workers", "2"],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.count("words.py") >= 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "app",
    [
        ["-m", "uvicorn", "--factory", "headrace.operations.serve_flow:create_app"],
        ["-m", "headrace.compat", "-m", "uvicorn", "--factory", "promptflow.core._serving.app:create_app"],
    ],
)
def test_any_server_of_asgi_serves_what_the_environment_names(tmp_path: Path, app: list[str]) -> None:
    write(tmp_path, FILES)
    process = subprocess.Popen(
        [sys.executable, *app, "--port", "0"],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PROMPTFLOW_PROJECT_PATH": "flow",
            "HEADRACE_SERVE_NO_AUTH": "true",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        port = int(line.rpartition(":")[2].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/score", '{"q": "0"}')
        assert json.loads(connection.getresponse().read())["r"].startswith("old eu ")
        connection.close()
    finally:
        process.terminate()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()
