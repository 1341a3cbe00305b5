"""The Bicep files of the template and of this repository keep the rules, and the lint sees every seeded mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.bicep.__main__ import main
from tests.support.bicep.agreed import agreed
from tests.support.bicep.folder import lint
from tests.support.bicep.syntax import entries, literal, read, text_of, value_of, walk

from headrace.deploy.azure_roles import role_for

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "src/headrace/operations/starters/project"
MISTAKES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text("utf-8"))
DEPLOYING = (
    "Microsoft.App/containerApps/write",
    "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action",
    "Microsoft.ContainerRegistry/registries/pull/read",
    "Microsoft.ContainerRegistry/registries/scheduleRun/action",
    "Microsoft.Insights/autoscalesettings/delete",
    "Microsoft.Insights/autoscalesettings/write",
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    "Microsoft.MachineLearningServices/workspaces/connections/listSecrets/action",
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    "Microsoft.OperationalInsights/workspaces/query/read",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
)
"""What headrace asks of Azure while it deploys and runs flows."""


@pytest.mark.parametrize("folder", [TEMPLATE / "infra", ROOT / "infra"], ids=["template", "repository"])
def test_the_files_keep_the_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake['rule']}: {mistake['says']}")
def test_a_seeded_mistake_is_named(mistake: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE / "infra", tmp_path / "infra")
    shutil.copy(TEMPLATE / "azure.yaml", tmp_path)
    path = tmp_path / mistake["file"]
    before = path.read_text("utf-8")
    assert mistake["find"] in before
    path.write_text(before.replace(mistake["find"], mistake["write"], 1), "utf-8")
    found = [str(finding).replace(str(tmp_path), "") for finding in lint(tmp_path / "infra")]
    assert any(f"[{mistake['rule']}]" in text and mistake["says"] in text for text in found), found


def test_every_rule_has_its_mistake() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests/support/bicep").glob("*.py"))
    rules = set(re.findall(r"finding\(\s*\"([a-z-]+)\"", source)) | set(
        re.findall(r"rule=\"([a-z-]+)\"", source)
    )
    assert rules == {mistake["rule"] for mistake in MISTAKES}


def test_the_readme_names_every_role_and_every_variable() -> None:
    readme = (TEMPLATE / "infra/README.md").read_text("utf-8")
    assert [role for role in agreed().roles.values() if f"| {role} |" not in readme] == []
    pipeline = yaml.safe_load((TEMPLATE / "azure.yaml").read_text("utf-8"))["pipeline"]
    variables = [*pipeline["variables"], *pipeline["secrets"]]
    assert [name for name in variables if f"`{name}`" not in readme] == []


def test_the_table_of_roles_is_what_is_assigned() -> None:
    columns = {
        "flowPrincipalId": ("the flows",),
        "pipelinePrincipalId": ("the pipeline",),
        "reviewPrincipalId": ("pull requests",),
        "developerPrincipalId": ("developers in `dev`", "developers in `prod`"),
        "deployingDeveloperId": ("developers in `dev`",),
    }
    main_file = read(TEMPLATE / "infra/main.bicep")
    roles = main_file.variables["roles"].value
    assert roles is not None
    assigned = set()
    for node in walk(main_file.root):
        if node.type != "object" or not {"principalId", "roleId"} <= entries(node).keys():
            continue
        role = value_of(roles, text_of(entries(node)["roleId"][1]).partition(".")[2])
        assert role is not None
        (who,) = set(re.findall(r"\w+(?:PrincipalId|DeveloperId)", text_of(entries(node)["principalId"][1])))
        assigned |= {(agreed().roles[str(literal(role))], column) for column in columns[who]}
    readme = (TEMPLATE / "infra/README.md").read_text("utf-8")
    head, _, *rows = readme[readme.index("| role | the flows") :].partition("\n\n")[0].splitlines()
    names = [cell.strip() for cell in head.strip("|").split("|")]
    told = {
        (cells[0], column)
        for row in rows
        for cells in ([cell.strip() for cell in row.strip("|").split("|")],)
        for column, cell in zip(names[1:-1], cells[1:-1], strict=True)
        if cell
    }
    assert told == assigned


def test_the_sizes_that_cost_are_in_the_readme() -> None:
    readme = (TEMPLATE / "infra/README.md").read_text("utf-8")
    for sizes in json.loads((TEMPLATE / "infra/environments.json").read_text("utf-8")).values():
        assert f"{sizes['searchReplicas']} × {sizes['searchSku']}" in readme
        assert re.search(rf"{sizes['postgresSku']}\b.*{sizes['postgresStorageGb']} GB", readme)
        assert f"| {sizes['registrySku']} |" in readme
        assert (
            f"{sizes['vaultRetentionDays']} days" in readme
            or f"{sizes['vaultRetentionDays']} in `prod`" in readme
        )
        assert f"`{sizes['reviewingEnvironments']}`" in readme


def test_every_module_and_default_model_is_in_the_readme() -> None:
    readme = (TEMPLATE / "infra/README.md").read_text("utf-8")
    assert [
        path.stem
        for path in (TEMPLATE / "infra/modules").iterdir()
        if path.stem not in readme and "roles" not in path.stem
    ] == []
    parameters = read(TEMPLATE / "infra/main.bicep").parameters
    for name in ("chatModel", "chatModelVersion", "chatModelSku"):
        default = parameters[name].value
        assert default is not None
        assert f"`{literal(default)}`" in readme


def test_deploying_needs_no_role_that_is_not_assigned() -> None:
    wanted = {role_for(action) for action in DEPLOYING}
    assert wanted <= set(agreed().roles.values())
    assert "Contributor" not in wanted


def test_the_workspace_is_given_nothing_that_the_service_gives_it() -> None:
    given = {
        name
        for name, resource in read(TEMPLATE / "infra/modules/machine-learning.bicep").resources.items()
        if "workspace.identity.principalId" in text_of(resource.body)
    }
    assert given == {
        "workspaceInGroup"
    }  # which asks for private endpoints, and nothing of the store or the vault


def test_deployment_files_read_only_what_comes_out() -> None:
    read_there = {
        name
        for path in (TEMPLATE / "flows").rglob("*.yaml")
        for name in re.findall(r"\$\{env:(AZURE\w+)\}", path.read_text("utf-8"))
    }
    assert read_there
    assert read_there <= agreed().outputs


def test_roles_have_the_names_that_the_table_of_main_gives_them() -> None:
    roles = read(TEMPLATE / "infra/main.bicep").variables["roles"].value
    assert roles is not None
    used = {str(literal(node)) for node in walk(roles) if node.type == "string"}
    assert used == set(agreed().roles)


def test_secrets_reach_the_vault_and_no_module_output() -> None:
    store = read(TEMPLATE / "infra/modules/store.bicep")
    secret = value_of(store.resources["storeSecret"].body, "properties", "value")
    assert secret is not None
    assert "uriComponent(password" in text_of(secret)
    (address,) = store.outputs.values()
    assert address.value is not None
    assert text_of(address.value) == "'${vault.properties.vaultUri}secrets/${secretName}'"
