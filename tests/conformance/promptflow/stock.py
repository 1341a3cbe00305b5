"""Cases under stock promptflow, through the driver, with a home of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conformance.promptflow.case import Ask, Case, Step, filled
from tests.conformance.promptflow.results import (
    INFORMATION,
    drop_incidental,
    find_error,
    make_places,
    normalise,
    read_chat,
    requests_to_json,
    show_images,
)
from tests.conformance.promptflow.served import ask_all, serve_words, wait_until_served
from tests.conformance.promptflow.written import look_at_files
from tests.support.ports import held_port

DRIVER = Path(__file__).parent / "driver.py"


class Stock:
    """Stock promptflow in a virtual environment. A context manager.

    Args:
        environment: The virtual environment.
        folder: Where everything is kept; it must be empty.
        forks: Whether the workers of runs are forked; see ``driver``.
    """

    def __init__(self, environment: Path, folder: Path, *, forks: bool = True) -> None:
        self._home = folder / "home"
        self._fresh_home = folder / "fresh_home"
        self._cases = folder / "cases"
        self._output = folder / "output.txt"
        self._forks = forks
        for path in (self._home, self._cases):
            path.mkdir(parents=True)
        # No activation of the environment and no PYTHONPATH: nothing of this repository is importable for stock.
        variables = {
            "HOME": str(self._home),
            "PATH": f"{environment.resolve() / 'bin'}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
            "PF_TRACING_SKIP_LOCAL_SETUP": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._driver = subprocess.Popen(
            [str(environment.resolve() / "bin" / "python"), str(DRIVER)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Stock:
        self._must_run(Step(words=("config", "set", "telemetry.enabled=false", "trace.destination=none")))
        self._must_run(Step(words=("connection", "list")))
        shutil.copytree(self._home, self._fresh_home)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._driver.stdin:
            self._driver.stdin.close()
        self._driver.wait(30)
        if self._driver.stdout:
            self._driver.stdout.close()

    def run_case(self, case: Case) -> dict[str, Any]:
        """Run every step and return the recording."""
        shutil.rmtree(self._home)
        shutil.copytree(self._fresh_home, self._home)
        folder = self._cases / case.section / case.name
        shutil.rmtree(folder, ignore_errors=True)
        with case.serve_model() as server:
            case.write_files(folder, server.url)
            folder.mkdir(parents=True, exist_ok=True)
            for path in case.write_connections(self._home / "connections", server.url):
                self._must_run(Step(words=("connection", "create", "--file", str(path))))
            environment = {name: filled(text, server.url) for name, text in case.environment.items()}
            results = []
            for step in case.steps:
                n_before = len(server.requests)
                result = self._run_step(step, folder, environment, server.url)
                result["requests"] = requests_to_json(server.requests[n_before:])
                results.append(result)
            places = make_places(folder, self._home, server.url)
        results = show_images(results, (folder, self._home))
        return {"steps": normalise(results, places)}

    def _run_step(self, step: Step, folder: Path, environment: Mapping[str, str], url: str) -> dict[str, Any]:
        for path in _output_files(folder):
            path.unlink()
        if step.kind == "files":
            return {"succeeded": True, **look_at_files(step, folder)}
        if step.asks is not None:
            return self._serve(step, step.asks, folder, environment)
        words = tuple(filled(word, url) for word in step.words)
        code = self._drive(replace(step, words=words), folder, environment)
        printed = self._output.read_text(encoding="utf-8", errors="replace")
        if code:
            return {"succeeded": False, INFORMATION: find_error(printed)}
        return {"succeeded": True, **self._compared(step, folder, printed)}

    def _compared(self, step: Step, folder: Path, printed: str) -> dict[str, Any]:
        """What of a step that succeeded is compared, beside its requests; of a run also whether it succeeded."""
        match step.kind:
            case "test":
                return {"outputs": self._test_outputs(folder, printed)}
            case "chat":
                outputs = _read_json(next(folder.rglob("chat.output.json")), None)
                return {**read_chat(printed), "outputs": outputs}
            case "python":
                return {"outputs": json.loads(printed.rstrip().splitlines()[-1])}
            case "show":
                return {"shown": drop_incidental(_printed_json(printed))}
            case "run":
                name = step.option("--name") or step.option("-n") or ""
                return self._run_results(name, _printed_json(printed) or {})
            case "chain":
                return {"chain": self._chain_rows(_printed_json(printed) or {})}
        return {}

    def _serve(
        self, step: Step, asks: tuple[Ask, ...], folder: Path, environment: Mapping[str, str]
    ) -> dict[str, Any]:
        """Start a server, ask it, and end it."""
        with held_port() as port:
            pid = self._begin(replace(step, words=serve_words(step, port)), folder, environment)
            try:
                if wait_until_served(port, lambda: _is_running(pid)):
                    return {"succeeded": True, "answers": ask_all(port, asks)}
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._end()
        printed = self._output.read_text(encoding="utf-8", errors="replace")
        return {"succeeded": False, INFORMATION: find_error(printed)}

    def _chain_rows(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """The rows of every flow of an experiment that has run, by node."""
        runs = self._home / ".promptflow" / ".exps" / str(shown.get("name")) / "runs"
        return {
            output.relative_to(runs).parts[0]: _read_rows(output)
            for output in sorted(runs.glob("*/*/flow_outputs/output.jsonl"))
        }

    def _test_outputs(self, folder: Path, printed: str) -> Any:
        """The outputs as stock writes them to a file beside the flow, else as it prints them."""
        written = _output_files(folder)
        if len(written) == 1:
            outputs = json.loads(written[0].read_text(encoding="utf-8"))
            return {} if outputs == {"line_number": 0} else outputs  # what it writes for {}, which it prints
        try:
            return json.loads(printed[printed.index("\n{") + 1 if "\n{" in printed else 0 :])
        except ValueError:
            return printed.rstrip("\n").rpartition("INFO")[2]

    def _run_results(self, name: str, shown: Mapping[str, Any]) -> dict[str, Any]:
        if shown.get("status") != "Completed":  # stock exits with 0
            return {"succeeded": False, INFORMATION: str(shown.get("error", {}).get("message"))[:300]}
        folder = self._home / ".promptflow" / ".runs" / name
        output = folder / "flow_outputs" / "output.jsonl"
        errors = _read_json(folder / "error.json", {})
        result: dict[str, Any] = {
            "rows": _read_rows(output),
            "failed_lines": sorted({int(number) for number in _find_all(errors, "line_number")}),
            "metrics": _read_json(folder / "metrics.json", {}),
            "failed_nodes": sorted(set(_find_all(errors, "aggregation_node_name"))),
        }
        if errors:
            result[INFORMATION] = str(errors.get("message"))[:300]
        return result

    def _must_run(self, step: Step) -> None:
        if self._drive(step, self._home, {}):
            message = f"pf {' '.join(step.words)} failed:\n{self._output.read_text()[-3000:]}"
            raise AssertionError(message)

    def _drive(self, step: Step, folder: Path, environment: Mapping[str, str]) -> int:
        self._begin(step, folder, environment)
        return self._end()

    def _begin(self, step: Step, folder: Path, environment: Mapping[str, str]) -> int:
        """Start a step and return the id of its process."""
        request = {
            "words": step.words,
            "script": step.script,
            "says": step.says,
            "folder": str(folder),
            "environment": dict(environment),
            "output": str(self._output),
            "forks": self._forks,
        }
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        return self._read_answer("pid")

    def _end(self) -> int:
        """Wait until the step that was begun has ended and return its exit code."""
        return self._read_answer("code")

    def _read_answer(self, key: str) -> int:
        assert self._driver.stdout is not None
        number: int = json.loads(self._driver.stdout.readline())[key]
        return number


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _printed_json(printed: str) -> Any:
    """The first JSON document that begins a line; ``None`` where there is none."""
    for found in re.finditer(r"^[{\[]", printed, re.MULTILINE):
        with suppress(ValueError):
            return json.JSONDecoder().raw_decode(printed, found.start())[0]
    return None


def _output_files(folder: Path) -> list[Path]:
    """The outputs of a test; those of a prompty are in a folder of its own."""
    found = (*folder.rglob(".promptflow/*.output.json"), *folder.rglob(".promptflow/*/flow.output.json"))
    return sorted(found)


def _read_rows(path: Path) -> list[Any]:
    """The lines of a run's output in their order; none where it wrote none."""
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sorted((json.loads(row) for row in rows), key=lambda row: row["line_number"])


def _read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def _find_all(data: Any, key: str) -> list[Any]:
    """The values of a key anywhere in ``data``."""
    if isinstance(data, list):
        return [value for item in data for value in _find_all(item, key)]
    if not isinstance(data, Mapping):
        return []
    own = [data[key]] if key in data else []
    return own + [value for item in data.values() for value in _find_all(item, key)]
