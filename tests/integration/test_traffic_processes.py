"""Online tests over several processes: they assign alike, count exactly, and lose nothing when they are killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import write
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.ports import HeldPort
from tests.support.postgresql import Server, running_server
from tests.support.serve_process import running, until

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback
from headrace.store.opening import open_store

FILES = {
    "f/flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {q: "${inputs.q}", style: plain}}
""",
    "f/say.py": """\
import asyncio
import os
from promptflow.core import tool

@tool
async def say(q: str, style: str):
    await asyncio.sleep(0.005)
    return f"{style} {os.getpid()}"
""",
    "f/traffic.yaml": """\
name: styles
flow: .
unit: {header: x-user}
arms: [{name: plain, weight: 0.5}, {name: loud, weight: 0.5, overrides: {say.style: loud}}]
""",
}
SOURCE = ("--traffic", "f/traffic.yaml")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with running_server() as server:
        yield server


class Caller:
    """A client that keeps its connection, and makes another one when that breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def post(self, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], Any]:
        """The whole answer.

        Raises:
            OSError, http.client.HTTPException: It did not come, or not whole.
        """
        try:
            self._connection.request("POST", path, json.dumps(body), dict(headers))
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            raise
        return response.status, {key.lower(): value for key, value in response.getheaders()}, json.loads(text)

    def close(self) -> None:
        self._connection.close()


def all_evidence(location: str) -> list[Evidence]:
    store = open_store(location, Path.cwd(), makes_folder=False)
    try:
        found: list[Evidence] = []
        place = 0
        while arrivals := store.read_arrivals("styles", after=place):
            found += [item.evidence for item in arrivals]
            place = arrivals[-1].place
        return found
    finally:
        store.close()


@pytest.mark.parametrize("new_store", [new_sqlite, new_postgresql])
def test_two_servers_on_one_store_assign_alike_and_count_exactly(
    tmp_path: Path, request: pytest.FixtureRequest, new_store: Callable[[pytest.FixtureRequest], str]
) -> None:
    location = new_store(request)
    if "://" not in location:
        Path(location).parent.mkdir()
    asked: list[tuple[str, str, str, str]] = []
    with ExitStack() as stack:
        servers = []
        for name in ("one", "two"):
            write(tmp_path / name, FILES)
            environment = {"HEADRACE_STORE": location}
            servers.append(
                stack.enter_context(running(tmp_path / name, environment=environment, source=SOURCE))
            )

        def call(server: int) -> None:
            caller = Caller(servers[server].port)
            for number in range(150):
                user = f"u{number % 75}"
                status, headers, _ = caller.post("/score", {"q": "a"}, {"x-user": user})
                assert status == 200
                asked.append(
                    (str(server), user, headers["x-headrace-arm"], headers["x-headrace-exposure-id"])
                )
            caller.close()

        threads = [threading.Thread(target=call, args=(number % 2,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 600
    arms = {(server, user): arm for server, user, arm, _ in asked}
    assert all(arms["0", f"u{number}"] == arms["1", f"u{number}"] for number in range(75))
    found = all_evidence(location)
    exposures = [item for item in found if isinstance(item, Exposure)]
    completions = [item for item in found if isinstance(item, Completion)]
    assert sorted(item.id for item in exposures) == sorted(item[3] for item in asked)
    assert Counter(item.arm for item in exposures) == Counter(item[2] for item in asked)
    assert sorted(item.exposure for item in completions) == sorted(item[3] for item in asked)
    assert len({item.unit for item in exposures}) == 75


class Load:
    """Clients that ask and judge until they are told to stop, and what was acknowledged to them.

    Attributes:
        answered: Ids of exposures that an answer carried.
        heard: Exposures that feedback was taken for.
        workers: Processes that have answered.
    """

    def __init__(self, port: int, n_clients: int) -> None:
        self.answered: set[str] = set()
        self.heard: set[str] = set()
        self.workers: set[int] = set()
        self._port = port
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(f"t{number}-",)) for number in range(n_clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, name: str) -> None:
        caller = Caller(self._port)
        number = 0
        while not self._is_over.is_set():
            number += 1
            try:
                self._ask(caller, f"{name}{number % 40}")
            except (OSError, http.client.HTTPException):  # its worker was killed
                time.sleep(0.01)
        caller.close()

    def _ask(self, caller: Caller, user: str) -> None:
        status, headers, body = caller.post("/score", {"q": "a"}, {"x-user": user})
        assert status == 200
        exposure = headers["x-headrace-exposure-id"]
        self.answered.add(exposure)
        self.workers.add(int(body["r"].split()[1]))
        said = {"exposure_id": exposure, "metric": "ok", "value": 1, "id": "1"}
        for _ in range(2):  # a client that repeats itself
            if caller.post("/feedback", said, {})[0] == 200:
                self.heard.add(exposure)


def test_nothing_that_was_acknowledged_is_lost_or_counted_twice_when_workers_are_killed(
    tmp_path: Path,
) -> None:
    write(tmp_path, FILES)
    with running(tmp_path, "--workers", "2", source=SOURCE) as served:
        load = Load(served.port, 4)
        killed: set[int] = set()
        for _ in range(4):
            least = len(load.answered) + 50
            until(lambda least=least: len(load.answered) > least)  # type: ignore[misc]
            until(lambda: bool(load.workers - killed))
            victim = max(load.workers - killed)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
        n_before = len(load.answered)
        until(lambda: len(load.answered) > n_before + 50)
        load.stop()
        until(lambda: len([line for line in served.said if "ended with -9" in line]) == len(killed) == 4)
    found = all_evidence(str(tmp_path / ".headrace" / "headrace.sqlite"))
    exposures = Counter(item.id for item in found if isinstance(item, Exposure))
    feedback = Counter(item.exposure for item in found if isinstance(item, Feedback))
    completions = Counter(item.exposure for item in found if isinstance(item, Completion))
    assert len(load.answered) > 200
    assert load.answered <= set(exposures)
    assert load.answered <= set(completions)
    assert load.heard <= set(feedback)
    assert {*exposures.values(), *feedback.values(), *completions.values()} == {1}


def test_a_server_rolls_an_arm_back_that_fails_though_its_watch_was_killed_and_leaves_nobody_behind(
    tmp_path: Path,
) -> None:
    files = dict(FILES)
    files["f/say.py"] = files["f/say.py"].replace(
        "    await", '    if style == "loud":\n        raise ValueError("no")\n    await'
    )
    files["f/traffic.yaml"] += (
        "metrics: [{name: latency_ms, range: [0, 1000]}]\n"
        "guardrails: [{metric: failures, max_ratio: 1.5}]\ndecision: {every: 1s}\n"
    )
    write(tmp_path, files)
    with running(tmp_path, source=SOURCE) as served:
        [first] = [line for line in processes_of(served.process.pid) if "spawn_main" in line]
        os.kill(int(first.split()[0]), signal.SIGKILL)
        until(lambda: any("watches styles has ended with -9" in line for line in served.said))
        caller = Caller(served.port)
        arms: list[str] = []

        def is_rolled_back() -> bool:
            for number in range(len(arms), len(arms) + 20):
                _, headers, _ = caller.post("/score", {"q": "a"}, {"x-user": f"u{number}"})
                arms.append(headers["x-headrace-arm"])
            return "loud" in arms and "loud" not in arms[-20:]

        until(is_rolled_back, seconds=60)
        watch = [line for line in processes_of(served.process.pid) if "spawn_main" in line]
        caller.close()
        until(lambda: any("rolled back" in line for line in served.said))
    assert watch
    until(lambda: not any(Path(f"/proc/{line.split()[0]}").exists() for line in watch))


def processes_of(parent: int) -> list[str]:
    """Id and command line of the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == parent:
            found.append(f"{path.name} {words}")
    return found


