"""The page about deployments: its plan is the one that is printed, and it names every refusal and key there is."""

import re
import shlex
from pathlib import Path

import pytest

from headrace.cli.deploy_view import plan_to_json, state_to_json
from headrace.deploy.safety import REFUSALS
from headrace.domain.deployment import DeployPlan, EndpointState
from tests.support.deploying import deploying
from tests.support.deployments import an_endpoint
from tests.support.documented import page_blocks
from tests.support.reference_docs import DOCS

PAGE = DOCS / "deploying.md"


def section(page: Path, heading: str) -> str:
    """The text below ``heading``, up to the next heading."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def blocks(language: str, heading: str | None = None) -> list[str]:
    return [
        block.text
        for block in page_blocks(PAGE)
        if block.language == language and heading in (None, block.heading)
    ]


def test_the_plan_of_the_page_is_the_one_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with deploying(tmp_path, capsys, monkeypatch) as place:
        place.write("deployment.yaml", blocks("yaml")[0])
        first = shlex.split(blocks("sh", "The first version")[0].splitlines()[0])
        assert place.run(shlex.join(first[1:])).code == 0

        planned = place.run("deploy plan").out

    shown = blocks("text", "The first version")[0]
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
