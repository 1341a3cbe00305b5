"""What a command imports: the plain path must start in a blink."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("openai", "aiohttp", "httpx2", "opentelemetry", "rich", "numpy", "azure", "starlette", "sqlite3")
FLOW = """\
inputs: {text: {type: string, default: word}}
outputs: {r: {type: string, reference: "${shout.output}"}}
nodes:
- name: render
  type: prompt
  source: {type: code, path: render.jinja2}
  inputs: {text: "${inputs.text}"}
- name: shout
  type: python
  source: {type: code, path: shout.py}
  inputs: {text: "${render.output}"}
"""
SHOUT = """\
def shout(text: str) -> str:
    return text.upper()
"""
PROGRAM = """\
import json, sys
from headrace.cli.main import run_command_line
code = run_command_line(json.loads(sys.argv[1]))
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "also_absent"),
    [
        (["--help"], ("asyncio", "yaml", "jinja2")),
        (["flow", "test", "--help"], ("jinja2",)),
        (["flow", "test", "--flow", "."], ()),
        (["flow", "validate", "--source", "."], ()),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(command: list[str], also_absent: tuple[str, ...], tmp_path: Path) -> None:
    tmp_path.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    tmp_path.joinpath("render.jinja2").write_text("{{text}}", "utf-8")
    tmp_path.joinpath("shout.py").write_text(f"from promptflow.core import tool\n\n\n@tool\n{SHOUT}", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    code, imported = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert set(imported) & {*HEAVY, *also_absent} == set()


IMPORTING = """\
import time
import headrace.cli.commands.flow_test, headrace.compat, headrace.tools.python
headrace.compat.install()
began = time.process_time()
import promptflow.core
from promptflow.core import log_metric, tool
print((time.process_time() - began) * 1e3)
"""


def test_importing_promptflow_core_costs_less_than_thirty_milliseconds() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 30
