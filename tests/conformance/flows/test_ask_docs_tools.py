"""The Python tools of flows/ask_docs and of its evaluation flow, called directly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.compat import install

FLOW = Path(__file__).resolve().parents[3] / "flows" / "ask_docs"


def _load(path: str) -> dict[str, Any]:
    install()
    file = FLOW / path
    names: dict[str, Any] = {"__file__": str(file), "__name__": file.stem}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)  # noqa: S102 - our own tool file
    return names


ANSWERS = [
    ("130 [docs/errors.md#exit-codes]", "130", ["docs/errors.md#exit-codes"]),
    ("130.[docs/errors.md#exit-codes]", "130.", ["docs/errors.md#exit-codes"]),
    (
        "[docs/a.md#b] It is 4 [docs/a.md#b] or 5 [docs/x/y.md#z].",
        "It is 4 or 5.",
        ["docs/a.md#b", "docs/x/y.md#z"],
    ),
    ("I don't know.", "I don't know.", []),
    ("use ${node.output.[0]} or a[1]", "use ${node.output.[0]} or a[1]", []),
    ("see [the page](docs/a.md#b)", "see [the page](docs/a.md#b)", []),
    ("", "", []),
]


@pytest.mark.parametrize(("text", "answer", "citations"), ANSWERS)
def test_an_answer_is_taken_apart(text: str, answer: str, citations: list[str]) -> None:
    assert _load("answer.py")["split_answer"](text) == {"text": answer, "citations": citations}


SOURCE = "docs/errors.md#exit-codes"
SCORES = [
    ("exit code 130", "Exit Code 130!", 1.0, 1.0),
    ("exit code 130", "exit-code 130", 0.0, 2 / 5),
    ("130", "130.", 1.0, 1.0),
    ("the first line", "first line", 1.0, 1.0),
    ("one two", "two one", 0.0, 1.0),
    ("60 seconds", "60", 0.0, 2 / 3),
    ("60 seconds", "", 0.0, 0.0),
    ("x x y", "x y y", 0.0, 2 / 3),
]


@pytest.mark.parametrize(("expected", "given", "exact_match", "f1"), SCORES)
def test_wording_is_scored(expected: str, given: str, exact_match: float, f1: float) -> None:
    scores = _load("evaluation/answer/score.py")["score"](expected, given, SOURCE, [SOURCE], [SOURCE])
    assert (scores["exact_match"], scores["f1"]) == (exact_match, pytest.approx(f1))


SECTIONS = [
    (SOURCE, [SOURCE], [SOURCE, "docs/a.md#b"], 1.0, 1.0),
    (SOURCE, [], ["docs/a.md#b"], 0.0, 0.0),
    (SOURCE, [SOURCE, "docs/a.md#b"], [SOURCE], 1.0, 0.0),
    ("", [], ["docs/a.md#b"], None, 1.0),
    ("", [SOURCE], [], None, 0.0),
]


@pytest.mark.parametrize(("source", "citations", "sources", "retrieval_hit", "citation"), SECTIONS)
def test_sections_are_scored(
    source: str, citations: list[str], sources: list[str], retrieval_hit: float | None, citation: float
) -> None:
    scores = _load("evaluation/answer/score.py")["score"]("x", "x", source, citations, sources)
    assert (scores["retrieval_hit"], scores["citation"]) == (retrieval_hit, citation)


def test_means_leave_out_what_is_missing() -> None:
    log_means = _load("evaluation/answer/log_means.py")["log_means"]
    line = {"exact_match": 1.0, "f1": 1.0, "retrieval_hit": None, "citation": 1.0}
    other = {"exact_match": 0.0, "f1": 0.5, "retrieval_hit": 0.0, "citation": 0.0}
    assert log_means([line, other]) == {"exact_match": 0.5, "f1": 0.75, "retrieval_hit": 0.0, "citation": 0.5}
    assert log_means([line]) == {"exact_match": 1.0, "f1": 1.0, "citation": 1.0}
    assert log_means([]) == {}
