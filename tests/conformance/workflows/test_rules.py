"""The workflows and actions of this repository and of the template: two linters, rules of our own, and that mistakes are red."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from headrace.formats.deployment import read_deployment
from headrace.formats.experiment import load_experiment
from tests.support.own_project import ROOT
from tests.support.workflow_steps import scripts

TEMPLATE = ROOT / "src/headrace/operations/starters/project/.github"
PLACES = {"repository": ROOT / ".github", "template": TEMPLATE}
PINS = yaml.safe_load((Path(__file__).parent / "pins.yaml").read_text(encoding="utf-8"))
PROGRAMS = Path(sysconfig.get_path("scripts"))
RUN_BY_TESTS = {
    "actions/gate": {""},
    "actions/setup": {""},
    "ci.yml": {"test"},
    "comment.yml": {"post"},
    "deploy.yml": {"plan", "evaluate", "build", "staging", "production"},
    "evaluate.yml": {"evaluate"},
    "gate.yml": {"gate"},
    "infra.yml": {"lint", "preview", "provision"},
    "nightly.yml": {"suite", "tell"},
}
"""Jobs that the neighbouring tests run to a good end, by which each of their scripts without an ``if`` is run."""

CONDITIONAL = {
    "Back, where deploying or a check has failed",
    "Install what the flow needs",
    "Put the answer of the gate and the board into one comment",
}
"""Scripts with an ``if``, whose names these tests compare with what ran."""


WRITING = {
    "attestations": {"attest"},
    "id-token": {"attest", "evaluate", "plan", "preview", "production", "provision", "staging"},
    "issues": {"tell"},
    "pull-requests": {"comment", "post"},
}
"""Rights to write to the jobs that have a reason for them."""

SIGNING = r"azure/login@|azd auth login"
GUARD = r"head\.repo\.full_name == github\.repository|event_name != 'pull_request'"


@pytest.fixture(params=PLACES)
def github(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a folder ``.github``, at the root of a repository as linters want it."""
    return copy(PLACES[request.param], tmp_path)


def copy(source: Path, folder: Path) -> Path:
    (folder / ".git").mkdir(parents=True)
    return Path(shutil.copytree(source, folder / ".github"))


