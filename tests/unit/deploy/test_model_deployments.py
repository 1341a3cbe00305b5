"""Models are deployed with the real package, against the stand-in."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.cognitive_services import add_serverless, model, sku

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.deploy import model_deployments
from headrace.domain.model_deployment import ModelWish
from headrace.errors import (
    AccessDeniedError,
    ExitCode,
    HeadraceError,
    RateLimitedError,
    RemoteError,
    RemoteTimeoutError,
    UsageError,
)
from headrace.operations.deploy_models import ModelPlace, deploy_model, find_place, read_account

TODAY = date(2026, 11, 29)
QUICK = {"Retry-After": "0"}


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        yield azure
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # of a PUT that is sent again, azure-core drops the first answer
        gc.collect(1)


def place(azure: StandIn, **more: str) -> ModelPlace:
    return ModelPlace(subscription=azure.subscription, **more)


def deploy(azure: StandIn, *, is_dry: bool = False, **wished: Any) -> Any:
    return deploy_model(place(azure), ModelWish(**wished), lambda _: None, today=TODAY, is_dry=is_dry)


def run(azure: StandIn, folder: Path, *words: str) -> int:
    environment = {
        "HOME": str(folder),
        "AZURE_SUBSCRIPTION_ID": azure.subscription,
        "AZURE_RESOURCE_GROUP": azure.group,
    }
    return run_command_line(["deploy", *words], Session(folder, environment))


def bodies(azure: StandIn) -> list[dict[str, Any]]:
    return [item.body for item in azure.recording.find("PUT", "deployments/")]


def test_a_model_is_deployed_changed_and_left_alone(azure: StandIn) -> None:
    plan = deploy(azure, name="chat", model="gpt-4o-mini", capacity=20, upgrade="OnceCurrentVersionExpired")
    assert plan.after.state == "Succeeded"
    assert [(rule.key, rule.count) for rule in plan.after.limits] == [("request", 200), ("token", 20_000)]
    again = deploy(azure, name="chat", model="gpt-4o-mini", capacity=20)
    assert not again.is_needed
    changed = deploy(azure, name="chat", capacity=30, version="2025-01-01")
    assert changed.changes == {"version": ("2024-07-18", "2025-01-01"), "capacity": (20, 30)}
    assert bodies(azure) == [
        {
            "sku": {"name": "GlobalStandard", "capacity": 20},
            "properties": {
                "model": {"format": "OpenAI", "name": "gpt-4o-mini", "version": "2024-07-18"},
                "versionUpgradeOption": "OnceCurrentVersionExpired",
            },
        },
        {
            "sku": {"name": "GlobalStandard", "capacity": 30},
            "properties": {
                "model": {"format": "OpenAI", "name": "gpt-4o-mini", "version": "2025-01-01"},
                "versionUpgradeOption": "OnceCurrentVersionExpired",
                "raiPolicyName": "Microsoft.DefaultV2",
            },
        },
    ]


def test_a_dry_run_sends_nothing(azure: StandIn) -> None:
    plan = deploy(azure, is_dry=True, name="chat", model="gpt-4o-mini")
    assert plan.is_needed
    assert bodies(azure) == []


def test_quota_counts_over_all_accounts_of_the_region(azure: StandIn) -> None:
    deploy(azure, name="chat", model="gpt-4o-mini", capacity=60)
    azure.cognitive_services.add_account("second")
    with pytest.raises(UsageError) as caught:
        deploy_model(
            place(azure, account="second"),
            ModelWish(name="other", model="gpt-4o-mini", capacity=60),
            lambda _: None,
            today=TODAY,
            is_dry=False,
        )
    (problem,) = caught.value.problems
    assert problem.code == "X306"
    assert "gpt-4o-mini - GlobalStandard" in problem.what
    assert "60 of 100 are used, 40 are left, 60 more are needed" in problem.what


def test_quota_that_somebody_took_meanwhile_is_named_by_the_service(azure: StandIn) -> None:
    azure.cognitive_services.limits["OpenAI.GlobalStandard.gpt-4o-mini"] = 5
    usages = azure.cognitive_services.limits

    def tell(_: str) -> None:
        usages["OpenAI.GlobalStandard.gpt-4o-mini"] = 5

    usages["OpenAI.GlobalStandard.gpt-4o-mini"] = 100
    with pytest.raises(RemoteError) as caught:
        deploy_model(
            place(azure),
            ModelWish(name="chat", model="gpt-4o-mini", capacity=10),
            tell,
            today=TODAY,
            is_dry=False,
        )
    (problem,) = caught.value.problems
    assert problem.code == "X306"
    assert "0 of 5 are used, 5 are left, 10 more are needed" in problem.what
    assert "--capacity 5 or less" in (problem.fix or "")


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"status": 403}, AccessDeniedError, "X203"),
        ({"status": 400}, RemoteError, "X310"),
        ({"status": 409, "times": None}, RemoteError, "X205"),
        ({"fail_operation": "InternalServerError"}, RemoteError, "X310"),
        ({"status": 429, "times": None, "headers": QUICK}, RateLimitedError, "X211"),
    ],
)
def test_what_goes_wrong_is_one_of_our_errors_and_done_again_it_works(
    azure: StandIn, fault: dict[str, Any], kind: type[HeadraceError], code: str
) -> None:
    azure.faults.add(method="PUT", path="deployments/chat$", **fault)
    with pytest.raises(kind) as caught:
        deploy(azure, name="chat", model="gpt-4o-mini")
    assert caught.value.problems[0].code == code
    azure.faults.clear()
    assert deploy(azure, name="chat", model="gpt-4o-mini").after.state == "Succeeded"


def test_short_trouble_is_lived_through(azure: StandIn) -> None:
    azure.faults.add(method="PUT", path="deployments/chat$", times=2, status=429, headers=QUICK)
    azure.faults.add(method="GET", path="/models$", drop="before")
    assert deploy(azure, name="chat", model="gpt-4o-mini").after.state == "Succeeded"


def test_who_may_not_read_quotas_deploys_all_the_same(azure: StandIn) -> None:
    azure.faults.add(method="GET", path="/usages", status=403)
    told: list[str] = []
    wish = ModelWish(name="chat", model="gpt-4o-mini", content_filter="Microsoft.Default")
    plan = deploy_model(place(azure), wish, told.append, today=TODAY, is_dry=False)
    assert plan.after is not None
    assert plan.after.content_filter == "Microsoft.Default"
    assert told[0].startswith("The quotas of westeurope cannot be read")


def test_what_is_deployed_is_listed_although_nobody_says_what_is_offered(azure: StandIn) -> None:
    deploy(azure, name="chat", model="gpt-4o-mini")
    azure.faults.add(method="GET", path="/models$", status=403, times=2)
    told: list[str] = []
    assert [item.name for item in read_account(place(azure), told.append).deployments] == ["chat"]
    assert "not known when models retire" in told[0]
    with pytest.raises(AccessDeniedError):
        deploy(azure, name="chat", capacity=20)


def test_an_answer_that_was_lost_is_asked_for_again(azure: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_deployments, "_LOOK_S", 0.01)
    azure.faults.add(method="PUT", path="deployments/chat$", drop="after")
    deploy(azure, name="chat", model="gpt-4o-mini", capacity=10)
    assert deploy(azure, name="chat", capacity=20).after.capacity == 20


def test_waiting_has_an_end(azure: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(model_deployments, "_LOOK_S", 0.01)
    monkeypatch.setattr(model_deployments.time, "monotonic", lambda: float(next(clock)))
    azure.faults.add(method="PUT", path="deployments/chat$", hang_operation=True)
    with pytest.raises(RemoteTimeoutError) as caught:
        deploy(azure, name="chat", model="gpt-4o-mini")
    assert caught.value.problems[0].code == "X213"


def test_the_account_is_found_or_named(azure: StandIn) -> None:
    assert read_account(place(azure), print).account.name == "ai"
    azure.cognitive_services.add_account("second", kind="OpenAI")
    azure.cognitive_services.add_account("speech", kind="SpeechServices")
    with pytest.raises(UsageError) as several:
        read_account(place(azure), print)
    assert several.value.problems[0].what == "There are 2 accounts in the subscription: ai, second."
    assert read_account(place(azure, account="SECOND"), print).account.kind == "OpenAI"
    with pytest.raises(UsageError) as wrong:
        read_account(place(azure, group=azure.group, account="secnd"), print)
    assert wrong.value.problems[0].fix == 'Did you mean "second"?'
    with pytest.raises(UsageError) as nowhere:
        find_place({}, None, None, None)
    assert nowhere.value.problems[0].code == "C507"


def test_by_the_command_line_from_nothing_to_nothing(
    azure: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retiring = {"deprecation": {"inference": "2027-01-05T00:00:00Z", "deprecationStatus": "Planned"}}
    azure.cognitive_services.limits["OpenAI.GlobalStandard.o9"] = 10
    azure.cognitive_services.models += model(
        "o9", "1", skus=[sku("GlobalStandard", "OpenAI.GlobalStandard.o9")], **retiring
    )
    assert run(azure, tmp_path, "models") == ExitCode.OK
    assert "no models yet" in capsys.readouterr().err
    assert run(azure, tmp_path, "model", "chat", "--model", "gpt-4o-mini", "--dry-run") == ExitCode.OK
    assert capsys.readouterr().out.startswith("+ chat in ai (westeurope)\n")
    assert run(azure, tmp_path, "model", "chat", "--model", "gpt-4o-mini", "--capacity", "5") == ExitCode.OK
    assert "It lets through 50 requests a minute and 5,000 tokens a minute." in capsys.readouterr().out
    assert run(azure, tmp_path, "model", "chat", "--spillover", "nobody") == ExitCode.USAGE
    assert "X307" in capsys.readouterr().err
    assert run(azure, tmp_path, "model", "old", "--model", "o9", "--format", "json") == ExitCode.OK
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert (said["applied"], said["retires"], said["after"]["state"]) == (True, "2027-01-05", "Succeeded")
    assert "X309" in shown.err
    assert run(azure, tmp_path, "models", "--format", "json") == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)["deployments"]
    assert [(item["name"], item["capacity"], item["retires"]) for item in listed] == [
        ("chat", 5, None),
        ("old", 10, "2027-01-05"),
    ]
    assert run(azure, tmp_path, "models") == ExitCode.OK
    assert "gpt-4o-mini 2024-07-18" in capsys.readouterr().out
    assert run(azure, tmp_path, "model", "chat", "--delete", "--sku", "Standard") == ExitCode.USAGE
    assert run(azure, tmp_path, "model", "chat", "--delete") == ExitCode.USAGE  # nobody is there to say yes
    assert run(azure, tmp_path, "model", "chat", "--delete", "--yes") == ExitCode.OK
    assert run(azure, tmp_path, "model", "chat", "--delete", "--yes") == ExitCode.OK
    assert "nothing to do" in capsys.readouterr().out
    assert [item.name for item in read_account(place(azure), print).deployments] == ["old"]


def test_no_secret_is_in_what_is_said(
    azure: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    azure.faults.add(method="PUT", path="deployments/chat$", status=403)
    assert run(azure, tmp_path, "model", "chat", "--model", "gpt-4o-mini") == ExitCode.REMOTE
    shown = capsys.readouterr()
    assert azure.client.secret not in shown.out + shown.err
    assert "eyJ" not in shown.out + shown.err


def test_classic_serverless_endpoints_are_listed(
    azure: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(azure, tmp_path, "models", "--classic") == ExitCode.USAGE
    assert "AZUREML_WORKSPACE" in capsys.readouterr().err
    assert run(azure, tmp_path, "models", "--classic", "--workspace", "ws") == ExitCode.OK
    assert "no classic serverless" in capsys.readouterr().err
    add_serverless(azure, "ws", "llama", "azureml://registries/azureml-meta/models/Llama-3.3-70B-Instruct")
    assert run(azure, tmp_path, "models", "--classic", "--workspace", "ws", "--format", "json") == ExitCode.OK
    shown = capsys.readouterr()
    assert json.loads(shown.out) == [
        {
            "name": "llama",
            "model": "azureml://registries/azureml-meta/models/Llama-3.3-70B-Instruct",
            "address": "https://llama.westeurope.models.ai.azure.com",
            "state": "succeeded",
            "authentication": "Key",
        }
    ]
    assert run(azure, tmp_path, "models", "--classic", "--workspace", "ws") == ExitCode.OK
    assert "Llama-3.3-70B-Instruct" in capsys.readouterr().out
    assert run(azure, tmp_path, "models", "--classic", "--workspace", "none") == ExitCode.REMOTE
    assert "X204" in capsys.readouterr().err
