"""The pages' Python blocks that need nothing of the reader's run as they stand, in a copy of the project."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path

import pytest

from tests.support.reference_docs import DOCS, copy_project
from tests.support.tool_nodes import serving_names

SECTIONS = {"python-sdk.md": "Comparing arms from Python"}
"""Page to the section whose blocks run here."""


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(SECTIONS[page])}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found
    return re.findall(r"^```python\n(.*?)^```", found[1], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in SECTIONS for number in range(len(blocks(page)))]
)
def test_python_of_the_pages_runs(
    page: str,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_project(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    block = blocks(page)[number]
    with chdir(tmp_path), serving_names(tmp_path):
        exec(compile(block, f"{page}, block {number}", "exec"), {})  # noqa: S102 - the page's own code
    assert bool(capsys.readouterr().out.strip()) == ("print(" in block)
