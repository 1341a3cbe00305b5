"""Applying that is killed at given steps, and given again."""

import subprocess
import sys
from pathlib import Path

from tests.support.deploying import MEMORY
from tests.support.reference_docs import ROOT
from tests.support.scoring_server import scoring_server

from headrace.deploy.memory import FILE, change_memory, read_memory

PROGRAM = f"""
import sys
from headrace.deploy import base
base.TARGETS = {{"local": {MEMORY!r}}}
from headrace.cli.main import main
main(sys.argv[1:])
"""
FLOW = """\
inputs: {text: {type: string, default: hello}}
outputs: {out: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {text: "${inputs.text}"}}
"""
ACTIONS = ("create endpoint", "prepare", "create deployment", "move traffic", "set scale")
"""Steps of the plan that is applied."""
KILLED = -9


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT / "src"), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def complete_killed(folder: Path, faults: list[tuple[str, str]]) -> None:
    """Apply once for each fault, an action and when the process dies, then once more, which completes it."""
    (folder / "flow").mkdir()
    (folder / "flow/flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (folder / "flow/say.jinja2").write_text("{{text}}", encoding="utf-8")
    (folder / "deployment.yaml").write_text(
        "name: said\ntarget: local\nflow: flow\nscale: {min: 1, max: 2}\n", encoding="utf-8"
    )
    file = folder / ".headrace/deploy" / FILE
    with scoring_server() as server:
        change_memory(
            file,
            lambda memory: memory.update(
                url=server.url, faults=[{"action": action, "kind": kind} for action, kind in faults]
            ),
        )
        killed = [run(folder, "deploy", "apply", "--allow", "dirty") for _ in faults]
        again = run(folder, "deploy", "apply", "--allow", "dirty")

        assert [done.returncode for done in killed] == [KILLED] * len(faults), killed[0].stderr
        assert again.returncode == 0, again.stderr
        state = read_memory(file)
        assert state.traffic == {"blue": 100}
        assert state.deployments[0].health == "healthy"
        assert server.asked
        assert run(folder, "deploy", "plan", "--exit-code").returncode == 0
