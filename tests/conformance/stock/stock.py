"""Stock promptflow in a virtual environment of its own, with a home of its own and its telemetry off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.stock.cases import ROOT, BatchCase, Case, data_path


class Stock:
    """Runs ``pf`` for cases, in a project folder, against a model at ``base_url``."""

    def __init__(self, environment: Path, project: Path, base_url: str) -> None:
        self._pf = environment.resolve() / "bin" / "pf"
        self._project = project
        home = project / "home"
        home.mkdir()
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PF_", "PROMPTFLOW_"))
            },
            "HOME": str(home),
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
            "PF_DISABLE_TRACING": "true",
            "PF_TRACING_SKIP_LOCAL_SETUP": "true",
        }
        self._run("config", "set", "telemetry.enabled=false", "trace.destination=none")
        connection = project / "connection.yaml"
        connection.write_text(f"name: baseline\ntype: open_ai\napi_key: unused\nbase_url: {base_url}\n")
        self._run("connection", "create", "--file", str(connection))

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [str(self._pf), *words],
            env=self._environment,
            cwd=self._project,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            message = f"pf {' '.join(words)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise AssertionError(message)
        return done.stdout

    def test(self, case: Case) -> Any:
        """Outputs of one ``pf flow test``, read from the file that it writes."""
        words = ["flow", "test", "--flow", case.flow]
        if case.inputs:
            given = self._project / f"{case.name}.inputs.json"
            given.write_text(json.dumps(dict(case.inputs)), encoding="utf-8")
            words += ["--inputs", str(given)]
        stem = "flow"
        if case.variant:
            words += ["--variant", case.variant]
            stem = "flow-" + case.variant[2:-1].replace(".", "-")
        self._run(*words)
        place = self._project / case.flow
        records = place / ".promptflow"
        if place.suffix == ".prompty":
            records = place.parent / ".promptflow" / place.stem
        return json.loads((records / f"{stem}.output.json").read_text(encoding="utf-8"))

    def batch(self, case: BatchCase) -> dict[str, Any]:
        """Outputs by line of the run and of its evaluation, and the evaluation's metrics."""
        data = str(data_path(self._project, case))
        base, judged = f"{case.name}_base", f"{case.name}_judged"
        mapping = [f"{name}={text}" for name, text in case.column_mapping.items()]
        self._run(
            "run", "create", "--flow", case.flow, "--data", data, "--name", base, "--column-mapping", *mapping
        )
        mapping = [f"{name}={text}" for name, text in case.evaluation_mapping.items()]
        self._run("run", "create", "--flow", case.evaluation, "--data", data, "--run", base, "--name", judged,
                  "--column-mapping", *mapping)  # fmt: skip
        metrics = self._runs / judged / "metrics.json"
        return {
            "outputs": self._outputs(base),
            "scores": self._outputs(judged),
            "metrics": json.loads(metrics.read_text(encoding="utf-8")),
        }

    @property
    def _runs(self) -> Path:
        return self._project / "home" / ".promptflow" / ".runs"

    def _outputs(self, run: str) -> list[Any]:
        text = (self._runs / run / "flow_outputs" / "output.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def baseline_server() -> Iterator[str]:
    """``headrace model serve`` on a free port; yields the base URL."""
    command = [sys.executable, "-m", "headrace", "model", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            yield _base_url(server)
        finally:
            server.terminate()


def _base_url(server: subprocess.Popen[str]) -> str:
    for line in server.stdout or ():
        if "base_url:" in line:
            return line.split()[-1]
    message = "headrace model serve did not start"
    raise AssertionError(message)
