"""Cases under headrace: command lines in this process, scripts in one of their own."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from headrace.cli.main import run_command_line
from headrace.config import load_settings
from headrace.domain.run import COMPLETED, LineResult
from headrace.operations.workspace import open_workspace
from tests.conformance.promptflow.case import Ask, Case, Step, filled
from tests.conformance.promptflow.results import (
    drop_incidental,
    make_places,
    normalise,
    read_chat,
    requests_to_json,
    show_images,
)
from tests.conformance.promptflow.served import ask_all, serve_words, wait_until_served
from tests.conformance.promptflow.written import look_at_files
from tests.support.commands import ListeningSession
from tests.support.ports import held_port
from tests.support.tool_nodes import serving_names

SOURCES = Path(__file__).parents[3] / "src"


class WrittenSession(ListeningSession):
    """A session that keeps the last result that a command wrote."""

    written: Any = None

    def write(self, text: str) -> None:
        self.written = text
        super().write(text)

    def write_json(self, data: Any) -> None:
        self.written = json.loads(json.dumps(data, default=str))
        super().write_json(data)


def run_case(case: Case, folder: Path) -> list[dict[str, Any]]:
    """Run every step in an empty folder; a result also has the ``problems`` that were shown, as codes."""
    project, home = folder / "project", folder / "home"
    project.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(case.serve_model())
        case.write_files(project, server.url)
        environment = {name: filled(text, server.url) for name, text in case.environment.items()}
        variables = {"HOME": str(home), "PATH": os.environ["PATH"], **environment}
        for path in case.write_connections(folder / "connections", server.url):
            with _this_process(project, variables):
                words = ["connection", "create", "--file", str(path), "--user"]
                assert run_command_line(words, ListeningSession(project, variables)) == 0
        results = []
        for step in case.steps:
            n_before = len(server.requests)
            result = _run_step(step, project, variables, server.url)
            result["requests"] = requests_to_json(server.requests[n_before:])
            results.append(result)
        results = show_images(results, (project, home))
        normal: list[dict[str, Any]] = normalise(results, make_places(project, home, server.url))
    return normal


def _run_step(step: Step, project: Path, variables: Mapping[str, str], url: str) -> dict[str, Any]:
    if step.script is not None:
        return _run_script(step.script, project, variables)
    if step.kind == "files":
        return {"succeeded": True, "problems": [], **look_at_files(step, project)}
    if step.asks is not None:
        return _serve(step, step.asks, project, variables)
    with _this_process(project, variables):
        session = WrittenSession(project, variables)
        with _typed(step.says) as printed:
            code = run_command_line([filled(word, url) for word in step.words], session)
        # Generators that a tool left open end here, not in another test.
        gc.collect(1)  # of what is young: all that thousands of tests keep is looked through in seconds
    result: dict[str, Any] = {
        "succeeded": code == 0,
        "problems": [problem.code for problem in session.problems] + _written_codes(session.written),
    }
    if step.kind == "run":
        made = session.written is not None
        result.update(_run_results(step, project, variables) if made else {"succeeded": False})
    elif step.kind == "test" and code == 0:
        # A flex flow or prompty shows its bare result; what stock writes to the file has a name.
        is_bare = not isinstance(session.written, dict) and step.option("--node") is None
        result["outputs"] = {"output": session.written} if is_bare else session.written
    elif step.kind == "chat" and code == 0:
        written = next(project.rglob("chat.output.json"))
        result.update(read_chat(printed.getvalue()), outputs=json.loads(written.read_text(encoding="utf-8")))
    elif step.kind == "show" and code == 0:
        result["shown"] = drop_incidental(session.written)
    elif step.kind == "chain" and session.written is not None:
        result.update(succeeded=True, chain=_chain_rows(session.written, project, variables))
    return result


def _written_codes(written: Any) -> list[str]:
    """The problems that a command lists in what it prints, as ``validate`` does."""
    return [error["code"] for error in written.get("errors", ())] if isinstance(written, dict) else []


def _run_results(step: Step, project: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The run as it is recorded; lines that failed do not make it fail, as with stock."""
    name = step.option("--name") or step.option("-n") or ""
    with open_workspace(load_settings(variables), project) as workspace:
        run = workspace.store.read_run(name)
        lines = list(workspace.store.read_lines(name))
    return {
        "succeeded": run.status == COMPLETED,
        "rows": _rows(lines),
        "failed_lines": [line.line_number for line in lines if line.status != COMPLETED],
        "metrics": dict(run.metrics),
        "failed_nodes": sorted(node.node for node in run.aggregation if node.problem is not None),
    }


def _chain_rows(shown: Mapping[str, Any], project: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The rows of every flow of an experiment that has run, by node."""
    names = {node: runs[-1]["name"] for node, runs in shown["node_runs"].items()}
    with open_workspace(load_settings(variables), project) as workspace:
        return {node: _rows(workspace.store.read_lines(name)) for node, name in names.items()}


def _rows(lines: Iterable[LineResult]) -> list[dict[str, Any]]:
    """The outputs of the lines that are done."""
    return [{"line_number": line.line_number, **line.outputs} for line in lines if line.status == COMPLETED]


def _serve(step: Step, asks: Iterable[Ask], project: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Start a server in a process of its own, ask it, and end it."""
    with (
        held_port() as port,
        subprocess.Popen(
            [sys.executable, "-m", "headrace", *serve_words(step, port)],
            cwd=project,
            env=_child_environment(variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            is_served = wait_until_served(port, lambda: process.poll() is None)
            answers = ask_all(port, asks) if is_served else []
        finally:
            process.terminate()
        _, said = process.communicate(timeout=30)
    if is_served:
        return {"succeeded": True, "problems": [], "answers": answers}
    return {"succeeded": False, "problems": re.findall(r"\b[A-Z]\d{3}\b", said)}


def _child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that runs headrace from here."""
    return {
        **variables,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SOURCES), variables.get("PYTHONPATH")))),
    }


def _run_script(script: str, project: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "headrace.compat", script],
        cwd=project,
        env=_child_environment(variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    result: dict[str, Any] = {"succeeded": done.returncode == 0, "problems": []}
    if done.returncode == 0:
        result["outputs"] = json.loads(done.stdout.rstrip().splitlines()[-1])
    else:
        result["problems"] = [done.stderr]
    return result


@contextmanager
def _typed(says: str | None) -> Iterator[io.StringIO]:
    """Standard input with what a person types into a chat, and what the chat prints."""
    printed = io.StringIO()
    if says is None:
        yield printed
        return
    before, sys.stdin = sys.stdin, io.StringIO(says)
    try:
        with redirect_stdout(printed):
            yield printed
    finally:
        sys.stdin = before


@contextmanager
def _this_process(project: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """This process as a new one would be: in a folder, with an environment, with no module of the project."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        with chdir(project), serving_names(project.parent):
            added = variables.get("PYTHONPATH")
            sys.path[:0] = [str(project / path) for path in added.split(os.pathsep)] if added else []
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
