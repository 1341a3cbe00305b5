"""``new``: the version of a deployment file, for pipelines, which do not know which of the two places holds it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_deploying import FILE, change_prompt, deploy_two, evaluate
from tests.support.deploying import Place, deploying

from headrace.errors import ExitCode

STEPS = ("deploy traffic new=50 --at-least", "deploy traffic new=100 --at-least")
EXPERIMENT = """\
flow: flows/triage
data: one.jsonl
column_mapping: {text: "${data.text}"}
factors:
  flow:
  - {name: here, path: flows/triage}
  - {name: there, deployed: deployment.yaml, arm: new, inputs: [text], outputs: {label: label}}
evaluators:
- {builtin: exact_match, name: right, column_mapping: {prediction: "${run.outputs.label}", reference: "${data.text}"}}
metrics: [right]
"""


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with deploying(tmp_path, capsys, monkeypatch) as made:
        made.write("deployment.yaml", FILE)
        yield made


def test_the_first_version_keeps_everything_and_the_second_goes_step_by_step(place: Place) -> None:
    evaluate(place)
    place.run("deploy apply")
    for step in STEPS:
        assert place.run(step).out == "Nothing to do.\n"
    assert place.state().traffic == {"blue": 100}

    change_prompt(place)
    evaluate(place)
    place.run("deploy apply")
    shares = []
    for step in STEPS:
        assert place.run(step).code == 0
        shares.append(place.state().traffic)
    assert shares == [{"blue": 50, "green": 50}, {"green": 100}]
    assert place.run(STEPS[0]).out == "Nothing to do.\n"


@pytest.mark.parametrize("n_moves", [0, 1, 2])
def test_a_bad_version_is_out_whatever_moves_brought_it_in(place: Place, n_moves: int) -> None:
    deploy_two(place)
    for step in STEPS[:n_moves]:
        place.run(step)

    back = place.run("deploy rollback --deployment new")

    assert back.code == 0, back.err
    assert place.state().traffic == {"blue": 100}
    assert place.run("deploy rollback --deployment new").out == "Nothing to do.\n"
    assert place.run("deploy apply").out.startswith("Nothing to do")


def test_the_first_version_has_nobody_to_give_way_to(place: Place) -> None:
    evaluate(place)
    place.run("deploy apply")

    back = place.run("deploy rollback --deployment new")

    assert back.code == ExitCode.STATE
    assert "X149" in back.err
    assert "nobody did before" in back.err
    assert place.state().traffic == {"blue": 100}


def test_who_answered_before_must_be_what_it_was(place: Place) -> None:
    deploy_two(place)
    for step in STEPS:
        place.run(step)
    place.meanwhile(lambda memory: memory["deployments"]["blue"]["tags"].update({"headrace-spec": "0" * 64}))

    assert "X149" in place.run("deploy rollback --deployment new").err


def test_what_is_not_there_yet_needs_no_way_back(place: Place) -> None:
    evaluate(place)
    place.run("deploy apply")
    change_prompt(place)

    assert place.run("deploy rollback --deployment new").out == "Nothing to do.\n"
    assert place.run("deploy traffic new=50").code == ExitCode.USAGE
    assert "X143" in place.run("deploy rollback --deployment gren").err


def test_arms_have_names_of_their_own(place: Place) -> None:
    arm = 'arms: [{name: few, variant: "${classify.few_shot}", traffic: 100}]\n'
    place.write("deployment.yaml", FILE + arm)
    evaluate(place)
    place.run("deploy apply")
    assert "X143" in place.run("deploy traffic new=50").err


def test_at_least_is_about_shares_that_are_given(place: Place) -> None:
    assert "C507" in place.run("deploy traffic --from-test traffic.yaml --at-least").err


def test_the_new_version_is_asked_and_compared_with_what_lies_here(place: Place) -> None:
    deploy_two(place)
    place.run("deploy invoke --deployment new")
    assert place.server.asked[-1].headers["azureml-model-deployment"] == "green"
    place.server.asked.clear()
    place.write("experiment.yaml", EXPERIMENT)

    ran = place.run("experiment run experiment.yaml")

    assert ran.code == 0, ran.err
    assert {item.headers["azureml-model-deployment"] for item in place.server.asked} == {"green"}


def test_a_plan_is_a_comment_of_a_pull_request(place: Place) -> None:
    refused = place.run("deploy plan --format markdown")
    assert refused.code == ExitCode.STATE
    assert re.match(r"## Plan: triage on local, 5 steps\n```text\n  \+ create endpoint triage\n", refused.out)
    assert "- **Refused, `dirty`**: " in refused.out

    allowed = place.run("deploy plan --format markdown --allow dirty")
    assert allowed.code == 0
    assert "- **Overridden, `dirty`**: " in allowed.out
    place.run("deploy apply --allow dirty")
    same = place.run("deploy plan --format markdown").out
    assert same == "## Plan: Nothing to do: triage on local is as the file says.\n"
