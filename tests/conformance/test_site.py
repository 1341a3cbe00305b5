"""The documentation becomes a site that is whole: every page is in its navigation, no link is dead, nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.support import site
from tests.support.reference_docs import DOCS

FETCHED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^>]*""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages and site of this checkout."""
    found = tmp_path_factory.mktemp("site")
    done = site.build(found)
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_every_page_is_in_the_navigation_once_and_on_the_site(folder: Path) -> None:
    navigation = yaml.safe_load((folder / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = [
        page
        for entry in navigation
        for value in entry.values()
        for page in (
            [value] if isinstance(value, str) else [item for leaf in value for item in leaf.values()]
        )
    ]
    assert sorted(pages) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    missing = [page for page in pages if not (folder / "site" / page).with_suffix(".html").is_file()]
    assert missing == []


def test_nothing_is_fetched_from_elsewhere_and_everything_can_be_searched(folder: Path) -> None:
    pages = list((folder / "site").rglob("*.html"))
    styles = "".join(path.read_text(encoding="utf-8") for path in (folder / "site").rglob("*.css"))
    fetched = {found for path in pages for found in FETCHED.findall(path.read_text(encoding="utf-8"))}
    searched = json.loads((folder / "site" / "search.json").read_text(encoding="utf-8"))

    assert fetched == set()
    assert re.findall(r"(?:url\(|@import)\s*[\"']?https?:", styles) == []
    assert "Container Apps" in json.dumps(searched)


def test_a_file_of_the_repository_that_a_page_links_to_is_a_page(folder: Path) -> None:
    page = (folder / "docs" / "deployment-file.md").read_text(encoding="utf-8")
    assert "(repository/flows/triage/deployment.yaml.md)" in page
    shown = (folder / "docs" / "repository/flows/triage/deployment.yaml.md").read_text(encoding="utf-8")
    assert "target: local" in shown


def test_a_dead_link_makes_the_build_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text("# A\n\n### Start\n\n- [Other](other.md)\n", encoding="utf-8")
    (pages / "other.md").write_text("# B\n\n[nowhere](index.md#nowhere)\n", encoding="utf-8")
    monkeypatch.setattr(site, "DOCS", pages)

    done = site.build(tmp_path / "built")

    assert done.returncode != 0
    assert "anchor does not exist" in done.stdout + done.stderr
