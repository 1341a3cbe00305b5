"""What Azure's packages raise, as errors of ours; all of it raised by them, against the stand-in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marshmallow
import pytest
from azure.core.exceptions import (
    AzureError,
    DeserializationError,
    HttpResponseError,
    ServiceRequestError,
)
from azure.identity import EnvironmentCredential
from tests.support.azure import StandIn
from tests.support.azure.things import Things, register
from tests.support.azure.trouble import endpoint

from headrace.deploy.azure_failures import azure_failures, plain_message
from headrace.deploy.azure_roles import role_for
from headrace.errors import (
    AccessDeniedError,
    HeadraceError,
    Problem,
    RateLimitedError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its schemas use what its schema library is going to remove
    from azure.ai.ml import load_online_deployment

SECRET = "s3cr3t-value"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        register(azure)
        yield azure


@pytest.fixture
def things(azure: StandIn) -> Iterator[Things]:
    with EnvironmentCredential() as credential, Things(azure, credential) as things:
        yield things


def fail(things: Things, azure: StandIn, log: Any = None, **fault: Any) -> HeadraceError:
    """What becomes of a deployment that goes wrong."""
    wished, blue = endpoint()
    azure.faults.add(method="PUT", path="things/blue$", **fault)
    with pytest.raises(HeadraceError) as raised, azure_failures("deployment blue", wished, blue, log=log):
        things.put("blue").result()
    assert isinstance(raised.value.__cause__, Exception)
    return raised.value


def problem_of(error: HeadraceError) -> Problem:
    (problem,) = error.problems
    return problem


def test_nothing_happens_to_what_goes_well(azure: StandIn, things: Things) -> None:
    with azure_failures("deployment blue", *endpoint()):
        assert things.put("blue").result()["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"status": 403}, AccessDeniedError, "X203"),
        ({"status": 404}, RemoteRequestError, "X204"),
        ({"status": 409}, RemoteRequestError, "X205"),
        ({"fail_operation": "OutOfQuota"}, RemoteRequestError, "X206"),
        ({"status": 429, "times": None, "headers": {"Retry-After": "0"}}, RateLimitedError, "X211"),
        ({"status": 500, "times": None}, RemoteUnavailableError, "X215"),
        ({"status": 503, "times": None}, RemoteUnavailableError, "X215"),
        ({"status": 504, "times": None}, RemoteTimeoutError, "X213"),
        (
            {"status": 409, "code": "ScopeLocked", "message": "Please remove the lock and try again."},
            AccessDeniedError,
            "X220",
        ),
        ({"status": 403, "code": "RequestDisallowedByPolicy"}, AccessDeniedError, "X220"),
        ({"status": 409, "code": "ReadOnlyDisabledSubscription"}, AccessDeniedError, "X220"),
        ({"status": 409, "code": "SkuNotAvailable"}, RemoteRequestError, "X206"),
        ({"fail_operation": "AllocationFailed"}, RemoteRequestError, "X206"),
        ({"fail_operation": "OutOfCapacity"}, RemoteRequestError, "X206"),
        ({"status": 400, "code": "ManagedEnvironmentCoreQuotaExceeded"}, RemoteRequestError, "X206"),
        ({"status": 409, "code": "OperationPreempted"}, RemoteRequestError, "X205"),
        ({"status": 409, "code": "Other", "message": "It is being changed."}, RemoteRequestError, "X205"),
        ({"status": 401, "code": "ExpiredAuthenticationToken"}, AccessDeniedError, "X201"),
        (
            {
                "fail_operation": "OutOfQuota",
                "message": "Failed to provision due to a lack of managed capacity.",
            },
            RemoteRequestError,
            "X206",
        ),
        (
            {"fail_operation": "BadArgument", "message": "Unable to download user model."},
            RemoteRequestError,
            "X218",
        ),
        ({"status": 412, "code": "PreconditionFailed"}, RemoteRequestError, "X205"),
        ({"status": 423, "code": "Locked"}, RemoteRequestError, "X205"),
        ({"status": 404, "code": "InvalidResourceType"}, RemoteRequestError, "X219"),
        ({"status": 400, "code": "LocationNotAvailableForResourceType"}, RemoteRequestError, "X221"),
        ({"fail_operation": "SomethingNew", "message": "Unheard of."}, RemoteUnavailableError, "X215"),
    ],
)
def test_each_failure_has_its_kind(
    azure: StandIn, things: Things, fault: dict[str, Any], kind: type[HeadraceError], code: str
) -> None:
    error = fail(things, azure, **fault)
    assert type(error) is kind
    assert problem_of(error).code == code


@pytest.mark.parametrize(
    ("what", "said", "pointer"),
    [
        ("workspaces/ws", "There is no such workspace", ("azure", "workspace")),
        ("workspaces/ws/models/qa-flow/versions/3", "Something that deployment blue needs", ()),
        ("workspaces/ws/environments/flow-env/versions/3", "Something that deployment blue needs", ()),
    ],
)
def test_a_workspace_is_not_missed_where_something_in_it_is(
    azure: StandIn, things: Things, what: str, said: str, pointer: tuple[str, ...]
) -> None:
    message = (
        f"The Resource 'Microsoft.MachineLearningServices/{what}' under resource group 'rg' was not found."
    )
    problem = problem_of(fail(things, azure, status=404, code="ResourceNotFound", message=message))
    assert (problem.code, problem.what.startswith(said)) == ("X204", True)
    assert pointer in (problem.pointer, ())


@pytest.mark.parametrize(
    ("code", "what", "fix", "pointer"),
    [
        ("RequestDisallowedByPolicy", "A policy", "exempt the resource group", ("name",)),
        ("ScopeLocked", "A lock", "az lock list", ("azure", "resource_group")),
        ("ReadOnlyDisabledSubscription", "is disabled", "Have it enabled", ("azure", "subscription")),
    ],
)
def test_what_nobody_may_do_is_not_called_a_missing_role(
    azure: StandIn, things: Things, code: str, what: str, fix: str, pointer: tuple[str, ...]
) -> None:
    azure.faults.add(path="things/blue$", method="PUT", status=403, code=code, message="It is so.")
    wished, _ = endpoint()
    with pytest.raises(AccessDeniedError) as raised, azure_failures("endpoint", wished):
        things.put("blue").result()
    problem = problem_of(raised.value)
    assert problem.code == "X220"
    assert what in problem.what
    assert fix in (problem.fix or "")
    assert problem.pointer == pointer


@pytest.mark.parametrize(
    ("code", "message", "kind", "what", "fix", "pointer"),
    [
        (
            "LocationNotAvailableForResourceType",
            "The provided location 'polandcentral' is not available for resource type 'Microsoft.App/containerApps'. "
            "List of available regions for the resource type is 'West Europe,East US'.",
            "X221",
            "The region polandcentral does not have Microsoft.App/containerApps, which deployment blue needs.",
            "in another region, such as West Europe, East US; ",
            ("azure", "workspace"),
        ),
        (
            "NoRegisteredProviderFound",
            "No registered resource provider found for location 'westeurope' and API version '2026-01-01' for type "
            "'containerApps'. The supported api-versions are '2024-03-01, 2025-01-01'. The supported locations are "
            "', westeurope, eastus'.",
            "X221",
            "This cloud does not know the version 2026-01-01 of the interface for containerApps",
            "az cloud show",
            ("azure", "subscription"),
        ),
        (
            "NoRegisteredProviderFound",
            "No registered resource provider found for location 'polandcentral' and API version '2026-01-01' for type "
            "'containerApps'. The supported api-versions are '2026-01-01'. The supported locations are 'eastus'.",
            "X221",
            "The region polandcentral does not have containerApps",
            "such as eastus",
            ("azure", "workspace"),
        ),
        (
            "InvalidApiVersionParameter",
            "The api-version '2026-01-01' is invalid. The supported versions are '2021-04-01,2025-04-01'.",
            "X221",
            "the version 2026-01-01 of the interface for what it needs, which deployment blue needs; it has 2025-04-01",
            "az cloud show",
            ("azure", "subscription"),
        ),
        (
            "NoRegisteredProviderFound",
            "No registered resource provider found for location 'westeurope' and API version '2026-01-01' for type "
            "'containerApps'. The supported api-versions are '2025-01-01, 2026-01-01'. The supported locations are "
            "', westeurope, eastus'.",
            "X219",
            "The subscription does not know containerApps, which deployment blue needs",
            "that takes a minute or two: az provider register, with a namespace of those that are not, which shows: az ",
            ("azure", "subscription"),
        ),
        (
            "MissingSubscriptionRegistration",
            "The subscription is not registered.",
            "X219",
            "The subscription is not registered for a provider, which deployment blue needs.",
            "with a namespace of those that are not",
            ("azure", "subscription"),
        ),
        (
            "InvalidResourceNamespace",
            "The resource namespace 'Microsoft.App' is invalid.",
            "X219",
            "The subscription does not know Microsoft.App",
            "az provider register --namespace Microsoft.App --wait",
            ("azure", "subscription"),
        ),
    ],
)
def test_what_is_not_offered_is_not_blamed_on_the_file(
    azure: StandIn,
    things: Things,
    code: str,
    message: str,
    kind: str,
    what: str,
    fix: str,
    pointer: tuple[str, ...],
) -> None:
    problem = problem_of(fail(things, azure, status=400, code=code, message=message))
    assert problem.code == kind
    assert what in problem.what
    assert fix in (problem.fix or "")
    assert "NAMESPACE" not in (problem.fix or "")
    assert problem.pointer == pointer


@pytest.mark.parametrize("is_location", [False, True])
def test_an_operation_that_fails_counts_by_its_code_whatever_the_status(
    azure: StandIn, things: Things, *, is_location: bool
) -> None:
    wished, blue = endpoint()
    azure.faults.add(
        path="things/blue$",
        method="PUT",
        fail_operation="OutOfQuota",
        message=(
            "Operation could not be completed as it results in exceeding approved standardDSv2Family Cores quota. "
            "Additional details - Deployment Model: Resource Manager, Location: westeurope, Current Limit: 100, "
            "Current Usage: 96, Additional Required: 8, (Minimum) New Limit Required: 104."
        ),
    )
    with pytest.raises(RemoteRequestError) as raised, azure_failures("deployment blue", wished, blue):
        things.put("blue", location=is_location).result()
    cause = raised.value.__cause__
    assert isinstance(cause, HttpResponseError)
    assert cause.status_code == (409 if is_location else 200)
    problem = problem_of(raised.value)
    assert problem.code == "X206"
    assert "standardDSv2Family does not suffice: 96 of 100 are used, 4 are left, 8 are needed" in problem.what
    assert problem.pointer == ("size", "instance_type")
    assert "smaller size than Standard_DS3_v2" in (problem.fix or "")


def test_a_role_that_is_missing_is_named_with_the_command_that_gives_it(
    azure: StandIn, things: Things
) -> None:
    azure.access.deny("Contoso.Things/.*")
    wished, blue = endpoint()
    with pytest.raises(AccessDeniedError) as raised, azure_failures("deployment blue", wished, blue):
        things.put("blue")
    fix = problem_of(raised.value).fix or ""
    who = azure.client.object_id
    scope = f"{azure.group_id}/providers/Contoso.Things/things/blue"
    assert f'az role assignment create --role "Contributor" --assignee {who} --scope "{scope}"' in fix


def test_an_identity_that_may_not_be_assigned_is_found_in_the_file(azure: StandIn, things: Things) -> None:
    message = (
        "The client has permission to perform action 'Microsoft.App/containerApps/write' on scope '/x'; however, it "
        "does not have permission to perform action 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action' "
        "on the linked scope(s) '/subscriptions/0/id' or the linked scope(s) are invalid."
    )
    problem = problem_of(fail(things, azure, status=403, code="LinkedAuthorizationFailed", message=message))
    assert (
        "may not do Microsoft.ManagedIdentity/userAssignedIdentities/assign/action on /subscriptions/0/id"
        in (problem.what)
    )
    assert "Managed Identity Operator" in (problem.fix or "")
    assert problem.pointer == ("identities",)


def test_the_last_lines_of_the_log_are_shown_without_secrets(azure: StandIn, things: Things) -> None:
    lines = [f"line {number}" for number in range(60)] + [
        f"api_key={SECRET}",
        "Authorization: Bearer abc.def",
    ]
    problem = problem_of(fail(things, azure, fail_operation="ResourceNotReady", log=lambda: lines))
    assert problem.detail[0] == "line 22"
    assert problem.detail[-2:] == ("api_key=******", "Authorization: ******")


def test_a_log_that_cannot_be_read_hides_nothing(azure: StandIn, things: Things) -> None:
    def refuse() -> list[str]:
        raise OSError

    problem = problem_of(fail(things, azure, fail_operation="ResourceNotReady", log=refuse))
    assert (problem.code, problem.detail) == ("X208", ())


def test_no_secret_of_a_message_is_shown(azure: StandIn, things: Things) -> None:
    message = (
        f"Cannot pull https://x.blob.core.windows.net/c?sv=1&sig={SECRET}&se=2 with password: '{SECRET}'."
    )
    problem = problem_of(fail(things, azure, status=400, message=message))
    assert SECRET not in str(problem)
    assert "sig=******&se=2" in problem.what


@pytest.mark.filterwarnings("ignore:The `context`")
def test_what_azure_ml_refuses_before_it_asks_is_plain_text(tmp_path: Path) -> None:
    file = tmp_path / "blue.yml"
    file.write_text("name: blue\nendpoint_name: triage\ninstance_count: many\ninstance_type: s\n", "utf-8")
    wished, blue = endpoint()
    with pytest.raises(RemoteRequestError) as raised, azure_failures("deployment blue", wished, blue):
        load_online_deployment(file)
    problem = problem_of(raised.value)
    assert problem.code == "X210"
    said = '{ "instance_count": [ "Not a valid integer." ] }'
    assert problem.what == f"Azure refuses deployment blue: {said}"


def test_an_answer_that_cannot_be_read_is_a_failure_of_azure() -> None:
    wished, _ = endpoint()
    with pytest.raises(HeadraceError) as raised, azure_failures("endpoint triage", wished):
        raise DeserializationError("no date: 32.13.")
    assert problem_of(raised.value).code == "X215"


def test_an_answer_that_a_package_stumbles_over_is_a_failure_of_azure() -> None:
    package: dict[str, Any] = {"__name__": "azure.ai.ml.entities._model"}
    exec("def read(answer): return answer['flavors'].items()", package)  # noqa: S102 -- as the package does
    wished, _ = endpoint()
    with pytest.raises(RemoteUnavailableError) as raised, azure_failures("endpoint triage", wished):
        package["read"]({"flavors": None})
    what = problem_of(raised.value).what
    assert what.startswith(
        "Azure failed at endpoint triage: azure-ai-ml cannot read an answer (AttributeError: "
    )


def test_a_mistake_of_our_own_is_no_failure_of_azure() -> None:
    wished, _ = endpoint()
    with pytest.raises(TypeError), azure_failures("endpoint triage", wished):
        plain_message(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError), azure_failures("endpoint triage", wished):
        raise TypeError


def test_a_lost_connection_that_a_package_wraps_is_no_refusal() -> None:
    wished, _ = endpoint()
    with pytest.raises(RemoteUnavailableError) as raised, azure_failures("endpoint triage", wished):
        raise AzureError("Error with code: no") from ServiceRequestError("Connection refused")
    assert problem_of(raised.value).code == "X212"


def test_a_code_in_a_sentence_is_no_secret() -> None:
    assert (
        plain_message("Error with code: 17 at https://x/?code=abc")
        == "Error with code: 17 at https://x/?code=******"
    )


def test_what_its_schema_library_finds_is_caught_as_well() -> None:
    wished, _ = endpoint()
    schema = marshmallow.Schema.from_dict({"instance_count": marshmallow.fields.Integer()})()
    with pytest.raises(RemoteRequestError) as raised, azure_failures("endpoint triage", wished):
        schema.load({"instance_count": "many"})
    assert "Not a valid integer." in problem_of(raised.value).what


@pytest.mark.parametrize(
    ("action", "role"),
    [
        (
            "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments/write",
            "AzureML Data Scientist",
        ),
        (
            "Microsoft.MachineLearningServices/workspaces/connections/listsecrets/action",
            "Azure Machine Learning Workspace Connection Secrets Reader",
        ),
        ("Microsoft.App/containerApps/write", "Container Apps Contributor"),
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", "Key Vault Secrets User"),
        ("Microsoft.Insights/autoscalesettings/write", "Web Plan Contributor"),
        ("Microsoft.Insights/metricalerts/write", "Contributor"),
        ("Microsoft.Insights/autoscalesettings/read", "Reader"),
    ],
)
def test_actions_have_the_least_role_that_allows_them(action: str, role: str) -> None:
    assert role_for(action) == role


def test_colours_and_advertisements_are_left_out() -> None:
    said = (
        "\x1b[37m\n\x1b[30m\n1) One or more fields are invalid\x1b[39m\x1b[39m\n\nDetails: \x1b[31m\x1b[39m\n"
        "(x) instance_type: not a size\n\nResolutions: \n1) Double-check everything."
    )
    assert plain_message(said) == "(x) instance_type: not a size"


def test_messages_are_cut() -> None:
    assert len(plain_message("x " * 1000)) == 600
