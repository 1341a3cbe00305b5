"""The workflows and actions of this repository and of the template: two linters, rules of our own, and that mistakes are red."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from headrace.formats.deployment import read_deployment
from headrace.formats.experiment import load_experiment
from tests.support.own_project import ROOT
from tests.support.workflow_rules import break_rules, pins, steps
from tests.support.workflow_steps import scripts

TEMPLATE = ROOT / "src/headrace/operations/starters/project/.github"
PLACES = {"repository": ROOT / ".github", "template": TEMPLATE}
PINS = pins()
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
            for step in steps(yaml.safe_load(file.read_text(encoding="utf-8")))
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
    "a machine that remembers": Mistake(
        "deploy.yml", "runs-on: ubuntu-latest", "runs-on: self-hosted", rule="runs on self-hosted"
    ),
    "a trigger with rights for strangers": Mistake(
        "evaluate.yml", "  pull_request:\n", "  pull_request_target:\n", "dangerous-triggers"
    ),
    "what a stranger wrote, in a variable": Mistake(
        "comment.yml",
        "github.event.pull_request.number",
        "github.event.pull_request.title",
        rule="reads pull_request.title of an event",
    ),
    "a token that is kept all the same": Mistake(
        "infra.yml", "persist-credentials: false", "persist-credentials: true", rule="without its token"
    ),
    "the files of somebody else": Mistake(
        "deploy.yml",
        "persist-credentials: false\n",
        "persist-credentials: false\n          ref: ${{ github.ref_name }}\n",
        rule="checks out with",
    ),
    "a variable for later steps": Mistake(
        "deploy.yml", "mkdir -p results\n", 'echo "PATH=." >> "$GITHUB_ENV"\n', rule="of later steps"
    ),
    "a failure that a script hides": Mistake(
        "infra.yml", "azd provision --no-prompt\n", "azd provision --no-prompt || true\n", rule="hides"
    ),
    "a plan with the rights of a deployment": Mistake(
        "deploy.yml", "environment: plan", "environment: production", rule="the environment production"
    ),
    "production before staging": Mistake(
        "deploy.yml", "needs: staging\n", "needs: evaluate\n", rule="does not wait for staging"
    ),
    "longer than a sign-in": Mistake(
        "deploy.yml", "timeout-minutes: 55", "timeout-minutes: 90", rule="longer than its sign-in"
    ),
    "a password as text": Mistake(
        "infra.yml", "${{ secrets.POSTGRES_PASSWORD }}", "hunter2", rule="has a secret as text"
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
