"""Cases under stock promptflow, through the driver, with a home of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conformance.promptflow.case import Case, Step, filled
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
        words = tuple(filled(word, url) for word in step.words)
        code = self._drive(replace(step, words=words), folder, environment)
        printed = self._output.read_text(encoding="utf-8", errors="replace")
        result: dict[str, Any] = {"succeeded": code == 0}
        if code:
            result[INFORMATION] = find_error(printed)
        elif step.kind == "test":
            result["outputs"] = self._test_outputs(folder, printed)
        elif step.kind == "chat":
            result.update(
                read_chat(printed), outputs=_read_json(next(folder.rglob("chat.output.json")), None)
            )
        elif step.kind == "python":
            result["outputs"] = json.loads(printed.rstrip().splitlines()[-1])
        elif step.kind == "show":
            result["shown"] = drop_incidental(_printed_json(printed))
        elif step.kind == "run":
            name = step.option("--name") or step.option("-n") or ""
            result.update(self._run_results(name, _printed_json(printed) or {}))
        return result

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
        rows = output.read_text(encoding="utf-8").splitlines() if output.exists() else []
        errors = _read_json(folder / "error.json", {})
        result: dict[str, Any] = {
            "rows": sorted((json.loads(row) for row in rows), key=lambda row: row["line_number"]),
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
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        code: int = json.loads(self._driver.stdout.readline())["code"]
        return code


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
