"""The documentation says what the code says: generated pages, settings, links, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from headrace.cli.tree import build_root
from tests.support.reference_docs import (
    DOCS,
    render_commands_page,
    render_errors_page,
    render_evaluators_page,
)

ROOT = DOCS.parent
PAGES = sorted(path for path in (*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("flows/**/*.md")))
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r'"((?:HEADRACE|PF|PROMPTFLOW|OTEL|OPENAI|AZURE_OPENAI)_[A-Z_]+)"')


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_errors_page_is_up_to_date() -> None:
    written = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert written == render_errors_page(), "run: python -m tests.support.reference_docs"


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    read = set(SETTING.findall(code))
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`((?:HEADRACE|PF|PROMPTFLOW|OTEL|OPENAI|AZURE_OPENAI)_[A-Z_]+)", page))
    exporter_reads = {"OTEL_EXPORTER_OTLP_HEADERS"}  # by OpenTelemetry itself
    set_for_stock = {
        "PF_HOME_DIRECTORY",
        "PF_TRACING_SKIP_LOCAL_SETUP",
    }  # certify gives them to the other side
    without_effect = {"PROMPTFLOW_SERVING_ENGINE"}  # taken as it comes
    left_out_of_deployments = {"PF_DISABLE_TRACING", "PROMPTFLOW_MDC_ENABLE", "PROMPTFLOW_RUN_MODE"}
    assert read - documented - set_for_stock - left_out_of_deployments == set()
    assert documented - read - exporter_reads - without_effect == set()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{_name(page)} links to {target}"
        if anchor:
            headings = HEADING.findall(found.read_text(encoding="utf-8"))
            assert anchor in {_slug(heading) for heading in headings}, (
                f"{_name(page)} links to {target}#{anchor}"
            )


def test_every_page_is_reached_from_the_index() -> None:
    linked = {target for target, _ in LINK.findall((DOCS / "index.md").read_text(encoding="utf-8"))}
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"index.md"}
    assert pages - linked == set()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pages_speak_of_the_project_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:^|[\s`(\"'])/(?:work|tmp|home|root|Users)/", text)
    assert "TODO" not in text


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in SHELL.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("headrace "):
                    yield _name(page), line


@pytest.mark.parametrize(("page", "line"), list(_commands()))
def test_commands_in_pages_exist_with_their_options(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = build_root()
    context = click.Context(command)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: {line}"
        command, words = found, words[1:]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options - known == set(), f"{page}: {line}"


def test_the_page_of_commands_names_every_command_of_the_tree() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == render_commands_page(written), "run: python -m tests.support.reference_docs"
    for name in ("experiment resume", "flow tag", "data versions", "serve-key create", "compare"):
        assert f"| `headrace {name}` |" in written


def test_the_page_of_evaluators_says_what_the_registry_says() -> None:
    written = (DOCS / "evaluators.md").read_text(encoding="utf-8")
    assert written == render_evaluators_page(written), "run: python -m tests.support.reference_docs"
