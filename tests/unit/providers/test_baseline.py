"""The baseline model as a whole: question answering, not knowing, citing, style, the form of the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.providers.baseline import Reading, count_tokens, read_chat

PASSAGES = """Context:
[docs/run.md#1] # Running
A batch run sends every line of a data file through the flow. By default 16 lines run at once; change it with
`--max-concurrency`. Results are written as they come.

[docs/run.md#2] ## Timeouts
Each node may take 600 seconds. After that the line fails with code E204.

[docs/store.md#1] # Store
Runs are kept in SQLite under `.headrace/`. Delete a run with:
```
headrace run delete --name NAME
```

[docs/exit.md#1] | Exit code | Meaning |
| --- | --- |
| 0 | every line succeeded |
| 3 | the flow file is wrong |
"""
CITING = "Answer from the passages and cite the passage, like [docs/x.md#1].\n\n" + PASSAGES
SHORT_EXAMPLE = (("user", "How many stages are there?"), ("assistant", "three stages"))


def ask(*turns: tuple[str, object], **options: bool | int) -> str:
    return read_chat([{"role": role, "content": content} for role, content in turns], **options).text


@pytest.mark.parametrize(
    ("question", "sentence", "span", "passage"),
    [
        (
            "How many lines run at once by default?",
            "By default 16 lines run at once; change it with `--max-concurrency`.",
            "16 lines",
            "docs/run.md#1",
        ),
        (
            "Which flag changes how many lines run at once?",
            "By default 16 lines run at once; change it with `--max-concurrency`.",
            "--max-concurrency",
            "docs/run.md#1",
        ),
        ("How long may a node take?", "Each node may take 600 seconds.", "600 seconds", "docs/run.md#2"),
        (
            "With which code does a line fail?",
            "After that the line fails with code E204.",
            "E204",
            "docs/run.md#2",
        ),
        (
            "Where are runs kept?",
            "Runs are kept in SQLite under `.headrace/`.",
            ".headrace/",
            "docs/store.md#1",
        ),
        (
            "Which command deletes a run?",
            "Delete a run with: `headrace run delete --name NAME`",
            "headrace run delete --name NAME",
            "docs/store.md#1",
        ),
        (
            "Which exit code means that the flow file is wrong?",
            "3: the flow file is wrong",
            "3",
            "docs/exit.md#1",
        ),
    ],
)
def test_answers_with_the_sentence_the_span_and_the_citation(
    question: str, sentence: str, span: str, passage: str
) -> None:
    assert ask(("system", "Answer.\n\n" + PASSAGES), ("user", question)) == sentence
    assert ask(("system", CITING), ("user", question)) == f"{sentence} [{passage}]"
    assert ask(("system", CITING), *SHORT_EXAMPLE, ("user", question)) == f"{span} [{passage}]"


@pytest.mark.parametrize(
    ("sentence", "question", "span"),
    [
        ("An arm is a variant with a model.", "What is an arm?", "variant with a model"),
        ("The default engine is called sluice, since last year.", "What is the default engine?", "sluice"),
        ("A weir is a wall across the river.", "What do we call a wall across the river?", "weir"),
        (
            "Without a cap, the forecast stops the run",
            "What stops the run without a cap?",
            "forecast stops the run",
        ),
        ("The miller Ada Brook opened it on 3 May 1887.", "When was it opened by the miller?", "3 May 1887"),
        (
            "The limit is 12 requests, 90 % of the quota.",
            "What percentage of the quota is that limit?",
            "90 %",
        ),
        (
            "Use `retrieve` to search and `answer` to write.",
            "Which tool is there to search with?",
            "retrieve",
        ),
        (
            "Settings stand in conf/base.toml and are read once.",
            "Which file holds the settings?",
            "conf/base.toml",
        ),
        ("Set HEADRACE_STORE to move the store.", "Which variable moves the store?", "HEADRACE_STORE"),
        ("| Key | Use |\n| --- | --- |\n| wheel | turns the mill |", "Which part turns the mill?", "wheel"),
        ("```\n$ mill run --fast  # at speed\n```", "How do I run the mill fast?", "mill run --fast"),
        (
            "Both `mill.py` and `mill run --fast` run the mill.",
            "Which command runs the mill?",
            "mill run --fast",
        ),
        (
            "A bad arm is not fit. An arm is a variant with a model.",
            "What is an arm?",
            "variant with a model",
        ),
        (
            "- `--fast`: run at speed\n- `--slow`: run with care",
            "Which flag lets it run with care?",
            "--slow",
        ),
    ],
)
def test_a_short_answer_is_the_span_that_the_question_asks_for(
    sentence: str, question: str, span: str
) -> None:
    system = f"Answer in as few words as possible.\n\nContext:\n{sentence}"
    assert ask(("system", system), ("user", question)) == span


@pytest.mark.parametrize(("example", "span"), [("7", "600"), ("7 days", "600 seconds")])
def test_examples_tell_whether_a_number_keeps_its_unit(example: str, span: str) -> None:
    turns = (("user", "How long is a week?"), ("assistant", example), ("user", "How long may a node take?"))
    assert ask(("system", PASSAGES), *turns) == span


def test_without_the_passage_there_is_no_answer() -> None:
    without = PASSAGES.replace("Each node may take 600 seconds. ", "")
    assert "600" not in ask(("system", without), ("user", "How long may a node take?"))


@pytest.mark.parametrize(
    "prompt",
    [
        "Use the text.\n\nContext:\nA node that fails stops its line. Ports are fixed.\n\nQuestion: {q}\nAnswer:",
        "{q}\n\nContext:\nPorts are fixed. A node that fails stops its line.",
        "Context:\nPorts are fixed.\n\nA node that fails stops its line.\n\n{q}",
        'Use this:\n"""\nA node that fails stops its line. Ports are fixed forever and ever.\n"""\n{q}',
        "```\nA node that fails stops its line.\nPorts are fixed forever and ever here.\n```\n\n{q}",
        "<context>\nPorts are fixed.\nA node that fails stops its line.\n</context>\n<question>{q}</question>",
        "## Documents\nDocument 1: Ports are fixed.\nDocument 2: A node that fails stops its line.\n\n## Question\n{q}",
        "Ports are fixed.\n---\nA node that fails stops its line.\n---\n{q}\nAnswer in one sentence, please.",
        "Content: A node that fails stops its line.\nSource: a.md\n\nContent: Ports are fixed.\nSource: b.md\n\nQ: {q}\nA:",
        "[1] Ports are fixed.\n[2] A node that fails stops its line.\n\nQuestion: {q}",
        "**Context:**\nPorts are fixed. A node that fails stops its line.\n\n**Question:** {q}",
    ],
)
def test_finds_context_and_question_by_the_usual_conventions(prompt: str) -> None:
    answer = ask(("user", prompt.replace("{q}", "What does a node that fails stop?")))
    assert answer == "A node that fails stops its line."


@pytest.mark.parametrize(
    ("instruction", "citation"),
    [
        ("Cite the source.", " [a.md]"),
        ("Name the source in parentheses, e.g. (source: x.md).", " (source: a.md)"),
        ("Add the source at the end as Source: x.md", " Source: a.md"),
        ("Put the id of the section behind the answer in brackets, as in [x.md].", " [a.md]"),
        ("Answer in one sentence.", ""),
    ],
)
def test_cites_in_the_form_that_the_prompt_shows(instruction: str, citation: str) -> None:
    context = "Context:\n[b.md] Ports are fixed.\n[a.md] A node that fails stops its line.\n"
    answer = ask(("system", f"{instruction}\n\n{context}"), ("user", "What does a node that fails stop?"))
    assert answer == "A node that fails stops its line." + citation


def test_cites_in_the_form_of_the_examples_without_being_told() -> None:
    examples = (
        ("user", "Who reads the file?"),
        ("assistant", "The loader reads the whole file at once (see docs/y.md)."),
    )
    context = "Context:\n[docs/a.md] A node that fails stops its line.\n"
    answer = ask(("system", context), *examples, ("user", "What does a node that fails stop?"))
    assert answer == "A node that fails stops its line. (see docs/a.md)"


def test_context_inside_an_example_is_not_context_of_the_question() -> None:
    prompt = (
        "Context: The port is 8080.\nQuestion: What is the port?\nAnswer: 8080\n\n"
        "Context: The port is 9090.\nQuestion: What is the port?\nAnswer:"
    )
    assert ask(("user", prompt)) == "9090"


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ('If the context does not hold the answer, say "Not in the docs."', "Not in the docs."),
        ("If you are not sure, reply with 'No idea'.", "No idea"),
        ("Say I don't know if the answer is missing.", "I don't know"),
        ('Answer "yes" politely.', "I don't know."),
        ("Be brief.", "I don't know."),
    ],
)
def test_does_not_know_in_the_words_that_the_prompt_prescribes(instruction: str, words: str) -> None:
    assert (
        ask(("system", f"{instruction}\n\n{PASSAGES}"), ("user", "Who painted the old bridge in Mostar?"))
        == words
    )
    assert ask(("system", instruction), ("user", "Who painted the old bridge in Mostar?")) == words


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what is the default port", "8080"),
        ("How many retries are made?", "5"),
        ("Who is the owner?", "I don't know."),
    ],
)
def test_without_context_only_a_near_example_answers(question: str, answer: str) -> None:
    examples = "Q: What is the default port?\nA: 8080\n\nQ: How many retries are made?\nA: 5\n\n"
    assert ask(("user", f"{examples}Q: {question}\nA:")) == answer


@pytest.mark.parametrize(
    ("instruction", "key"),
    [
        ('Reply with JSON: {"category": ...}', "category"),
        ('Use the key "answer".', "answer"),
        ("Reply.", "answer"),
    ],
)
def test_json_mode_wraps_the_answer(instruction: str, key: str) -> None:
    system = f"{instruction}\n\nContext:\nDie Tür heißt „A“.\nA node that fails stops its line."
    text = ask(("system", system), ("user", "What does a node that fails stop?"), json_object=True)
    assert json.loads(text) == {key: "A node that fails stops its line."}


def test_a_long_answer_is_cut_at_the_token_limit() -> None:
    messages = [
        {"role": "system", "content": PASSAGES},
        {"role": "user", "content": "How long may a node take?"},
    ]
    whole = read_chat(messages)
    cut = read_chat(messages, max_tokens=4)
    assert (whole.text, whole.finish_reason) == ("Each node may take 600 seconds.", "stop")
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("Each node may take", "length", 4)


def test_tokens_are_counted_by_the_documented_rule() -> None:
    assert count_tokens("") == 0
    assert count_tokens("a node, retried.") == 2 + 1 + 2 + 1
    assert count_tokens("Größe") == len(["Gr", "öß", "e"])
    reading = read_chat(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}]
    )
    assert reading == Reading(text="I don't know.", prompt_tokens=2 * 4 + 3 + 2, completion_tokens=6)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": None}],
        [{"role": "assistant", "content": "hello"}],
        [{"role": "system", "content": PASSAGES}],
        [{"role": "user", "content": "?!"}],
    ],
)
def test_nothing_asked_is_nothing_known(messages: list[dict[str, object]]) -> None:
    assert read_chat(messages).text == "I don't know."


def test_reads_the_text_parts_of_a_message() -> None:
    parts = [
        {"type": "text", "text": "Context:\nA node that fails stops its line."},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "\nQuestion: What does a node that fails stop?"},
    ]
    assert ask(("user", parts)) == "A node that fails stops its line."


LINES = st.sampled_from(
    [
        "Context:", "Question:", "Answer:", "Labels: a, b", "- a: one", "- b", "[x#1] The port is 80.", "```", '"""', "---",
        "Q: why?", "A: so", "", "## Examples", "| a | b |", "|---|---|", "x -> y", "<doc id='3'>", "</doc>", "one of: a, b",
        "Source: f.md", "What is it?", "Ünïcode \u2019 text…", "**Text:** t", "Label:", "# Context", "Document 2: text", "1. a",
    ]
)  # fmt: skip
TEXTS = st.lists(LINES | st.text("aB1 .?:#[]`|é\u2019-\n", max_size=30), max_size=14).map("\n".join)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXTS}
    ),
    max_size=6,
)


@given(messages=MESSAGES, limit=st.none() | st.integers(1, 40))
def test_every_prompt_gets_the_same_answer_each_time_within_the_limit(
    messages: list[dict[str, str]], limit: int | None
) -> None:
    reading = read_chat(messages, max_tokens=limit)
    assert reading == read_chat(messages, max_tokens=limit)
    assert reading.text
    assert reading.completion_tokens == count_tokens(reading.text)
    assert limit is None or reading.completion_tokens <= limit
