"""The questions of flows/ask_docs rest on the documentation as it stands, and the examples stay out of the test."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.compat import install

FLOW = Path(__file__).resolve().parents[3] / "flows" / "ask_docs"
DOCS = FLOW.parents[1] / "docs"
COLUMNS = {"id", "question", "answer", "source", "kind"}
KINDS = {"fact", "command", "number", "definition", "none"}
UNKNOWN = "I don't know."
EXAMPLE = re.compile(
    r"# user:\nQuestion: (?P<question>.+)\n\n# assistant:\n(?P<answer>.+?)(?: \[(?P<source>[^\]]+)\])?\n"
)


def _read(split: str) -> list[dict[str, str]]:
    text = (FLOW / "data" / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


LINES = {split: _read(split) for split in ("train", "test")}
EVERY_LINE = [pytest.param(line, id=line["id"]) for lines in LINES.values() for line in lines]


def _retrieve_module() -> dict[str, Any]:
    install()
    path = FLOW / "retrieve.py"
    names: dict[str, Any] = {"__file__": str(path), "__name__": "retrieve"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)  # noqa: S102 - our own tool file
    return names


@pytest.fixture(scope="module")
def retrieve() -> dict[str, Any]:
    return _retrieve_module()


@pytest.fixture(scope="module")
def sections(retrieve: dict[str, Any]) -> dict[str, str]:
    pages = {f"docs/{path.relative_to(DOCS).as_posix()}": path for path in DOCS.rglob("*.md")}
    return {
        source: f"{title}\n{text}"
        for name, path in pages.items()
        for source, title, text in retrieve["chunk_page"](name, path.read_text(encoding="utf-8"))
    }


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").lower().split())


def test_there_are_enough_lines_of_every_kind() -> None:
    assert len(LINES["test"]) >= 60
    assert sum(map(len, LINES.values())) >= 80
    for lines in LINES.values():
        assert {line["kind"] for line in lines} == KINDS


def test_splits_are_disjoint() -> None:
    lines = [line for split in LINES.values() for line in split]
    assert len({line["id"] for line in lines}) == len(lines)
    assert len({_plain(line["question"]) for line in lines}) == len(lines)
    known = {(line["answer"], line["source"]) for line in LINES["train"] if line["source"]}
    assert not known & {(line["answer"], line["source"]) for line in LINES["test"]}


@pytest.mark.parametrize("line", EVERY_LINE)
def test_source_holds_the_answer(line: dict[str, str], sections: dict[str, str]) -> None:
    assert set(line) == COLUMNS
    assert all(isinstance(value, str) for value in line.values())
    if line["kind"] == "none":
        assert (line["answer"], line["source"]) == (UNKNOWN, "")
    else:
        assert line["source"] in sections
        assert _plain(line["answer"]) in _plain(sections[line["source"]])


@pytest.mark.parametrize("template", ["few_shot.jinja2", "retrieval_few_shot.jinja2"])
def test_examples_come_from_train(template: str) -> None:
    shown = [match.groupdict() for match in EXAMPLE.finditer((FLOW / template).read_text(encoding="utf-8"))]
    train = {line["question"]: line for line in LINES["train"]}
    assert len(shown) >= 5
    for example in shown:
        line = train[example["question"]]
        assert example["answer"] == line["answer"]
        assert (example["source"] or "") == line["source"]


def test_context_stays_within_its_budget_and_starts_with_the_best(retrieve: dict[str, Any]) -> None:
    for budget in (200, 1000, 3000):
        found = retrieve["retrieve"]("exit codes", "../../docs", budget)
        assert found["sources"][0] == "docs/errors.md#exit-codes"
        assert len(found["context"]) <= budget
        for source in found["sources"]:
            assert f"[{source}]" in found["context"]


def test_a_page_cannot_open_a_chat_message(retrieve: dict[str, Any]) -> None:
    found = retrieve["retrieve"]("chat roles role line words system user assistant", "../../docs", 6000)
    assert "docs/flow-format.md#chat-roles" in found["sources"]
    assert "`# system:`" in found["context"]
    assert not re.search(
        r"^\s*#?\s*(?:system|user|assistant|function|tool)\s*:\s*$", found["context"], re.MULTILINE
    )


def test_nothing_is_found_for_no_words(retrieve: dict[str, Any]) -> None:
    assert retrieve["retrieve"]("?", "../../docs") == {"context": "", "sources": []}


def test_a_folder_without_pages_is_named(retrieve: dict[str, Any]) -> None:
    with pytest.raises(FileNotFoundError, match="no Markdown pages in 'nowhere'"):
        retrieve["retrieve"]("anything", "nowhere")


def test_headings_inside_code_do_not_cut_a_page(retrieve: dict[str, Any]) -> None:
    page = "# Title\n\nIntro.\n\n## One\n\n```sh\n# a comment\nrun\n```\n\n## One\n\nAgain.\n"
    assert retrieve["chunk_page"]("docs/p.md", page) == [
        ("docs/p.md#title", "Title", "Intro."),
        ("docs/p.md#one", "Title: One", "```sh\n# a comment\nrun\n```"),
        ("docs/p.md#one-1", "Title: One", "Again."),
    ]
