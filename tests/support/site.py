"""The documentation as a site. ``python -m tests.support.site`` builds it into ``build/site``; ``make site`` does so.

The pages are staged first: their order is that of ``docs/index.md``, and files outside of ``docs`` that a page links to
become pages of their own, so that the site is whole without the repository.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from tests.support.reference_docs import DOCS, ROOT

CONFIGURATION = ROOT / "mkdocs.yml"
INDEX = "index.md"
OUTSIDE = "repository"
_FENCE = re.compile(r"^(`{3,}).*?^\1\s*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_HEADING = re.compile(r"^### +(.+?) *\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)


def read_sections(index: str) -> dict[str, dict[str, str]]:
    """Headings of the list of pages, each with its pages: address to title, in the order of the list."""
    sections: dict[str, dict[str, str]] = {}
    for heading, text in _HEADING.findall(index):
        links = {target: title for title, target, _ in _LINK.findall(text) if target.endswith(".md")}
        if links:
            sections[heading] = links
    return sections


def navigation(sections: Mapping[str, Mapping[str, str]]) -> list[dict[str, object]]:
    """What ``nav`` says: the list itself, then its sections."""
    first: list[dict[str, object]] = [{"Home": INDEX}]
    return first + [
        {heading: [{title[:1].upper() + title[1:]: page} for page, title in pages.items()]}
        for heading, pages in sections.items()
    ]


def stage(folder: Path) -> Path:
    """Write pages and configuration into ``folder``, which is emptied; returns the configuration file."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "docs"
    shutil.copytree(DOCS, pages)
    waiting = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    staged = set(waiting)
    while waiting:
        name = waiting.pop()
        path = pages / name
        text, outside = _bring_links_inside(path.read_text(encoding="utf-8"), name)
        path.write_text(text, encoding="utf-8")
        for source in outside:
            page = _page_of(source)
            if page not in staged:
                staged.add(page)
                waiting.append(page)
                (pages / page).parent.mkdir(parents=True, exist_ok=True)
                (pages / page).write_text(_as_page(source), encoding="utf-8")
    settings = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    settings["nav"] = navigation(read_sections((DOCS / INDEX).read_text(encoding="utf-8")))
    written = folder / CONFIGURATION.name
    written.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return written


def _page_of(source: str) -> str:
    """The page of a file of the repository."""
    return f"{OUTSIDE}/{source}" if source.endswith(".md") else f"{OUTSIDE}/{source}.md"


def _source_of(page: str) -> str:
    """The file of the repository that a page was made of."""
    return page.removeprefix(f"{OUTSIDE}/") if page.startswith(f"{OUTSIDE}/") else f"docs/{page}"


def _bring_links_inside(text: str, page: str) -> tuple[str, list[str]]:
    """The text with links to files outside of ``docs`` led to pages of theirs, and these files."""
    folder, here, outside = posixpath.dirname(_source_of(page)), posixpath.dirname(page), []

    def lead(link: re.Match[str]) -> str:
        label, target, anchor = link.groups()
        source = posixpath.normpath(posixpath.join(folder, target))
        if source.startswith("docs/"):
            inside = source.removeprefix("docs/")
        elif (ROOT / source).is_file():
            outside.append(source)
            inside = _page_of(source)
        else:
            return label
        return f"[{label}]({posixpath.relpath(inside, here or '.')}{anchor or ''})"

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(lead, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(lead, text[end:])]), outside


def _as_page(source: str) -> str:
    text = (ROOT / source).read_text(encoding="utf-8")
    if source.endswith(".md"):
        return text
    return f"# {posixpath.basename(source)}\n\n`{source}`\n\n`````\n{text}`````\n"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site in ``folder``; what it finds wrong with the pages makes it fail."""
    configuration = stage(folder)
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(configuration)],
        check=False,
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
    )


def main(arguments: Sequence[str]) -> int:
    """Build, and move the result to the folder that is named, ``build/site`` unless one is."""
    target = Path(arguments[0]) if arguments else ROOT / "build" / "site"
    pages = ROOT / "build" / "pages"
    done = build(pages)
    sys.stderr.write(done.stdout + done.stderr)
    if done.returncode == 0:
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(pages / "site", target)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