def lint(github: Path) -> str:
    """What jactionlint, a maintained descendant of actionlint, and zizmor have to say; nothing where all is well."""
    said = []
    for words in (
        ("jactionlint", "--shellcheck=", "--pyflakes=", "--no-color", "--oneline"),
        (
            "zizmor",
            "--offline",
            "--no-progress",
            "--quiet",
            "--no-config",
            "--format",
            "plain",
            "--color",
            "never",
            ".github",
        ),
    ):
        ended = subprocess.run(
            (str(PROGRAMS / words[0]), *words[1:]),
            check=False,
            cwd=github.parent,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        said += [ended.stdout] if ended.returncode else []
    return "".join(said)


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
        if re.search(r"(: |- )[&*]\w", text):
            yield f"{name} has an anchor, which zizmor does not look through."


def _unpinned(name: str, text: str) -> Iterator[str]:
    for action, rest in re.findall(r"uses: ([^\s@]+)(.*)", text):
        pin = PINS.get(action)
        if not action.startswith("$/") and (pin is None or rest != f"@{pin['commit']} # {pin['version']}"):
            yield f"{name} uses {action}{rest}, which pins.yaml does not have."


def _careless(name: str, workflow: dict[str, Any]) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield f"{name} does not begin with no permissions."
    if "concurrency" not in workflow:
        yield f"{name} says nothing of concurrency."
    if workflow.get("defaults") != {"run": {"shell": "bash"}} and any(
        "run" in step for step in _steps(workflow)
    ):
        yield f"{name} runs scripts without pipefail."
    for title, job in workflow["jobs"].items():
        if "uses" not in job and "timeout-minutes" not in job:
            yield f"{name}, {title} has no limit of time."
        if "permissions" not in job:
            yield f"{name}, {title} does not say its permissions."
    for step in _steps(workflow):
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


def _conditions(jobs: dict[str, Any], title: str) -> Iterator[str]:
    """The condition of a job, and of those without which it is left out."""
    yield str(jobs[title].get("if", ""))
    needs = jobs[title].get("needs", [])
    for needed in [needs] if isinstance(needs, str) else needs:
        yield from _conditions(jobs, needed)


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def test_the_linters_find_nothing(github: Path) -> None:
    assert lint(github) == ""


def test_our_own_rules_are_kept(github: Path) -> None:
    assert list(break_rules(github)) == []


def test_every_script_is_run_by_a_test() -> None:
    for place in PLACES.values():
        for file, job, script in scripts(place):
            assert job in RUN_BY_TESTS.get(file, ()), (file, job, script)
        conditional = {
            step["name"]
            for file in (place / "workflows").glob("*.yml")
            for step in _steps(yaml.safe_load(file.read_text(encoding="utf-8")))
            if "run" in step and "if" in step
        }
        assert conditional <= CONDITIONAL


CHECKOUT = f"actions/checkout@{PINS['actions/checkout']['commit']} # {PINS['actions/checkout']['version']}"


class Mistake(NamedTuple):
    """What is written in place of a text of a workflow.

    Attributes:
        linter: What a linter says of it; empty where linters leave it to us.
        rule: What our rules say; empty where they leave it to linters.
    """

    file: str
    text: str
    instead: str
    linter: str = ""
    rule: str = ""


CONCURRENCY = (
    "concurrency:\n  group: comment-${{ inputs.artifact }}-${{ github.ref }}\n  cancel-in-progress: false\n"
)
DEFAULTS = "defaults:\n  run:\n    shell: bash\n"
MISTAKES = {
    "an action that is not pinned": Mistake(
        "evaluate.yml", CHECKOUT, "actions/checkout@v6", "unpinned-uses", "pins.yaml does not have"
    ),
    "a commit under another version": Mistake(
        "evaluate.yml", CHECKOUT, f"{CHECKOUT}1", rule="pins.yaml does not have"
    ),
    "permissions that are too wide": Mistake(
        "deploy.yml", "permissions: {}", "permissions: write-all", "excessive-permissions", "no permissions"
    ),
    "a job that leaves its permissions to the defaults": Mistake(
        "infra.yml", "    permissions:\n      contents: read\n", "", rule="does not say its permissions"
    ),
    "what a stranger wrote, in a script": Mistake(
        "evaluate.yml",
        "mkdir -p results\n",
        'echo "${{ github.event.pull_request.title }}"\n',
        "template-injection",
        "expression in a script",
    ),
    "an input that nobody declared": Mistake(
        "evaluate.yml", "experiment: flows", "experimnt: flows", "experimnt"
    ),
    "a job that is not there": Mistake("deploy.yml", "needs: staging", "needs: stagin", "stagin"),
    "credentials that stay in the checkout": Mistake(
        "infra.yml", "          persist-credentials: false\n", "          fetch-depth: 1\n", "artipacked"
    ),
    "a pipe that hides a failure": Mistake("deploy.yml", DEFAULTS, "", "pipefail", "without pipefail"),
    "no limit of time": Mistake("comment.yml", "    timeout-minutes: 5\n", "", rule="no limit of time"),
    "runs beside each other": Mistake("comment.yml", CONCURRENCY, "", rule="says nothing of concurrency"),
    "a script without a name": Mistake(
        "infra.yml", "      - name: Sign in\n        run:", "      - run:", rule="a script without a name"
    ),
    "a right to write files": Mistake(
        "deploy.yml", "      contents: read\n", "      contents: write\n", rule="plan may write contents"
    ),
    "files of a pull request beside a right": Mistake(
        "comment.yml", "    steps:\n", f"    steps:\n      - uses: {CHECKOUT}\n", rule="has the files of"
    ),
    "a failure that is hidden": Mistake(
        "deploy.yml",
        "      - name: Smoke test\n",
        "      - name: Smoke test\n        continue-on-error: true\n",
        rule="hides",
    ),
    "a sign-in that nobody has to approve": Mistake(
        "deploy.yml", "    environment: production\n", "", rule="production signs in without an environment"
    ),
    "a sign-in for a fork": Mistake(
        "deploy.yml",
        " && github.event.pull_request.head.repo.full_name == github.repository",
        "",
        rule="plan signs in for a fork",
    ),
    "a change that is cut off": Mistake(
        "infra.yml", "${{ github.event_name == 'pull_request' }}", "true", rule="cut off in the middle"
    ),
    "an anchor": Mistake("infra.yml", "    env:\n", "    env: &azure\n", rule="has an anchor"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_red(mistake: Mistake, tmp_path: Path) -> None:
    github = copy(TEMPLATE, tmp_path)
    path = github / "workflows" / mistake.file
    before = path.read_text(encoding="utf-8")
    assert mistake.text in before
    path.write_text(before.replace(mistake.text, mistake.instead, 1), encoding="utf-8")

    if mistake.linter:
        assert mistake.linter in lint(github)
    if mistake.rule:
        assert any(mistake.rule in sentence for sentence in break_rules(github))


def test_the_linters_and_the_template_agree_on_versions() -> None:
    """Dependabot opens pull requests for the pins; each is entered here, and in the template, at once."""
    used = {
        action
        for place in PLACES.values()
        for file in place.rglob("*.yml")
        for action in re.findall(r"uses: ([^\s@$]+)@", file.read_text(encoding="utf-8"))
    }
    assert used == set(PINS)


def test_the_page_names_every_variable_and_secret() -> None:
    page = (ROOT / "docs/pipelines.md").read_text(encoding="utf-8")
    told = {
        name
        for row in re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)
        for name in re.findall("`([A-Z_]+)`", row)
    }
    azure = yaml.safe_load((TEMPLATE.parent / "azure.yaml").read_text(encoding="utf-8"))["pipeline"]
    secrets = set(azure["secrets"])
    read: dict[str, set[str]] = {"vars": set(), "secrets": set()}
    for place in PLACES.values():
        for file in place.rglob("*.yml"):
            for kind, name in re.findall(r"\b(vars|secrets)\.(\w+)", file.read_text(encoding="utf-8")):
                read[kind].add(name)
    assert read["secrets"] == secrets <= told
    assert read["vars"] == (told - secrets) | set(azure["variables"])


def test_what_the_workflows_name_is_there() -> None:
    """Flow files of this repository and of the template, which the workflows of both name."""
    for place, root in ((PLACES["repository"], ROOT), (TEMPLATE, TEMPLATE.parent)):
        for file in place.rglob("*.yml"):
            for path in re.findall(r"(?<![\w./$-])(flows/[\w./]+\w)", file.read_text(encoding="utf-8")):
                assert (root / path).exists(), path


@pytest.mark.parametrize(
    "flow", [ROOT / "flows/triage", TEMPLATE.parent / "flows/my_flow"], ids=lambda path: path.name
)
def test_the_files_of_a_release_can_be_read(flow: Path) -> None:
    """What the workflows deploy and ask about, with the overlays of staging and of both kinds of production."""
    names = (
        "AZURE_SUBSCRIPTION_ID",
        "AZURE_RESOURCE_GROUP",
        "AZURE_CONTAINER_APPS_ENVIRONMENT",
        "AZURE_CONTAINER_REGISTRY",
    )
    identity = (
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/flows"
    )
    variables = {**dict.fromkeys(names, "name"), "AZUREML_WORKSPACE": "ws", "AZURE_FLOW_IDENTITY": identity}
    for overlay in ("staging", "aca", "azure"):
        endpoint = read_deployment(flow / "deployment.yaml", overlay, variables)
        assert endpoint.target == {"azure": "azureml"}.get(overlay, "aca")
        assert bool(endpoint.gate) == (overlay != "staging")
        experiment = load_experiment(flow / "deployed.yaml", None if overlay == "staging" else overlay)
        asked = {str(gate.arm) for gate in experiment.gates}
        assert asked == {"staging" if overlay == "staging" else "new"}
        assert [gate.test for gate in experiment.gates] == ["non_inferiority", "budget"]