def test_a_packed_flow_is_split_by_the_traffic_file_beside_it(tmp_path: Path) -> None:
    packed = {name.replace("f/", "packed/flow/"): text for name, text in FILES.items()}
    packed["packed/traffic.yaml"] = packed.pop("packed/flow/traffic.yaml").replace("flow: .", "flow: flow")
    write(tmp_path, packed)
    code = "import sys, pathlib, headrace.operations.served_app as app; sys.exit(app.serve_packed(pathlib.Path('packed')))"
    held = HeldPort()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "HOST": "127.0.0.1", "PORT": str(held.number)},
    )
    answers: list[Mapping[str, str]] = []

    def is_answered() -> bool:
        caller = Caller(held.number)
        try:
            answers.append(caller.post("/score", {"q": "a"}, {"x-user": "u1"})[1])
        except OSError:
            return False
        finally:
            caller.close()
        return True

    try:
        until(is_answered, seconds=60)
    finally:
        process.terminate()
        process.wait(20)
        held.close()
    assert answers[0]["x-headrace-arm"] in {"plain", "loud"}
    found = all_evidence(str(tmp_path / ".headrace" / "headrace.sqlite"))
    assert [item.id for item in found if isinstance(item, Exposure)] == [answers[0]["x-headrace-exposure-id"]]
