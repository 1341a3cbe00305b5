"""Files that pages show, read by the product's own readers, so that a misspelled key is found."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.documented import ROOT

from headrace.errors import DefinitionError
from headrace.formats.chain import load_chain
from headrace.formats.connection_file import load_connection
from headrace.formats.deployment import read_deployment
from headrace.formats.experiment import load_experiment
from headrace.formats.flow_file import read_flow
from headrace.formats.positions import read_yaml
from headrace.formats.run_file import read_run_file
from headrace.formats.scenario import read_scenario
from headrace.formats.template import load_template
from headrace.formats.traffic import read_traffic
from headrace.providers.loading import load_by_name

_OWN = re.compile(r"OWNER/headrace/(\S+)@")
"""What pages take from this repository in workflows of other ones."""


def laid_over(path: Path, text: str, key: str) -> Any:
    """A file with a part of it laid over: keys are replaced, a list goes to the end of the list ``key``.

    Args:
        path: The whole file.
        text: The part, YAML.
        key: A key of the file; empty for a part that is a mapping.
    """
    whole, _, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
    part, _, _ = read_yaml(text, str(path))
    if not key:
        return {**whole, **part}
    return {**whole, key: [*whole.get(key, []), *part]}


def _read_flow(path: Path, environment: Mapping[str, str]) -> None:
    flow, problems = read_flow(path, environment=environment)
    if flow is None or problems:
        raise DefinitionError(*problems)


def _read_steps(path: Path, environment: Mapping[str, str]) -> None:
    """Steps of a job, in a workflow of their own."""
    steps, _, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
    job = {"runs-on": "ubuntu-latest", "steps": steps}
    path.write_text(json.dumps({"on": "push", "jobs": {"job": job}}, indent=1), encoding="utf-8")
    _read_workflow(path, environment)


def _read_workflow(path: Path, environment: Mapping[str, str]) -> None:
    """A workflow of GitHub, linted; what it takes from this repository is there and is given what it takes."""
    del environment
    linter = str(Path(sysconfig.get_path("scripts")) / "jactionlint")
    words = (
        linter,
        "--shellcheck=",
        "--pyflakes=",
        "--no-color",
        "--oneline",
        "--profile",
        "correctness",
        str(path),
    )
    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout
    workflow, _, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
    for job in workflow["jobs"].values():
        for user in (job, *job.get("steps", ())):
            if found := _OWN.match(user.get("uses", "")):
                taken, _, _ = read_yaml(_own_file(found[1]).read_text(encoding="utf-8"), found[1])
                inputs = taken["inputs"] if "inputs" in taken else taken["on"]["workflow_call"]["inputs"]
                assert set(user.get("with", ())) <= set(inputs), user["uses"]


def _own_file(path: str) -> Path:
    file = ROOT / path
    return file / "action.yml" if file.is_dir() else file


def _read_file(path: Path, environment: Mapping[str, str]) -> None:
    del environment
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        compile(text, str(path), "exec")
    elif path.suffix == ".jinja2":
        load_template(text, str(path))
    else:
        read_yaml(text, str(path))


def _read_environment(path: Path, environment: Mapping[str, str]) -> None:
    del environment
    try:
        load_by_name("azure.ai.ml:load_environment")(path)
    except load_by_name("marshmallow:ValidationError") as error:
        raise AssertionError(str(error)) from error


def _read_run(path: Path, environment: Mapping[str, str]) -> None:
    warnings = read_run_file(path, environment).warnings
    assert not warnings, warnings


def _read_overlay(path: Path, environment: Mapping[str, str]) -> None:
    """The file of an experiment or a deployment with what is laid over it."""
    name, _, laid = path.stem.partition(".")
    file = path.with_name(f"{name}{path.suffix}")
    if name == "deployment":
        read_deployment(file, laid, environment)
    else:
        load_experiment(file, laid)


KINDS: Mapping[str, Callable[[Path, Mapping[str, str]], object]] = {
    "chain": lambda path, _: load_chain(path),
    "connection": lambda path, _: load_connection(path),
    "deployment": lambda path, environment: read_deployment(path, None, environment),
    "environment": _read_environment,
    "experiment": lambda path, _: load_experiment(path),
    "file": _read_file,
    "flow": _read_flow,
    "overlay": _read_overlay,
    "run": _read_run,
    "scenario": lambda path, _: read_scenario(path, read_traffic(Path("flows/triage/traffic.yaml"))),
    "steps": _read_steps,
    "tests": _read_file,
    "workflow": _read_workflow,
    "traffic": lambda path, _: read_traffic(path),
}
"""What a block can be, with what reads it in an environment; ``file`` is read by the commands that follow."""
