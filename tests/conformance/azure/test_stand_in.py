"""The stand-in for Azure, as the real SDKs see it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import openai
import pytest
import requests
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential, DefaultAzureCredential, EnvironmentCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.monitor.models import AutoscaleProfile, AutoscaleSettingResource, ScaleCapacity
from azure.storage.blob import BlobServiceClient, ContainerClient
from tests.support.azure import StandIn
from tests.support.azure.arm import Call
from tests.support.azure.directory import AUTHORITY, KEY_ID
from tests.support.azure.forwarding import forward
from tests.support.azure.messages import Response, reply
from tests.support.azure.resources import Resource
from tests.support.azure.subscriptions import add_identity, add_usage, assign_role
from tests.support.web_server import web_server

ARM_SCOPE = "https://management.azure.com/.default"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        yield azure


@pytest.fixture
def monitor(azure: StandIn) -> Iterator[MonitorManagementClient]:
    with (
        EnvironmentCredential() as credential,
        MonitorManagementClient(credential, azure.subscription, retry_backoff_factor=0) as client,
    ):
        yield client


def thing(azure: StandIn) -> str:
    resource_id = f"{azure.group_id}/providers/Contoso.Things/things/a"
    azure.resources.put(Resource(id=resource_id))
    return resource_id


def setting(azure: StandIn, target: str, minimum: str = "1", maximum: str = "3") -> AutoscaleSettingResource:
    capacity = ScaleCapacity(minimum=minimum, maximum=maximum, default=minimum)
    return AutoscaleSettingResource(
        location=azure.location,
        target_resource_uri=target,
        enabled=True,
        profiles=[AutoscaleProfile(name="p", capacity=capacity, rules=[])],
    )


def ask(azure: StandIn, method: str, path: str, **more: object) -> requests.Response:
    token = azure.directory.make_token(azure.client, "https://management.azure.com")
    url = f"https://management.azure.com{path}"
    return requests.request(
        method,
        url,
        params={"api-version": "2024-01-01"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
        **more,  # type: ignore[arg-type]
    )


def test_a_client_secret_gives_a_token_that_says_whom_it_is_for(azure: StandIn) -> None:
    with EnvironmentCredential() as credential:
        token = credential.get_token(ARM_SCOPE).token

    keys = requests.get(
        f"https://{AUTHORITY}/{azure.directory.tenant}/discovery/v2.0/keys", timeout=10
    ).json()["keys"]
    assert [key["kid"] for key in keys] == [KEY_ID]
    claims = jwt.decode(
        token, jwt.PyJWK(keys[0]).key, algorithms=["RS256"], audience="https://management.azure.com"
    )
    assert (claims["tid"], claims["appid"]) == (azure.directory.tenant, azure.client.client_id)


def test_a_wrong_secret_and_a_wrong_tenant_are_refused_with_the_numbers_of_entra(azure: StandIn) -> None:
    tenant, client = azure.directory.tenant, azure.client.client_id
    with (
        ClientSecretCredential(tenant, client, "wrong") as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(ARM_SCOPE)
    with (
        ClientSecretCredential("11111111-1111-1111-1111-111111111111", client, "x") as credential,
        pytest.raises(Exception, match="tenant"),
    ):
        credential.get_token(ARM_SCOPE)


def test_the_metadata_service_gives_tokens_for_identities(
    azure: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = add_identity(azure, "flow")
    azure.directory.has_metadata_service = True
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_CLIENT_ID", identity.properties["clientId"])

    with DefaultAzureCredential() as credential:
        token = credential.get_token(ARM_SCOPE).token

    assert azure.directory.read_token(token)["oid"] == identity.properties["principalId"]


def test_autoscale_settings_are_made_read_and_deleted(
    azure: StandIn, monitor: MonitorManagementClient
) -> None:
    target = thing(azure)
    made = monitor.autoscale_settings.create_or_update("rg", "scale", setting(azure, target))
    assert (made.target_resource_uri, made.profiles[0].capacity.maximum) == (target, "3")

    with pytest.raises(ResourceExistsError, match="already has"):
        monitor.autoscale_settings.create_or_update("rg", "other", setting(azure, target))
    with pytest.raises(HttpResponseError, match="minimum <= default"):
        monitor.autoscale_settings.create_or_update("rg", "scale", setting(azure, target, "4", "3"))

    assert [item.name for item in monitor.autoscale_settings.list_by_resource_group("rg")] == ["scale"]
    monitor.autoscale_settings.delete("rg", "scale")
    with pytest.raises(ResourceNotFoundError, match=r"Microsoft\.Insights/autoscalesettings/scale"):
        monitor.autoscale_settings.get("rg", "scale")
    put = azure.recording.find("PUT", "autoscalesettings")[0]
    assert put.status == 201
    assert put.body["properties"]["targetResourceUri"] == target
    assert "authorization" not in put.headers
    assert azure.unanswered == []


def test_planned_faults_meet_the_requests_they_are_about(
    azure: StandIn, monitor: MonitorManagementClient
) -> None:
    target = thing(azure)
    wanted = setting(azure, target)
    azure.faults.add(method="PUT", path="autoscale", times=2, status=429, headers={"Retry-After": "0"})
    monitor.autoscale_settings.create_or_update("rg", "scale", wanted)
    assert [item.status for item in azure.recording.find("PUT")] == [429, 429, 201]

    azure.faults.add(method="PUT", path="autoscale", drop="before")
    monitor.autoscale_settings.create_or_update("rg", "scale", wanted)
    azure.faults.add(method="PUT", path="autoscale", drop="after")
    monitor.autoscale_settings.create_or_update("rg", "scale", wanted)
    assert [item.status for item in azure.recording.find("PUT")][3:] == [0, 200, 0, 200]

    azure.faults.add(path="autoscale", times=None, drop="before")
    with pytest.raises(AzureError, match=r"aborted|disconnected|closed"):
        monitor.autoscale_settings.get("rg", "scale")
    azure.faults.clear()

    azure.faults.add(path="autoscale", status=403, code="Forbidden", message="Not today.")
    with pytest.raises(HttpResponseError, match="Not today"):
        monitor.autoscale_settings.get("rg", "scale")
    monitor.autoscale_settings.get("rg", "scale")


def test_what_is_denied_is_refused_in_the_words_of_azure(
    azure: StandIn, monitor: MonitorManagementClient
) -> None:
    denial = azure.access.deny("Microsoft.Insights/autoscalesettings/write", azure.group_id)
    wanted = setting(azure, thing(azure))
    with pytest.raises(HttpResponseError) as raised:
        monitor.autoscale_settings.create_or_update("rg", "scale", wanted)
    assert raised.value.status_code == 403
    assert raised.value.error.code == "AuthorizationFailed"
    assert "perform action 'Microsoft.Insights/autoscalesettings/write' over scope" in raised.value.message
    azure.access.denials.remove(denial)
    monitor.autoscale_settings.create_or_update("rg", "scale", wanted)


def test_tokens_for_another_service_or_of_another_time_are_refused(azure: StandIn) -> None:
    url = f"https://management.azure.com{azure.group_id}?api-version=2024-01-01"

    def status(token: str) -> tuple[int, str]:
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    assert status("") == (401, "AuthenticationFailed")
    assert status("x.y.z") == (401, "InvalidAuthenticationToken")
    wrong = azure.directory.make_token(azure.client, "https://vault.azure.net")
    assert status(wrong) == (401, "InvalidAuthenticationTokenAudience")
    azure.directory.lifetime_s = -10
    old = azure.directory.make_token(azure.client, "https://management.azure.com")
    assert status(old) == (401, "ExpiredAuthenticationToken")


def test_paths_and_versions_that_are_not_there_are_refused(azure: StandIn) -> None:
    def code(path: str, method: str = "GET") -> str:
        return str(ask(azure, method, path).json()["error"]["code"])

    assert code(f"/subscriptions/{azure.subscription}/resourceGroups/other") == "ResourceGroupNotFound"
    assert code("/subscriptions/0/resourceGroups/rg") == "SubscriptionNotFound"
    assert code(f"{azure.group_id}/providers/Contoso.None/x/y") == "InvalidResourceType"
    scale = f"{azure.group_id}/providers/Microsoft.Insights/autoscaleSettings/y"
    assert code(scale) == "NoRegisteredProviderFound"
    azure.arm.is_strict = False
    assert code(scale) == "ResourceNotFound"
    assert code(scale, "PATCH") == "MethodNotAllowed"
    assert azure.unanswered == [f"GET {azure.group_id}/providers/Contoso.None/x/y"]


def long_thing(call: Call) -> Response:
    body = call.json()
    made = call.resources.put(Resource(id=call.id, properties=dict(body["properties"])))
    made.provisioning_state = "Creating"

    def end(state: str) -> dict[str, object]:
        made.provisioning_state = state
        return made.body()

    operation = call.start(
        "/subscriptions/{subscription}/providers/Contoso.Things/operations",
        succeed=lambda: end("Succeeded"),
        fail=lambda _: end("Failed"),
        is_location=body["properties"].get("location", False),
    )
    return reply(made.body(), 201, call.accept(operation))


@pytest.mark.parametrize("is_location", [False, True])
def test_operations_run_fail_and_hang_until_told(azure: StandIn, *, is_location: bool) -> None:
    template = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Contoso.Things/things/{name}"
    azure.arm.add("PUT", template, (), long_thing)
    azure.arm.add("GET", template, (), lambda call: reply(call.get().body()))
    path = f"{azure.group_id}/providers/Contoso.Things/things/a"
    header = "Location" if is_location else "Azure-AsyncOperation"

    def begin() -> str:
        answer = ask(azure, "PUT", path, json={"properties": {"location": is_location}})
        assert answer.status_code == 201
        assert answer.headers["retry-after-ms"]
        return answer.headers[header].removeprefix("https://management.azure.com").partition("?")[0]

    def look(operation: str) -> tuple[int, str]:
        answer = ask(azure, "GET", operation)
        body = answer.json() if answer.content else {}
        state = body.get("status") or body.get("error", {}).get("code") or body.get("properties", {})
        return answer.status_code, state if isinstance(state, str) else state.get("provisioningState", "")

    running = (202, "") if is_location else (200, "InProgress")
    operation = begin()
    assert [look(operation), look(operation)] == [running, (200, "Succeeded")]

    azure.faults.add(method="PUT", path="things/a$", fail_operation="OutOfQuota", message="No cores left.")
    operation = begin()
    assert look(operation) == running
    assert look(operation) == ((409, "OutOfQuota") if is_location else (200, "Failed"))
    assert ask(azure, "GET", path).json()["properties"]["provisioningState"] == "Failed"

    azure.faults.add(method="PUT", path="things/a$", hang_operation=True)
    operation = begin()
    assert {look(operation) for _ in range(20)} == {running}
    assert azure.operations.running(path)
    azure.operations.release()
    assert [look(operation), look(operation)] == [running, (200, "Succeeded")]
    assert not azure.operations.running(path)


def test_an_operation_goes_on_when_its_resource_is_read(azure: StandIn) -> None:
    template = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Contoso.Things/things/{name}"
    azure.arm.add("PUT", template, (), long_thing)
    azure.arm.add("GET", template, (), lambda call: reply(call.get().body()))
    path = f"{azure.group_id}/providers/Contoso.Things/things/a"
    ask(azure, "PUT", path, json={"properties": {}})
    states = [ask(azure, "GET", path).json()["properties"]["provisioningState"] for _ in range(2)]
    assert states == ["Creating", "Succeeded"]


def test_blobs_are_kept_with_every_way_of_being_let_in(azure: StandIn) -> None:
    azure.blobs.add_container("acc", "c")
    content = bytes(range(256)) * 40
    with (
        EnvironmentCredential() as credential,
        BlobServiceClient(
            "https://acc.blob.core.windows.net", credential, max_single_put_size=1000, max_block_size=999
        ) as service,
    ):
        blob = service.get_blob_client("c", "flows/a b.txt")
        blob.upload_blob(content, metadata={"version": "3"})
        with pytest.raises(ResourceExistsError):
            blob.upload_blob(b"other")
        assert blob.download_blob(offset=256, length=4).readall() == b"\x00\x01\x02\x03"
        assert blob.download_blob().readall() == content
        properties = blob.get_blob_properties()
        assert (properties.size, properties.metadata) == (len(content), {"version": "3"})
        blob.set_blob_metadata({"version": "4"})
        assert blob.get_blob_properties().metadata == {"version": "4"}
        container = service.get_container_client("c")
        assert [item.name for item in container.list_blobs(name_starts_with="flows/")] == ["flows/a b.txt"]
        with pytest.raises(ResourceNotFoundError):
            service.get_blob_client("c", "none").download_blob()
    assert azure.blobs.read("acc", "c", "flows/a b.txt") == content

    signed = azure.blobs.url("acc", "c") + "?" + azure.blobs.sign("acc", "c")
    with ContainerClient.from_container_url(signed) as client:
        client.upload_blob("by-signature", b"1")
        assert client.exists()
    unsigned = azure.blobs.url("acc", "c") + "?sig=none"
    with ContainerClient.from_container_url(unsigned) as client, pytest.raises(ClientAuthenticationError):
        client.upload_blob("x", b"1")
    with BlobServiceClient("https://acc.blob.core.windows.net", "a2V5") as service:
        assert azure.blobs.names("acc", "c") == ["by-signature", "flows/a b.txt"]
        service.get_blob_client("c", "by-signature").delete_blob()
        service.create_container("d")
    assert azure.blobs.names("acc", "c") == ["flows/a b.txt"]


def test_secrets_are_read_by_whoever_may(azure: StandIn) -> None:
    azure.vaults.add("kv", "key", "old")
    azure.vaults.add("kv", "key", "new")
    with (
        EnvironmentCredential() as credential,
        SecretClient("https://kv.vault.azure.net", credential) as client,
    ):
        assert client.get_secret("key").value == "new"
        with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
            client.get_secret("other")
        denial = azure.access.deny(scope="/kv.vault.azure.net")
        with pytest.raises(HttpResponseError, match="not authorized to perform action"):
            client.get_secret("key")
        azure.access.denials.remove(denial)
        client.set_secret("made", "here")
        assert client.get_secret("made").value == "here"
        assert [item.name for item in client.list_properties_of_secrets()] == ["key", "made"]
    assert all("authorization" not in item.headers for item in azure.recording.requests)


def test_prices_are_filtered_and_paged(azure: StandIn) -> None:
    for number in range(101):
        azure.prices.add(0.1, armSkuName="Standard_DS3_v2", armRegionName="westeurope", skuName=str(number))
    azure.prices.add(0.2, armSkuName="Standard_DS4_v2", armRegionName="westeurope")
    url = "https://prices.azure.com/api/retail/prices"

    def page(address: str, **query: str) -> dict[str, object]:
        return dict(requests.get(address, params=query, timeout=10).json())

    asked = "armSkuName eq 'Standard_DS3_v2' and armRegionName eq 'westeurope'"
    first = page(url, **{"$filter": asked})
    assert first["Count"] == 100
    assert page(str(first["NextPageLink"]))["Count"] == 1
    assert page(url, **{"$filter": "armSkuName eq 'standard_ds4_v2'"})["Items"] == []


def test_roles_identities_and_quota_are_read(azure: StandIn) -> None:
    identity = add_identity(azure, "flow").properties
    assign_role(azure, azure.group_id, "AcrPull", identity["principalId"])
    add_usage(azure, "Microsoft.MachineLearningServices", "standardDSv3Family", 90, 100)
    scope = f"{azure.group_id}/providers/Contoso.Things/things/a"
    found = ask(azure, "GET", f"{scope}/providers/Microsoft.Authorization/roleAssignments").json()["value"]
    assert [item["properties"]["principalId"] for item in found] == [identity["principalId"]]
    place = f"{azure.subscription_id}/providers/Microsoft.MachineLearningServices/locations/westeurope"
    usage = ask(azure, "GET", f"{place}/usages").json()["value"]
    assert [(item["name"]["value"], item["currentValue"], item["limit"]) for item in usage] == [
        ("standardDSv3Family", 90, 100)
    ]


def test_other_hosts_answer_through_any_client_and_piece_by_piece(azure: StandIn) -> None:
    azure.add_host(
        "*.openai.azure.com",
        lambda request: Response(
            headers={"Content-Type": "text/event-stream"},
            body=(
                b"data: "
                + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()
                + b"\n\n"
                for text in ("a", "b")
            ),
        ),
    )
    with openai.OpenAI(
        base_url="https://res.openai.azure.com/openai/v1/", api_key="k", max_retries=0
    ) as client:
        pieces = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        )
        assert [piece.choices[0].delta.content for piece in pieces] == ["a", "b"]
    assert requests.get("https://unknown.example", timeout=10).status_code == 502
    assert azure.unanswered == ["unknown.example"]


def test_requests_are_passed_on_to_servers_that_run(azure: StandIn) -> None:
    with web_server() as behind:
        behind.answers = [(200, '{"answer": 1}'), (424, "{}")]
        azure.add_host("*.inference.ml.azure.com", lambda request: forward(request, behind.url))
        url = "https://e.westeurope.inference.ml.azure.com/score?x=1"
        answers = [requests.post(url, json={"q": 1}, timeout=10) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 424]
        assert answers[0].json() == {"answer": 1}
        assert (behind.asked[0].path, json.loads(behind.asked[0].body)) == ("/score?x=1", {"q": 1})
        assert behind.asked[0].headers["host"] == "e.westeurope.inference.ml.azure.com"
    assert requests.post(url, timeout=10).status_code == 502


def test_what_goes_wrong_inside_is_raised_at_the_end(tmp_path: Path) -> None:
    azure = StandIn(tmp_path)
    azure.add_host("x.example", lambda _: reply(1 // 0))
    answer = requests.get(
        "https://x.example",
        proxies={"https": azure.environment["HTTPS_PROXY"]},
        verify=azure.environment["SSL_CERT_FILE"],
        timeout=10,
    )
    assert answer.status_code == 500
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        azure.close()


def test_it_serves_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.azure", "--folder", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        variables = json.loads(process.stdout.readline())
        proxies = {"http": variables["HTTP_PROXY"], "https": variables["HTTPS_PROXY"]}

        def control(method: str, path: str, **more: object) -> requests.Response:
            url = f"http://stand-in.test{path}"
            return requests.request(method, url, proxies=proxies, timeout=10, **more)  # type: ignore[arg-type]

        assert control("POST", "/faults", json={"path": "prices", "status": 503}).status_code == 201
        url = "https://prices.azure.com/api/retail/prices"
        bundle = variables["REQUESTS_CA_BUNDLE"]
        statuses = [
            requests.get(url, proxies=proxies, verify=bundle, timeout=10).status_code for _ in range(2)
        ]
        assert statuses == [503, 200]
        assert [item["status"] for item in control("GET", "/requests").json()][-2:] == [503, 200]
        process.terminate()
        assert process.wait(10) == 0
