"""Runs the jobs of a workflow here: every script as a runner of GitHub would, in a checkout of its own.

What is a ``run`` is run, with bash and with the files that scripts write into. Of what is a ``uses``, our own actions and reusable
workflows are run likewise, artifacts are handed from job to job, a checkout is a copy of the project, and the others
(:data:`RECORDED`) are only recorded. Anything else is refused.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.support.workflow_expressions import NotKnownError, fill, holds

OWN = "$/"
RECORDED = ("actions/setup-python", "actions/attest", "azure/login", "Azure/setup-azd")
"""Actions that set a machine up or speak with a service; what they are given is recorded."""

STEP_KEYS = {"name", "id", "if", "env", "run", "shell", "uses", "with"}


@dataclass(frozen=True)
class Ran:
    """A step that was run, or an action that was used.

    Attributes:
        place: File, job and name of the step.
        script: What was run; empty for an action.
        given: ``with`` of an action.
    """

    place: tuple[str, str, str]
    code: int
    out: str
    script: str = ""
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Job:
    """A job that has ended: ``success``, ``failure`` or ``skipped``."""

    result: str
    ran: list[Ran] = field(default_factory=list)
    summary: str = ""

    def step(self, name: str) -> Ran:
        """The last step of that name that ran."""
        return next(ran for ran in reversed(self.ran) if ran.place[2] == name)

    @property
    def names(self) -> list[str]:
        """Names of the scripts that ran, in order."""
        return [ran.place[2] for ran in self.ran if ran.script]


@dataclass
class Runner:
    """Runs jobs of the workflows below ``github``.

    Attributes:
        github: The folder ``.github``.
        project: What a checkout copies.
        folder: For checkouts, artifacts and files of scripts.
        environment: Variables of every script.
        contexts: ``github``, ``vars``, ``secrets`` and so on.
        artifacts: What jobs have handed on, by name.
        before: Called before each script with its place; a test changes the world there.
    """

    github: Path
    project: Path
    folder: Path
    environment: Mapping[str, str]
    contexts: Mapping[str, Any]
    artifacts: dict[str, Path] = field(default_factory=dict)
    before: Callable[[tuple[str, str, str]], None] = lambda _: None
    _n_jobs: int = 0

    def run(
        self,
        file: str,
        *names: str,
        contexts: Mapping[str, Any] | None = None,
        results: Mapping[str, str] | None = None,
    ) -> dict[str, Job]:
        """Run jobs of a workflow in the order in which they are named.

        Args:
            file: Name of the workflow.
            names: Jobs; without any, all of them in the order of the file.
            contexts: What differs from those of the runner.
            results: Of jobs that were not run here, but are needed.
        """
        workflow = yaml.safe_load((self.github / "workflows" / file).read_text(encoding="utf-8"))
        done: dict[str, Job] = {name: Job(result) for name, result in (results or {}).items()}
        for name in names or workflow["jobs"]:
            job = workflow["jobs"][name]
            needs = job.get("needs", [])
            needed = {
                item: {"result": done[item].result} for item in ([needs] if isinstance(needs, str) else needs)
            }
            known = {**self.contexts, **(contexts or {}), "needs": needed}
            done[name] = self._run_job(file, name, workflow, job, known)
        return done

    def _run_job(
        self, file: str, name: str, workflow: Mapping[str, Any], job: Mapping[str, Any], known: dict[str, Any]
    ) -> Job:
        results = [item["result"] for item in known["needs"].values()]
        states = _states(is_good=all(result == "success" for result in results), is_bad="failure" in results)
        if not holds(str(job.get("if", "success()")), known, states):
            return Job("skipped")
        if "uses" in job:
            return self._call(job, known)
        self._n_jobs += 1
        workspace = self.folder / f"{self._n_jobs}-{name}"
        workspace.mkdir(parents=True)
        states = _states()
        env: dict[str, str] = {}
        for block in (workflow.get("env", {}), job.get("env", {})):
            env |= {key: fill(str(value), {**known, "env": env}, states) for key, value in block.items()}
        running = _Running(self, (file, name), workspace, {**known, "steps": {}}, env)
        running.run(job["steps"])
        return Job("failure" if running.has_failed else "success", running.ran, running.summary())

    def _call(self, job: Mapping[str, Any], known: Mapping[str, Any]) -> Job:
        inputs = {key: fill(str(value), known, _states()) for key, value in job.get("with", {}).items()}
        called = job["uses"].removeprefix(f"{OWN}.github/workflows/")
        jobs = self.run(called, contexts={**known, "inputs": inputs})
        ran = [step for item in jobs.values() for step in item.ran]
        return Job("failure" if any(item.result == "failure" for item in jobs.values()) else "success", ran)


def _states(*, is_good: bool = True, is_bad: bool = False) -> dict[str, bool]:
    return {"success": is_good, "failure": is_bad, "cancelled": False, "always": True}


@dataclass
class _Running:
    runner: Runner
    place: tuple[str, str]
    workspace: Path
    contexts: dict[str, Any]
    env: dict[str, str]
    ran: list[Ran] = field(default_factory=list)
    has_failed: bool = False

    def run(self, steps: list[Mapping[str, Any]], path: Path | None = None) -> None:
        """Run steps of a job, or those of an action of ours that lies at ``path``."""
        for step in steps:
            unknown = step.keys() - STEP_KEYS
            if unknown:
                raise NotKnownError(f"a step of {self.place} has {', '.join(sorted(unknown))}")
            self._step(step, path)

    def summary(self) -> str:
        file = self.workspace.with_suffix(".summary")
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def _step(self, step: Mapping[str, Any], path: Path | None) -> None:
        states = _states(is_good=not self.has_failed, is_bad=self.has_failed)
        known = {**self.contexts, "env": self.env}
        if path is not None:
            known["github"] = {**known["github"], "action_path": str(path)}
        code = None
        if holds(str(step.get("if", "success()")), known, states):
            env = {key: fill(str(value), known, states) for key, value in step.get("env", {}).items()}
            given = {key: fill(str(value), known, states) for key, value in step.get("with", {}).items()}
            code = (
                self._run_script(step, {**self.env, **env})
                if "run" in step
                else self._use(step["uses"], given)
            )
            self.has_failed = self.has_failed or code != 0
        if "id" in step:
            outcome = {None: "skipped", 0: "success"}.get(code, "failure")
            self.contexts["steps"][step["id"]] = {"outcome": outcome, "outputs": self._outputs()}

    def _outputs(self) -> dict[str, str]:
        """What the step has written for later ones, each ``name=value`` in a line of its own; it is gone then."""
        file = self.workspace.with_suffix(".output")
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return dict(line.split("=", 1) for line in lines)

    def _run_script(self, step: Mapping[str, Any], env: Mapping[str, str]) -> int:
        script = step["run"]
        if "${{" in script:
            raise NotKnownError(f"a script of {self.place} has an expression in it: {script}")
        place = (*self.place, step["name"])
        self.runner.before(place)
        files = {
            f"GITHUB_{name}": str(self.workspace.with_suffix(f".{ending}"))
            for name, ending in (
                ("STEP_SUMMARY", "summary"),
                ("OUTPUT", "output"),
                ("ENV", "env"),
                ("PATH", "path"),
            )
        }
        ended = subprocess.run(
            ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script),
            check=False,
            cwd=self.workspace,
            env={**self.runner.environment, **files, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        self.ran.append(Ran(place, ended.returncode, ended.stdout, script))
        return ended.returncode

    def _use(self, action: str, given: Mapping[str, str]) -> int:
        if action.startswith(OWN):
            return self._use_own(self.runner.github.parent / action.removeprefix(OWN), given)
        name = action.partition("@")[0]
        code = 0
        if name == "actions/checkout":
            shutil.copytree(self.runner.project, self.workspace, dirs_exist_ok=True)
        elif name == "actions/upload-artifact":
            self._upload(given)
        elif name == "actions/download-artifact":
            code = self._download(given)
        elif name not in RECORDED:
            raise NotKnownError(f"{name} is neither run nor recorded")
        self.ran.append(Ran((*self.place, name), code, "", given=given))
        return code

    def _use_own(self, path: Path, given: Mapping[str, str]) -> int:
        action = yaml.safe_load((path / "action.yml").read_text(encoding="utf-8"))
        known = action.get("inputs", {})
        if given.keys() - known.keys():
            raise NotKnownError(f"{path.name} has no input {', '.join(given.keys() - known.keys())}")
        inputs = {name: given.get(name, item.get("default", "")) for name, item in known.items()}
        inner = _Running(
            self.runner,
            (f"actions/{path.name}", ""),
            self.workspace,
            {**self.contexts, "inputs": inputs},
            self.env,
        )
        inner.run(action["runs"]["steps"], path)
        self.ran += inner.ran
        return int(inner.has_failed)

    def _upload(self, given: Mapping[str, str]) -> None:
        target = self.runner.folder / "artifacts" / given["name"]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        paths = given["path"].split()
        for path in paths:
            source = self.workspace / path
            goal = target if len(paths) == 1 else target / path
            if source.is_dir():
                shutil.copytree(source, goal, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy(source, goal)
        self.runner.artifacts[given["name"]] = target

    def _download(self, given: Mapping[str, str]) -> int:
        found = self.runner.artifacts.get(given["name"])
        if found is None:
            return 1
        shutil.copytree(found, self.workspace / given.get("path", "."), dirs_exist_ok=True)
        return 0


def scripts(github: Path) -> Iterator[tuple[str, str, str]]:
    """Places of all scripts of the workflows and actions below a folder ``.github``."""
    for file in sorted((github / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].items():
            yield from ((file.name, name, step["name"]) for step in job.get("steps", []) if "run" in step)
    for file in sorted((github / "actions").glob("*/action.yml")):
        for step in yaml.safe_load(file.read_text(encoding="utf-8"))["runs"]["steps"]:
            if "run" in step:
                yield (f"actions/{file.parent.name}", "", step["name"])
