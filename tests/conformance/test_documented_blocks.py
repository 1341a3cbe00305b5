"""Every code block of the pages is walked through here, or says in its page why it is not."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from headrace.errors import DefinitionError
from tests.support.documented import PAGES, ROOT, find_faults, page_blocks, read_blocks
from tests.support.page_files import KINDS
from tests.support.prepared_pages import LIMITED, PREPARED, Prepared
from tests.support.reference_docs import copy_project, render_readme, run_demo
from tests.support.tool_nodes import serving_names
from tests.support.walking import open_place

NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCKS = {name: page_blocks(ROOT / name) for name in NAMES}
WALKED_BY = {
    "docs/azure-guide.md": "tests/conformance/test_guide.py",
    "docs/moving.md": "tests/conformance/test_moving.py",
    "docs/moving-from-the-template.md": "tests/conformance/test_moving.py",
}
"""Pages that have a walk of their own."""

SHOWN = [
    block
    for blocks in BLOCKS.values()
    for block in blocks
    if block.language == "yaml" and block.kind and block.page not in WALKED_BY
]
WALKED = [name for name in NAMES if any(block.is_walked for block in BLOCKS[name]) and name not in WALKED_BY]


@pytest.mark.parametrize("page", [name for name in NAMES if BLOCKS[name]])
def test_every_block_can_be_walked_or_says_why_not(page: str) -> None:
    faults = [
        f"{block.place}: {fault}" for block in BLOCKS[page] for fault in find_faults(block, frozenset(KINDS))
    ]
    assert faults == []


@pytest.mark.parametrize("page", WALKED)
def test_the_page_does_what_it_shows(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared = PREPARED.get(page, Prepared())
    with ExitStack() as stack:
        place = open_place(tmp_path, capsys, stack)
        prepared.make(place)
        for heading, blocks in groupby(BLOCKS[page], lambda block: block.heading):
            if heading in prepared.at:
                prepared.at[heading](place)
            place.walk(blocks)


def test_the_readme_shows_the_board_of_the_demo(tmp_path: Path) -> None:
    copy_project(tmp_path)
    with serving_names(tmp_path):
        demo = run_demo(tmp_path)
    assert demo.splitlines()[-1].startswith("report: .headrace/reports/ask_docs-")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(readme, demo), "run: make docs"


FAULTS = {
    "```\nheadrace run list\n```": "the language",
    "```bash\nheadrace run list\n```": "the language",
    "```text\nheadrace run list\n```": "begins with a command",
    "```yaml\nname: a\n```": "says above it what it is",
    "<!-- experimet: a.yaml -->\n```yaml\nname: a\n```": "'experimet' is none of",
    "<!-- not run: -->\n```sh\npip install headrace\n```": "a reason is missing",
    "<!-- not run: too slow -->\n```sh\nheadrace run list\n```": "begins like none of",
    "<!-- not run: needs docker -->\n```sh\ndocker build .\nheadrace run list\n```": "'headrace run list' can be run",
    "<!-- not run: needs a package index -->\n```sh\npip install a && headrace run list\n```": "can be run",
    "<!-- not run: takes minutes, `make nothing` -->\n```sh\nmake bench\n```": "no target nothing",
    "<!-- not run: needs docker; tests/nothing.py runs it -->\n```sh\ndocker build .\n```": "no tests/nothing.py",
    "<!-- not run: needs docker -->\n<!-- run: a.yaml -->\n```yaml\nname: a\n```": "is read",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_block_that_is_neither_walked_nor_marked_as_it_should_be_is_found(text: str) -> None:
    (block,) = read_blocks("a.md", text)
    faults = list(find_faults(block, frozenset(KINDS)))
    assert len(faults) == 1
    assert FAULTS[text] in faults[0]


@pytest.mark.parametrize("kind", sorted({block.kind for block in SHOWN}))
def test_a_misspelled_key_of_a_page_is_found(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = next(block for block in SHOWN if block.kind == kind)
    text = re.sub(r"^(\W*)(\w)(\w+:)", r"\1\2\2\3", block.text, count=1, flags=re.MULTILINE)
    misspelled = replace(block, text=text)
    assert misspelled != block
    with ExitStack() as stack:
        place = open_place(tmp_path, capsys, stack)
        PREPARED.get(block.page, Prepared()).make(place)
        with pytest.raises((DefinitionError, AssertionError, ValueError)):
            place.walk([misspelled])


@pytest.mark.parametrize("page", WALKED_BY)
def test_a_walk_of_its_own_names_its_page(page: str) -> None:
    assert Path(page).name in (ROOT / WALKED_BY[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PREPARED)
def test_every_page_that_is_prepared_is_walked(page: str) -> None:
    assert page in WALKED
    headings = {block.heading for block in BLOCKS[page]}
    prepared = PREPARED[page]
    assert set(prepared.at) <= headings
    text = "\n".join(line for block in BLOCKS[page] for line in (*block.lines(), block.text))
    known = {*prepared.replaced, *prepared.codes, *prepared.after}
    given = (LIMITED, *prepared.commands)
    assert [name for name in known if name not in text and name not in given] == []


WRONG = {
    "```sh\nheadrace run show --name nobody\n```": "nobody",
    "```sh\nheadrace evaluator list\nrake\n```": "neither runs nor is marked",
    "```sh\necho $NOBODY_SETS_THIS\n```": "NOBODY_SETS_THIS is not set",
    "```sh\ngit no-such-command | cat && false\n```": "no-such-command",
    "```python\nimport headrace\nheadrace.nothing\n```": "nothing",
    "```python\nprint()\n```": "a.md:1",
    '```sh\nheadrace flow test --flow flows/triage\n```\n```json\n{"label": "…"}\n```': "a.md:4",
    "<!-- part of experiment: flows/triage/experiment.yaml -->\n```yaml\nmetrcs: [f1]\n```": "metrcs",
    "<!-- part of flow: flows/triage/flow.dag.yaml, nodes -->\n```yaml\n- {nme: a}\n```": "no key 'name'",
    "<!-- steps: a.yml -->\n```yaml\n- uses: OWNER/headrace/.github/actions/gate@v1\n  with: {experimnt: a.yaml}\n```": "gate@v1",
}
"""Pages that show what does not work, and a part of what is said of it."""


@pytest.mark.parametrize("text", WRONG)
def test_a_page_that_shows_what_does_not_work_is_found(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        place = open_place(tmp_path, capsys, stack)
        with pytest.raises((AssertionError, AttributeError, DefinitionError)) as caught:
            place.walk(read_blocks("a.md", text))
    assert WRONG[text] in "\n".join((str(caught.value), *caught.value.__notes__))
