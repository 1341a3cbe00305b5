"""Deployments from the command line: planned, applied, moved, rolled back and taken down."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from tests.support.deploying import MEMORY, Place, deploying
from tests.support.scoring_server import Answer

from headrace.deploy import base
from headrace.deploy.memory import MemoryTarget
from headrace.domain.deployment import Change, Endpoint
from headrace.errors import ExitCode, Problem, RemoteTimeoutError

FILE = """\
name: triage
target: local
flow: flows/triage
"""


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with deploying(tmp_path, capsys, monkeypatch) as made:
        made.write("deployment.yaml", FILE)
        yield made


def evaluate(place: Place) -> None:
    """Run the flow over a line, by which its version is kept."""
    place.write("one.jsonl", '{"text": "I was charged twice"}\n')
    assert place.run("run create --flow flows/triage --data one.jsonl").code == 0


def change_prompt(place: Place) -> None:
    prompt = place.folder / "flows/triage/few_shot.jinja2"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")


def deploy_two(place: Place) -> None:
    evaluate(place)
    assert place.run("deploy apply").code == 0
    change_prompt(place)
    evaluate(place)
    assert place.run("deploy apply").code == 0


def test_from_nothing_to_a_canary_to_everybody_and_back(place: Place) -> None:
    evaluate(place)

    planned = place.run("deploy plan")
    assert planned.code == 0, planned.err
    assert "+ create deployment blue: triage@1" in planned.out
    assert not place.state().exists
    applied = place.run("deploy apply")
    assert applied.code == 0, applied.err
    assert "[5/5] done" in applied.err
    assert place.state().traffic == {"blue": 100}
    assert place.server.asked[0].inputs == {
        "text": "I was charged twice this month and nobody answers my emails."
    }
    assert place.server.asked[0].headers["azureml-model-deployment"] == "blue"

    change_prompt(place)
    evaluate(place)
    assert place.run("deploy apply").code == 0
    assert place.state().traffic == {"blue": 90, "green": 10}
    assert place.run("deploy apply").out == "Nothing to do: triage on local is as the file says.\n"

    assert place.run("deploy traffic green=50").code == 0
    assert place.run("deploy traffic green=100").code == 0
    assert place.state().traffic == {"green": 100}
    assert place.run("deploy rollback").code == 0
    assert place.state().traffic == {"blue": 50, "green": 50}
    assert place.run("deploy apply").code == 0
    assert place.state().traffic == {"blue": 50, "green": 50}

    assert place.run("deploy destroy --yes").code == 0
    assert not place.state().exists
    assert place.run("deploy destroy --yes").out == "Nothing to do.\n"


def test_a_plan_for_programs_has_stable_keys_and_an_exit_code_for_work(place: Place) -> None:
    evaluate(place)

    planned = place.run("deploy plan --format json --exit-code")

    assert planned.code == ExitCode.UNDECIDED
    assert list(planned.data) == [
        "endpoint", "target", "file", "changes", "traffic", "cost_usd_per_hour", "refusals", "notes",
    ]  # fmt: skip
    assert planned.data["traffic"] == {"before": {}, "after": {"blue": 100}}
    assert planned.data["changes"][1] == {
        "action": "prepare",
        "deployment": "blue",
        "what": planned.data["changes"][2]["what"].replace("create deployment blue:", "prepare"),
        "before": None,
        "after": planned.data["changes"][2]["after"],
    }
    place.run("deploy apply")
    assert place.run("deploy plan --format json --exit-code").code == 0


def test_a_flow_that_nobody_kept_is_refused_until_that_is_overridden_by_name(place: Place) -> None:
    refused = place.run("deploy apply")
    misspelt = place.run("deploy apply --allow drity")
    told = place.run("deploy apply --format json")

    assert refused.code == ExitCode.STATE
    assert "X165 dirty-flow" in refused.err
    assert (told.code, told.data["refusals"][0]["name"]) == (ExitCode.STATE, "dirty")
    assert "--allow dirty" in refused.err
    assert not place.state().exists
    assert (misspelt.code, "Did you mean dirty?" in misspelt.err) == (ExitCode.USAGE, True)

    assert place.run("deploy apply --allow dirty").code == 0
    assert place.state().deployments[0].version.startswith("triage@1 (")
    assert "triage@1" in place.run("flow versions triage").out


def test_a_stored_version_is_deployed_as_it_was_whatever_lies_in_the_folder(place: Place) -> None:
    evaluate(place)
    assert place.run("flow tag triage@1 prod").code == 0
    change_prompt(place)
    place.write("deployment.yaml", FILE.replace("flows/triage", "triage@prod"))

    assert place.run("deploy apply").code == 0

    assert place.state().deployments[0].version.startswith("triage@1 (")


def test_a_gate_that_was_not_passed_by_this_version_holds_it_back(place: Place) -> None:
    experiment = "flows/triage/experiment.yaml"
    place.write("deployment.yaml", FILE + "gate: gate.json\nvariant: ${classify.few_shot}\n")
    evaluate(place)
    missing = place.run("deploy apply")
    assert place.run(f"gate {experiment} --arm few_shot --output gate.json").code == 0
    other = FILE + "gate: gate.json\nvariant: ${classify.one_shot}\n"

    passed = place.run("deploy plan")
    place.write("deployment.yaml", other)
    another = place.run("deploy plan")
    assert (
        place.run(
            f"gate {experiment} --arm one_shot --metric correct --test budget --limit 1.1 --output gate.json"
        ).code
        == 1
    )
    failed = place.run("deploy plan")
    undone = place.run("deploy apply --allow gate")

    assert (missing.code, "X166" in missing.err) == (ExitCode.STATE, True)
    assert passed.code == 0, passed.err
    assert (another.code, "is about other versions" in another.err) == (ExitCode.STATE, True)
    assert (failed.code, "was failed by one_shot" in failed.err) == (ExitCode.STATE, True)
    assert undone.code == 0
    assert "Overridden, gate: The gate gate.json was failed by one_shot" in undone.out


def test_traffic_by_hand_is_held_back_by_the_gate_as_well_but_not_the_way_back(place: Place) -> None:
    deploy_two(place)
    place.write("deployment.yaml", FILE + "gate: gate.json\n")
    (place.folder / "gate.json").write_text("{}", encoding="utf-8")

    held = place.run("deploy traffic green=20")
    let = place.run("deploy traffic green=20 --allow gate")
    back = place.run("deploy rollback")

    assert (held.code, "X166" in held.err) == (ExitCode.STATE, True)
    assert let.code == 0, let.err
    assert back.code == 0, back.err


def test_a_deployment_that_does_not_answer_gets_nothing_and_says_what_was_answered(place: Place) -> None:
    evaluate(place)
    error = {"error": {"code": "UserError", "message": "no such label"}}
    place.server.answer = lambda *_: Answer(error, 400)

    failed = place.run("deploy apply")
    place.server.answer = lambda inputs, _: Answer(inputs)
    again = place.run("deploy apply")

    assert failed.code == ExitCode.REMOTE
    assert "X148 smoke-test-failed" in failed.err
    assert "no such label" in failed.err
    assert again.code == 0
    assert "create deployment" not in again.out
    assert place.state().traffic == {"blue": 100}


SCALED = FILE + "scale: {min: 1, max: 2}\n"


@pytest.mark.parametrize("takes_back", [False, True])
def test_a_failure_after_the_move_takes_it_back_where_that_is_asked_for(
    place: Place, *, takes_back: bool
) -> None:
    evaluate(place)
    assert place.run("deploy apply").code == 0
    change_prompt(place)
    evaluate(place)
    place.write("deployment.yaml", SCALED)
    fault = {"action": "set scale", "deployment": "green", "kind": "fail"}
    place.meanwhile(lambda memory: memory["faults"].append(fault))

    failed = place.run("deploy apply --take-back" if takes_back else "deploy apply")

    assert failed.code == ExitCode.REMOTE
    assert "X159" in failed.err
    assert ("it goes back to blue=100" in failed.err) == takes_back
    assert place.state().traffic == ({"blue": 100} if takes_back else {"blue": 90, "green": 10})
    assert place.run("deploy apply").code == 0
    assert place.state().traffic == ({"blue": 100} if takes_back else {"blue": 90, "green": 10})


@pytest.mark.parametrize("kind", ["fail", "drop"])
def test_a_move_that_failed_is_taken_back_where_traffic_has_moved(place: Place, kind: str) -> None:
    evaluate(place)
    assert place.run("deploy apply").code == 0
    change_prompt(place)
    evaluate(place)
    place.meanwhile(lambda memory: memory["faults"].append({"action": "move traffic", "kind": kind}))

    failed = place.run("deploy apply --take-back")

    assert failed.code == ExitCode.REMOTE
    assert "X159" in failed.err
    assert ("it goes back to blue=100" in failed.err) == (kind == "fail")
    assert place.state().traffic == {"blue": 100}


@pytest.mark.parametrize(
    ("is_seen", "said"), [(True, "may still be moving"), (False, "cannot be seen: the network")]
)
def test_a_move_of_which_nobody_knows_is_left_to_a_person(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, is_seen: bool, said: str
) -> None:
    evaluate(place)
    assert place.run("deploy apply").code == 0
    change_prompt(place)
    evaluate(place)

    def move(memory: MemoryTarget, change: Change, endpoint: Endpoint) -> None:
        if change.action != "move traffic":
            make(memory, change, endpoint)
            return
        place.meanwhile(lambda there: there["endpoint"].update(busy=True))
        if not is_seen:
            monkeypatch.setattr(MemoryTarget, "read_state", lambda _: fail("the network"))
        fail("too late")

    def fail(what: str) -> NoReturn:
        raise RemoteTimeoutError(Problem(code="X213", what=what))

    make = MemoryTarget.apply
    monkeypatch.setattr(MemoryTarget, "apply", move)

    failed = place.run("deploy apply --take-back")

    assert failed.code == ExitCode.REMOTE
    assert "too late" in failed.err
    assert said in failed.err
    assert place.state().traffic == {"blue": 100}


def test_the_first_version_has_nobody_to_give_its_requests_back_to(place: Place) -> None:
    evaluate(place)
    place.write("deployment.yaml", SCALED)
    place.meanwhile(lambda memory: memory["faults"].append({"action": "set scale", "kind": "fail"}))

    failed = place.run("deploy apply --take-back")

    assert failed.code == ExitCode.REMOTE
    assert "cannot go back: Nobody has noted what the traffic of triage was before." in failed.err
    assert place.state().traffic == {"blue": 100}


def test_a_version_that_was_never_deployed_has_nothing_to_give_back(place: Place) -> None:
    back = place.run("deploy rollback --deployment new")
    assert (back.code, back.out) == (0, "Nothing to do.\n")


def test_an_interrupt_says_how_to_go_on(place: Place) -> None:
    evaluate(place)
    place.meanwhile(
        lambda memory: memory["faults"].append({"action": "create deployment", "kind": "interrupt"})
    )

    stopped = place.run("deploy apply deployment.yaml")

    assert stopped.code == ExitCode.INTERRUPTED
    assert "goes on at the target" in stopped.err
    assert "Go on with: headrace deploy apply" in stopped.err


def test_what_is_told_to_do_next_is_about_the_same_file(place: Place) -> None:
    place.write("other.yaml", FILE)
    deploy_two(place)
    assert place.run("deploy rollback --deployment green").code == 0

    planned = place.run("deploy plan other.yaml")
    kept = place.run("deploy destroy other.yaml --deployment blue --yes")

    assert "To give it some: headrace deploy traffic --file other.yaml green=10" in planned.out
    assert kept.code == ExitCode.STATE
    assert "headrace deploy traffic --file other.yaml green=100" in kept.err


def test_the_only_deployment_is_taken_down_with_its_endpoint(place: Place) -> None:
    evaluate(place)
    assert place.run("deploy apply").code == 0

    kept = place.run("deploy destroy --deployment blue --yes")

    assert kept.code == ExitCode.STATE
    assert "to take down everything: headrace deploy destroy" in kept.err


def test_status_says_what_is_there_and_how_the_file_differs(place: Place) -> None:
    deploy_two(place)
    change_prompt(place)

    text = place.run("deploy status")
    data = place.run("deploy status --format json").data

    assert text.code == 0
    assert "90 %" in text.out
    assert "nobody knows: A third version of triage has no place" in text.out
    assert (data["traffic"], data["drift"]) == ({"blue": 90, "green": 10}, None)
    assert [item["name"] for item in data["deployments"]] == ["blue", "green"]
    assert place.run("deploy traffic blue=100").code == 0
    assert "update deployment green" in place.run("deploy status").out


def test_what_is_deployed_is_asked_and_says_who_answered(place: Place) -> None:
    deploy_two(place)
    place.server.asked.clear()

    sample = place.run("deploy invoke")
    one = place.run("deploy invoke --deployment green --inputs text=hello")
    lines = place.run("deploy invoke --data one.jsonl")
    unknown = place.run("deploy invoke --deployment geen")

    assert sample.data == {"label": "billing", "raw": sample.data["raw"]}
    assert one.data["raw"] == "hello"
    assert "green answered with triage@1 (request " in one.err
    assert lines.data == {
        "outputs": {"label": "billing", "raw": "I was charged twice"},
        "deployment": None,
        "version": "triage@1",
    }
    assert "azureml-model-deployment" not in place.server.asked[0].headers
    assert place.server.asked[1].headers["azureml-model-deployment"] == "green"
    assert (unknown.code, 'Did you mean "green"?' in unknown.err) == (ExitCode.USAGE, True)


def test_an_answer_is_written_as_it_comes(place: Place) -> None:
    deploy_two(place)
    place.server.answer = lambda *_: Answer(
        b'data: {"label": "bil"}\n\ndata: {"label": "ling"}\n\n',
        headers={"Content-Type": "text/event-stream"},
    )

    streamed = place.run("deploy invoke --stream --inputs text=hello")

    assert streamed.out == '{"label": "bil"}\n{"label": "ling"}\n'


def test_logs_are_shown_for_one_or_all(place: Place) -> None:
    deploy_two(place)

    assert place.run("deploy logs --deployment green").out == "prepare\ncreate deployment\n"
    assert "==> blue" in place.run("deploy logs").out
    assert place.run("deploy logs --deployment red").code == ExitCode.USAGE


def test_shares_by_hand_are_checked(place: Place) -> None:
    deploy_two(place)

    assert place.run("deploy traffic green=x").code == ExitCode.USAGE
    assert place.run("deploy traffic green=101").code == ExitCode.USAGE
    far = place.run("deploy traffic green=100 --format json")
    assert (far.code, "X161" in far.err) == (ExitCode.STATE, True)
    assert [item["name"] for item in far.data["refusals"]] == ["shift"]
    dry = place.run("deploy traffic green=100 --dry-run --format json --allow shift")
    assert (dry.code, dry.data["traffic"]["after"]) == (0, {"green": 100})
    assert place.state().traffic == {"blue": 90, "green": 10}
    short = place.run("deploy traffic green=50 blue=40")
    assert (short.code, "X160" in short.err) == (ExitCode.STATE, True)


def test_taking_down_needs_a_yes_and_one_deployment_can_go_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_two(place)

    assert place.run("deploy destroy").code == ExitCode.USAGE
    with monkeypatch.context() as asked:
        asked.setattr("sys.stdin.isatty", lambda: True, raising=False)
        asked.setattr("click.confirm", lambda *_, **__: False)
        declined = place.run("deploy destroy")
    assert (declined.code, "Nothing was deleted." in declined.err) == (ExitCode.FAILED, True)
    assert place.state().exists
    assert place.run("deploy destroy --deployment green --yes").code == ExitCode.STATE
    assert place.run("deploy traffic blue=100").code == 0
    shown = place.run("deploy destroy --deployment green --dry-run")
    assert "- delete deployment green" in shown.out
    assert place.run("deploy destroy --deployment green --yes").code == 0
    assert [item.name for item in place.state().deployments] == ["blue"]


def test_changes_that_are_not_committed_make_a_flow_dirty(place: Place) -> None:
    evaluate(place)
    git(place.folder, "init", "-q")
    git(place.folder, "add", "flows")
    git(place.folder, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "flows")
    clean = place.run("deploy plan")
    change_prompt(place)
    evaluate(place)
    dirty = place.run("deploy plan")

    assert clean.code == 0, clean.err
    assert dirty.code == ExitCode.STATE
    assert "few_shot.jinja2" in dirty.err


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def test_a_folder_without_a_deployment_file_and_a_target_that_is_not_there_are_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "TARGETS", {"local": MEMORY})
    place.write("deployment.yaml", FILE.replace("local", "azureml") + AZURE)
    unknown = place.run("deploy plan")
    (place.folder / "deployment.yaml").unlink()
    missing = place.run("deploy plan")

    assert (unknown.code, "has no target azureml" in unknown.err) == (ExitCode.USAGE, True)
    assert (missing.code, "There is no deployment.yaml" in missing.err) == (ExitCode.USAGE, True)


AZURE = """\
azure: {subscription: s, resource_group: rg, workspace: ws}
size: {instance_type: Standard_DS3_v2}
"""
