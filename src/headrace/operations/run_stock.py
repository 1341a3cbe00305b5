"""Stock prompt flow in another interpreter: started per flow, fed with lines, its answers read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import headrace
from headrace.domain.certificate import Answer
from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, Problem, StateError, UsageError
from headrace.formats.arms import BASELINE
from headrace.formats.connection_file import CONNECTION_TYPES
from headrace.operations.workspace import Workspace

_SCRIPT = Path(__file__).with_name("stock_side.py")
_VERSION = "import importlib.metadata as m; print(m.version('promptflow'))"
_START_LIMIT_S = 60.0
_LINE_LIMIT_S = 600.0
_QUIET = "telemetry:\n  enabled: false\ntrace:\n  destination: none\n"


class Stock:
    """Promptflow as installed for another interpreter; a context manager that keeps its state in a folder of its own.

    Args:
        workspace: For the connections that it is given.
        python: The interpreter.
        serves_baseline: Whether the embedded reader is offered to it, on loopback.

    Raises:
        UsageError: C505 when it cannot be run or has no promptflow.
    """

    def __init__(self, workspace: Workspace, python: Path, *, serves_baseline: bool = False) -> None:
        self._workspace = workspace
        self._python = str(python)
        self._serves_baseline = serves_baseline
        self._stack = ExitStack()
        self._connections: list[dict[str, Any]] = []
        self._home = Path()
        self.version = self._read_version()

    def _read_version(self) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that the user named
                [self._python, "-c", _VERSION],
                env=dict(self._workspace.settings.environment),
                capture_output=True,
                text=True,
                timeout=_START_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(_no_stock(self._python)) from error
        if done.returncode:
            raise UsageError(_no_stock(self._python))
        return done.stdout.strip()

    def __enter__(self) -> Stock:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-stock-"))
        self._home = Path(folder)
        (self._home / "pf.yaml").write_text(_QUIET, encoding="utf-8")
        self._connections = list(self._offered())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._stack.close()

    def answer(self, flow: Path, lines: Sequence[Mapping[str, Any]], repeats: int) -> list[list[Answer]]:
        """Run the lines of one flow in a process of its own.

        Returns:
            Per line one answer per repeat; what the process did not get to is an error that says so.
        """
        if not lines:
            return []
        results = self._home / "results.jsonl"
        results.write_text("", encoding="utf-8")
        job = {
            "flow": str(flow.parent if flow.name.startswith("flow.") else flow),
            "lines": list(lines),
            "repeats": repeats,
            "connections": self._connections,
            "results": str(results),
        }
        ended = self._run(json.dumps(job, default=str), flow.parent, _LINE_LIMIT_S * len(lines) * repeats)
        answers = [[Answer(error=ended)] * repeats for _ in lines]
        for text in results.read_text(encoding="utf-8").splitlines():
            found = json.loads(text)
            answer = Answer(outputs=_named(found.get("outputs")), error=found.get("error"))
            answers[found["line"]][found["repeat"]] = answer
        return answers

    def _run(self, job: str, folder: Path, limit_s: float) -> str:
        """Run the script; what it says of an end before its time."""
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that the user named
                [self._python, str(_SCRIPT)],
                input=job,
                cwd=folder,
                env=self._environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"The process took longer than {limit_s:g} s and was ended."
        last = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        return f"The process ended with code {done.returncode}: {last[0]}"

    def _environment(self) -> dict[str, str]:
        variables = dict(self._workspace.settings.environment)
        return {
            **variables,
            "PF_HOME_DIRECTORY": str(self._home),
            "PF_TRACING_SKIP_LOCAL_SETUP": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _offered(self) -> Iterator[dict[str, Any]]:
        """Every connection of the workspace as keyword arguments of promptflow's class; broken ones are left out."""
        connections, _ = self._workspace.connections.list_connections()
        for connection in connections:
            if connection.type == BASELINE and not self._serves_baseline:
                continue
            try:
                yield self._fields(connection)
            except DefinitionError:
                continue

    def _fields(self, connection: Connection) -> dict[str, Any]:
        if connection.type == BASELINE:
            url = self._serve_baseline()
            return {
                "class": "OpenAIConnection",
                "name": connection.name,
                "api_key": "unused",
                "base_url": url,
            }
        values = {
            name: value
            for name in connection.secrets
            if (value := self._workspace.connections.secret(connection, name)) is not None
        }
        fields: dict[str, Any] = {
            "class": CONNECTION_TYPES[connection.type].class_name,
            "name": connection.name,
        }
        if connection.type == "custom":
            return {**fields, "configs": dict(connection.configs), "secrets": values}
        return {**fields, **connection.configs, **values}

    def _serve_baseline(self) -> str:
        """The address at which the embedded reader answers as long as this block lasts."""
        command = [sys.executable, "-P", "-m", "headrace", "model", "serve", "--port", "0"]
        own = str(Path(headrace.__file__).parents[1])
        environment = {**self._workspace.settings.environment, "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (own, environment.get("PYTHONPATH"))))
        server = subprocess.Popen(  # noqa: S603 - our own module
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self._stack.enter_context(server)
        self._stack.callback(server.terminate)
        for line in server.stdout or ():
            if "base_url:" in line:
                return line.split()[-1]
        what = "The embedded reader could not be served to promptflow."
        fix = 'Install what it needs: pip install "headrace[serve]".'
        raise StateError(Problem(code="C505", what=what, fix=fix))


def _named(outputs: Any) -> Mapping[str, Any] | None:
    """Outputs by name; a flex flow's or prompty's bare result is called ``output``, as in its files."""
    return outputs if outputs is None or isinstance(outputs, dict) else {"output": outputs}


def _no_stock(python: str) -> Problem:
    return Problem(
        code="C505",
        what=f"{python} is not an interpreter with promptflow.",
        fix="Make one: python3 -m venv stock && stock/bin/pip install promptflow==1.18.5 promptflow-tools==1.6.1, "
        "then --python stock/bin/python.",
    )
