"""The flow does what was shown of it: by its lines of data, and by its tools alone.

`pytest` runs it; headrace is a plugin of pytest, and each test with the marker `headrace` is a gate.
"""

import json
from pathlib import Path

import pytest

FLOW = Path(__file__).parents[1] / "flows" / "my_flow"


@pytest.mark.headrace("flows/my_flow/release.yaml")
def test_the_examples_are_worth_their_tokens():
    """The questions of the file: better answers, no worse citations, few failures, not too many tokens."""


@pytest.mark.headrace(
    "flows/my_flow/experiment.yaml", arm="with_examples", metric="cited", test="non_inferiority", margin=0.1
)
def test_the_answers_name_their_sections_as_often(headrace_compare):
    headrace_compare().assert_better("f1", arm="with_examples")


def read(name):
    text = (FLOW / "data" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_no_question_is_both_an_example_and_a_test():
    shown = (FLOW / "with_examples.jinja2").read_text(encoding="utf-8")
    assert not [line["id"] for line in read("test") if line["question"] in shown]
    assert not {line["question"] for line in read("train")} & {line["question"] for line in read("test")}


def test_every_answer_stands_on_the_page_that_is_its_source():
    pages = {page.stem: page.read_text(encoding="utf-8").lower() for page in (FLOW / "pages").glob("*.md")}
    for line in read("train") + read("test"):
        if line["source"]:
            assert line["answer"].lower() in pages[line["source"].partition("#")[0]], line["id"]
