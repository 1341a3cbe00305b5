"""Rules of our own for workflows and actions of GitHub, beside what linters know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WRITING = {
    "attestations": {"attest"},
    "id-token": {"attest", "evaluate", "plan", "preview", "production", "provision", "staging"},
    "issues": {"tell"},
    "pull-requests": {"comment", "post"},
}
"""Rights to write to the jobs that have a reason for them."""

SIGNING = r"azure/login@|azd auth login"
GUARD = r"head\.repo\.full_name == github\.repository|event_name != 'pull_request'"

LONGEST_SIGNED_IN = 60
"""How long a federated sign-in lasts, minutes."""

ENVIRONMENTS = {
    ("deploy.yml", "plan"): "plan",
    ("deploy.yml", "evaluate"): "${{ vars.HEADRACE_STORE != '' && 'staging' || 'evaluation' }}",
    ("deploy.yml", "staging"): "staging",
    ("deploy.yml", "production"): "production",
    ("evaluate.yml", "evaluate"): "evaluation",
    ("infra.yml", "preview"): "staging-infra",
    ("infra.yml", "provision"): "${{ matrix.environment }}",
}
"""Jobs to the environment whose rules say who may start them."""

AFTER = {
    ("deploy.yml", "build"): "evaluate",
    ("deploy.yml", "staging"): "build",
    ("deploy.yml", "production"): "staging",
    ("infra.yml", "preview"): "lint",
    ("infra.yml", "provision"): "lint",
}
"""Jobs that change something to the one that must have gone well before."""

TOLD = {
    "pull_request.head.repo.full_name",
    "pull_request.number",
    "repository.visibility",
}
"""What is read of an event: nothing that a stranger words."""

NO_SECRET = {"No-Password-5"}
"""Words that stand where a secret would, and let nobody in."""


@cache
def pins() -> dict[str, dict[str, str]]:
    """Actions of others to the commit, and its version, that is used everywhere."""
    path = ROOT / "tests/conformance/workflows/pins.yaml"
    found: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def break_rules(github: Path) -> Iterator[str]:
    """A sentence for each of our own rules that something breaks."""
    for file in sorted(github.rglob("*.yml")):
        text = file.read_text(encoding="utf-8")
        name = file.relative_to(github).as_posix()
        yield from _unpinned(name, text)
        document = yaml.safe_load(text)
        if "jobs" in document:
            yield from _careless(name, document)
            yield from _too_free(name, document)
            yield from _too_soon(name, document)
        yield from _too_trusting(name, text, document)
        if re.search(r"(: |- )[&*]\w", text):
            yield f"{name} has an anchor, which zizmor does not look through."


def _unpinned(name: str, text: str) -> Iterator[str]:
    for action, rest in re.findall(r"uses: ([^\s@]+)(.*)", text):
        pin = pins().get(action)
        if not action.startswith("$/") and (pin is None or rest != f"@{pin['commit']} # {pin['version']}"):
            yield f"{name} uses {action}{rest}, which pins.yaml does not have."


def _careless(name: str, workflow: dict[str, Any]) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield f"{name} does not begin with no permissions."
    if "concurrency" not in workflow:
        yield f"{name} says nothing of concurrency."
    if workflow.get("defaults") != {"run": {"shell": "bash"}} and any(
        "run" in step for step in steps(workflow)
    ):
        yield f"{name} runs scripts without pipefail."
    for title, job in workflow["jobs"].items():
        if "uses" not in job and "timeout-minutes" not in job:
            yield f"{name}, {title} has no limit of time."
        if "permissions" not in job:
            yield f"{name}, {title} does not say its permissions."
    for step in steps(workflow):
        if "run" in step and "name" not in step:
            yield f"{name} has a script without a name: {step['run']}"
        if "${{" in step.get("run", ""):
            yield f"{name} has an expression in a script: {step['run']}"


def _too_free(name: str, workflow: dict[str, Any]) -> Iterator[str]:
    """What lets a job do, or be done with, more than it is for."""
    jobs, triggers = workflow["jobs"], workflow[True]  # "on" is a truth value of YAML
    for title, job in jobs.items():
        rights = job.get("permissions") or {}
        for right in sorted(right for right, level in rights.items() if level == "write"):
            if title not in WRITING.get(right, ()):
                yield f"{name}, {title} may write {right}."
        if "pull-requests" in rights and any(
            "checkout" in step.get("uses", "") for step in job.get("steps", [])
        ):
            yield f"{name}, {title} may write comments and has the files of the pull request."
        if any(one.get("continue-on-error") for one in (job, *job.get("steps", []))):
            yield f"{name}, {title} hides that it failed."
        signing = [
            step
            for step in job.get("steps", [])
            if re.search(SIGNING, f"{step.get('uses')} {step.get('run')}")
        ]
        if signing and "environment" not in job:
            yield f"{name}, {title} signs in without an environment, whose rules say who may."
        guards = (*_conditions(jobs, title), *(step.get("if", "") for step in signing))
        if signing and "pull_request" in triggers and not any(re.search(GUARD, guard) for guard in guards):
            yield f"{name}, {title} signs in for a fork as well."
    changes = "push" in triggers and any("environment" in job for job in jobs.values())
    if (
        changes
        and workflow["concurrency"]["cancel-in-progress"] is not False
        and ("github.event_name == 'pull_request'" not in str(workflow["concurrency"]["cancel-in-progress"]))
    ):
        yield f"{name} is cut off in the middle of a change."


def _too_soon(name: str, workflow: dict[str, Any]) -> Iterator[str]:
    """What starts without whoever has to agree, or before what has to go well."""
    for title, job in workflow["jobs"].items():
        place = (Path(name).name, title)
        if job.get("environment") != ENVIRONMENTS.get(place):
            yield f"{name}, {title} runs in the environment {job.get('environment')}."
        if place in AFTER and job.get("needs") != AFTER[place]:
            yield f"{name}, {title} does not wait for {AFTER[place]} alone."
        if "runs-on" in job and job["runs-on"] != "ubuntu-latest":
            yield f"{name}, {title} runs on {job['runs-on']}, which other jobs may have changed."
        is_signed_in = any(
            re.search(SIGNING, f"{step.get('uses')} {step.get('run')}") for step in job.get("steps", [])
        )
        if is_signed_in and job.get("timeout-minutes", 0) > LONGEST_SIGNED_IN:
            yield f"{name}, {title} may take longer than its sign-in lasts."


def _too_trusting(name: str, text: str, document: dict[str, Any]) -> Iterator[str]:
    """What takes words of strangers, keeps a token or a secret where others read it, or goes on after a failure."""
    for event in re.findall(r"github\.event\.([\w.]+)", text):
        if event not in TOLD:
            yield f"{name} reads {event} of an event, which somebody else words."
    if "github.head_ref" in text:
        yield f"{name} reads the name of a branch, which somebody else words."
    for key, word in re.findall(
        r"^ +([A-Z_]*(?:PASSWORD|SECRET|TOKEN)[A-Z_]*): ([^#\n]+)", text, re.MULTILINE
    ):
        if not word.startswith("${{") and word.strip() not in NO_SECRET:
            yield f"{name} has a secret as text: {key}."
    for step in steps(document):
        yield from _too_trusting_step(name, step)


def _too_trusting_step(name: str, step: dict[str, Any]) -> Iterator[str]:
    given, script = step.get("with", {}), step.get("run", "")
    if "actions/checkout@" in step.get("uses", "") and given != {"persist-credentials": False}:
        yield f"{name} checks out with {given}, and not the commit of the run, without its token."
    if "GITHUB_ENV" in script or "GITHUB_PATH" in script:
        yield f"{name} changes the environment of later steps: {script}"
    for line in script.splitlines():
        if re.match(r"\s*(headrace|azd)\b.*\|\|", line):
            yield f"{name} hides that it failed: {line.strip()}"


def _conditions(jobs: dict[str, Any], title: str) -> Iterator[str]:
    """The condition of a job, and of those without which it is left out."""
    yield str(jobs[title].get("if", ""))
    needs = jobs[title].get("needs", [])
    for needed in [needs] if isinstance(needs, str) else needs:
        yield from _conditions(jobs, needed)


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All steps of the jobs of a workflow, or of a composite action."""
    jobs = document.get("jobs") or {"": document.get("runs", {})}
    return [step for job in jobs.values() for step in job.get("steps", [])]
