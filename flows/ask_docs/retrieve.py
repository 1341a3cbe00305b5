"""Finds the sections of the documentation that match a search text best, within a budget of characters."""

import re
import sqlite3
import threading
import weakref
from functools import lru_cache
from pathlib import Path

from promptflow.core import tool

HEADING = re.compile(r"^#{1,3} +(.+?) *$")
COMMENT = re.compile(r"^<!-- .*-->$")
FENCE = re.compile(r"^(```|~~~)")
WORD = re.compile(r"\w+")
ROLE_LINE = re.compile(
    r"^(\s*)(#?\s*(?:system|user|assistant|function|tool)\s*:)[^\S\n]*$", re.IGNORECASE | re.MULTILINE
)

# A word in a title says more about a section than the same word in its text.
TITLE_WEIGHT, TEXT_WEIGHT = 3.0, 1.0


@tool
def retrieve(query: str, docs: str, budget_chars: int = 3000, most: int = 5) -> dict:
    """Returns `context`, the text for the prompt, and `sources`, the ids of the sections in it, best first.

    Args:
        query: Words to search for.
        docs: Folder of Markdown pages, relative to the flow's folder.
        budget_chars: The most characters that the context may have.
        most: The most sections.
    """
    folder = (Path(__file__).parent / docs).resolve()
    blocks, sources, left = [], [], budget_chars
    for source, title, text in _index(folder).search(query, limit=4 * most):
        block = f"[{source}]\n## {title}\n{without_roles(text)}\n"
        if not sources:
            block = block[:left]
        if len(block) <= left and len(sources) < most:
            blocks.append(block)
            sources.append(source)
            left -= len(block) + 1
    return {"context": "\n".join(blocks).strip(), "sources": sources}


def chunk_page(page: str, markdown: str) -> list[tuple[str, str, str]]:
    """Cuts a page at its headings into (id, title, text); ids look like `docs/errors.md#exit-codes`."""
    chunks, taken = [], set()
    sections = _sections(markdown)
    for heading, text in sections:
        slug = _slug(heading, taken)
        title = heading if heading == sections[0][0] else f"{sections[0][0]}: {heading}"
        if text:
            chunks.append((f"{page}#{slug}", title, text))
    return chunks


def without_roles(text: str) -> str:
    """Puts role lines of quoted templates in code marks, so that a page cannot open a chat message."""
    return ROLE_LINE.sub(r"\1`\2`", text)


def _sections(markdown: str) -> list[tuple[str, str]]:
    """Every heading down to the third level with the text below it; headings inside code are text."""
    sections, is_code = [], False
    for line in markdown.splitlines():
        is_code ^= bool(FENCE.match(line))
        if not is_code and COMMENT.match(line):
            continue  # readers do not see it
        heading = None if is_code else HEADING.match(line)
        if heading:
            sections.append((heading[1], []))
        elif sections:
            sections[-1][1].append(line)
    return [(heading, "\n".join(lines).strip()) for heading, lines in sections]


def _slug(heading: str, taken: set[str]) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    slug, count = plain, 0
    while slug in taken:
        count += 1
        slug = f"{plain}-{count}"
    taken.add(slug)
    return slug


class Index:
    """All sections of a folder of pages in a full-text table in memory."""

    def __init__(self, folder: Path):
        pages = sorted(folder.rglob("*.md"))
        if not pages:
            message = f"no Markdown pages in {folder.name!r}; the input 'docs' names their folder"
            raise FileNotFoundError(message)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        try:
            self._database.execute(
                "create virtual table chunk using fts5 (id unindexed, title, text, tokenize='porter')"
            )
        except sqlite3.OperationalError as error:
            message = (
                f"SQLite {sqlite3.sqlite_version} of this Python lacks FTS5, the full-text search used here"
            )
            raise RuntimeError(message) from error
        for page in pages:
            name = f"{folder.name}/{page.relative_to(folder).as_posix()}"
            chunks = chunk_page(name, page.read_text(encoding="utf-8"))
            self._database.executemany("insert into chunk values (?, ?, ?)", chunks)

    def search(self, query: str, limit: int) -> list[tuple[str, str, str]]:
        """The best sections for any of the words, by BM25; ties in the order of the pages."""
        words = " OR ".join(f'"{word}"' for word in WORD.findall(query))
        if not words:
            return []
        order = f"bm25(chunk, 0.0, {TITLE_WEIGHT}, {TEXT_WEIGHT}), rowid"
        sql = f"select id, title, text from chunk where chunk match ? order by {order} limit ?"  # noqa: S608 - constants
        with self._lock:
            return self._database.execute(sql, (words, limit)).fetchall()


_building = threading.Lock()


def _index(folder: Path) -> Index:
    # Lines run at the same time: the first one builds the index, the others wait for it.
    with _building:
        return _built_index(folder)


@lru_cache(maxsize=4)
def _built_index(folder: Path) -> Index:
    return Index(folder)
