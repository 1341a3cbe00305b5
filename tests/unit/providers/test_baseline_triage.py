"""The triage flow with the baseline model: its data, its prompts, and why its variants differ."""

from __future__ import annotations

import json
import re
import sys
import types
from collections import Counter
from pathlib import Path
from runpy import run_path

import jinja2
import pytest

from headrace.providers.baseline import read_chat

FLOW = Path(__file__).parents[3] / "flows" / "triage"
VARIANTS = ("zero_shot", "one_shot", "few_shot")
ROLE = re.compile(r"^# (system|user):\n", re.MULTILINE)
EXAMPLE = re.compile(r"^Message: (.+)\nLabel: (\w+)$", re.MULTILINE)


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FLOW / "data" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def template(variant: str) -> str:
    return (FLOW / f"{variant}.jinja2").read_text("utf-8")


def answer(source: str, text: str) -> str:
    rendered = jinja2.Template(source, trim_blocks=True, keep_trailing_newline=True).render(text=text)
    pieces = ROLE.split(rendered)[1:]
    return read_chat(
        [{"role": r, "content": c.strip()} for r, c in zip(pieces[::2], pieces[1::2], strict=True)]
    ).text


def correct(source: str) -> int:
    return sum(answer(source, row["text"]) == row["label"] for row in rows("test"))


def logged_tool(file: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, dict[str, float]]:
    """The function of a tool file, loaded with the two names that it imports, and the metrics it will log."""
    metrics: dict[str, float] = {}
    module = types.ModuleType("promptflow.core")
    module.tool = lambda function: function  # type: ignore[attr-defined]
    module.log_metric = metrics.__setitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "promptflow", types.ModuleType("promptflow"))
    monkeypatch.setitem(sys.modules, "promptflow.core", module)
    return run_path(str(file))[name], metrics


@pytest.fixture(scope="module")
def labels() -> list[str]:
    listed = re.search(r"^Labels: (.+)$", template("zero_shot"), re.MULTILINE)
    assert listed
    return listed[1].split(", ")


def test_data_are_balanced_labelled_and_without_duplicates(labels: list[str]) -> None:
    train, test = rows("train"), rows("test")
    texts = [re.sub(r"\W+", " ", row["text"].lower()).strip() for row in train + test]
    assert len(set(texts)) == len(texts)
    assert len({row["id"] for row in train + test}) == len(texts)
    assert len(test) >= 90
    for part in (train, test):
        counts = Counter(row["label"] for row in part)
        assert sorted(counts) == sorted(labels)
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(("variant", "per_label"), [("zero_shot", 0), ("one_shot", 1), ("few_shot", 6)])
def test_examples_of_a_prompt_come_from_the_training_data(
    variant: str, per_label: int, labels: list[str]
) -> None:
    shown = EXAMPLE.findall(template(variant))
    assert set(shown) <= {(row["text"], row["label"]) for row in rows("train")}
    assert not {text for text, _ in shown} & {row["text"] for row in rows("test")}
    assert Counter(label for _, label in shown) == Counter(
        {label: per_label for label in labels if per_label}
    )
    assert f"Labels: {', '.join(labels)}\n" in template(variant)


def test_more_examples_answer_more_messages_right() -> None:
    zero, one, few = (correct(template(variant)) for variant in VARIANTS)
    assert zero < one < few
    assert few - zero >= 25


def test_the_examples_are_the_reason() -> None:
    right = template("few_shot")
    shown = EXAMPLE.findall(right)
    rotated = [*shown[1:], shown[0]]
    wrong = right
    for (text, label), (_, other) in zip(shown, rotated, strict=True):
        wrong = wrong.replace(f"Message: {text}\nLabel: {label}\n", f"Message: {text}\nLabel: {other}\n")
    assert correct(wrong) < correct(right) / 2


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        ("billing", "billing"),
        (" Label: Billing.\n", "billing"),
        ("**how-to**", "how_to"),
        ('{"label": "feature request"}', "feature_request"),
        ("bug or performance", "unknown"),
        ("debugging", "unknown"),
        ("I don't know.", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_answer_is_brought_into_the_spelling_of_a_label(
    raw: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, _ = logged_tool(FLOW / "parse_label.py", "parse_label", monkeypatch)
    assert callable(parse)
    assert parse(raw) == label


def test_the_parser_knows_the_labels_of_the_prompts(
    labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, _ = logged_tool(FLOW / "parse_label.py", "LABELS", monkeypatch)
    assert known == tuple(labels)


def test_evaluation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FLOW / "evaluation" / "classification"
    grade, _ = logged_tool(folder / "grade_label.py", "grade_label", monkeypatch)
    summarize, metrics = logged_tool(folder / "summarize_labels.py", "summarize_labels", monkeypatch)
    assert callable(grade)
    assert callable(summarize)
    pairs = [("a", "A "), ("a", "b"), ("b", "b"), ("b", "b"), ("c", "unknown")]
    grades = [grade(groundtruth=truth, prediction=prediction) for truth, prediction in pairs]
    summary = summarize(grades)
    assert [one["correct"] for one in grades] == [1, 0, 1, 1, 0]
    # a: 1 hit of 2 true, 1 predicted; b: 2 hits of 2 true, 3 predicted; c: none.
    assert summary["f1"] == pytest.approx({"a": 2 / 3, "b": 4 / 5, "c": 0.0})
    assert metrics == pytest.approx({"accuracy": 3 / 5, "macro_f1": (2 / 3 + 4 / 5) / 3})
    assert summary["confusion"] == {"a": {"a": 1, "b": 1}, "b": {"b": 2}, "c": {"unknown": 1}}


def test_evaluation_of_no_line_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = FLOW / "evaluation" / "classification" / "summarize_labels.py"
    summarize, metrics = logged_tool(file, "summarize_labels", monkeypatch)
    assert callable(summarize)
    assert summarize([]) == {"lines": 0, "f1": {}, "confusion": {}}
    assert metrics == {}
