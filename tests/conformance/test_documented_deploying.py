"""The page about deployments: its commands do what it says, and it names every refusal and key there is."""

import re
import shlex
from pathlib import Path

import pytest

from headrace.cli.deploy_view import plan_to_json, state_to_json
from headrace.deploy.safety import REFUSALS
from headrace.domain.deployment import DeployPlan, EndpointState
from tests.conformance.test_documented_commands import blocks, section
from tests.support.deploying import Place, deploying
from tests.support.deployments import an_endpoint
from tests.support.reference_docs import DOCS

PAGE = DOCS / "deploying.md"
WALK = ("The first version", "A new version", "Back", "Arms", "Taking down")
REACHED = {
    "The first version": {"blue": 100},
    "A new version": {"green": 100},
    "Back": {"blue": 50, "green": 50},
    "Arms": {"few-shot": 90, "zero-shot": 10},
    "Taking down": {},
}


def change_prompt(folder: Path) -> None:
    prompt = folder / "flows/triage/few_shot.jinja2"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")


def walk(place: Place, heading: str) -> None:
    for block in blocks(section(PAGE, heading), "yaml"):
        name = block.partition("\n")[0].removeprefix("# ")
        place.write(name, block)
    lines = [line for block in blocks(section(PAGE, heading), "sh") for line in block.splitlines()]
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "headrace"
        said = place.run(shlex.join(words))
        assert said.code == 0, f"{line}\n{said.err}"


def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with deploying(tmp_path, capsys, monkeypatch) as place:
        place.write("deployment.yaml", blocks(PAGE.read_text(encoding="utf-8"), "yaml")[0])
        for heading in WALK:
            if heading == "A new version":
                change_prompt(tmp_path)
            walk(place, heading)
            assert place.state().traffic == REACHED[heading], heading


def test_the_plan_of_the_page_is_the_one_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with deploying(tmp_path, capsys, monkeypatch) as place:
        place.write("deployment.yaml", blocks(PAGE.read_text(encoding="utf-8"), "yaml")[0])
        first = shlex.split(blocks(section(PAGE, "The first version"), "sh")[0].splitlines()[0])
        assert place.run(shlex.join(first[1:])).code == 0

        planned = place.run("deploy plan").out

    shown = blocks(section(PAGE, "The first version"), "text")[0]
    assert _without_digests(planned) == _without_digests(shown)


def _without_digests(text: str) -> str:
    return re.sub(r"[0-9a-f]{12}", "…", text)


def test_the_page_names_every_refusal_and_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z-]+)` \|", section(PAGE, "What is refused"), re.MULTILINE)
    plan = DeployPlan(endpoint=an_endpoint(), state=EndpointState(), changes=())
    keys = {*plan_to_json(plan, ()), *state_to_json(plan.endpoint, plan.state, ())}

    assert sorted(named) == sorted(REFUSALS)
    assert [key for key in keys if f"`{key}`" not in text] == []
