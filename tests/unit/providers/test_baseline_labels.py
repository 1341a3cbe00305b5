"""The baseline model as a classifier: where it finds the labels, and how it chooses among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.providers.baseline import read_chat

MESSAGE = "I was charged twice, please send a refund of the payment."


def ask(*turns: tuple[str, str]) -> str:
    return read_chat([{"role": role, "content": content} for role, content in turns]).text


@pytest.mark.parametrize(
    "instruction",
    [
        "Labels: Login, Payment_Refund, Bug",
        "Answer with one of: Login, Payment_Refund, Bug.",
        "Classify the message into one of the following categories: Login, Payment_Refund, or Bug.",
        "Classify the message as Login, Payment_Refund or Bug.",
        "Categories:\n- Login\n- Payment_Refund\n- Bug\n\nAnswer with the category only.",
        "Choose one of these labels:\n* `Login`: sign in\n* `Payment_Refund`: money\n* `Bug`: errors",
        "## Labels\n1. **Login** - sign in\n2. **Payment_Refund** - money\n3. **Bug** - errors",
        "Allowed labels: Login | Payment_Refund | Bug",
    ],
)
@pytest.mark.parametrize(
    "form", ["{t}", "Message: {t}\nLabel:", "Text: {t}", "<message>{t}</message>", "**Ticket:** {t}"]
)
def test_answers_the_bare_label_as_it_is_spelled(instruction: str, form: str) -> None:
    user = form.replace("{t}", MESSAGE)
    assert ask(("system", instruction), ("user", user)) == "Payment_Refund"
    assert ask(("user", f"{instruction}\n\n{user}")) == "Payment_Refund"


def test_descriptions_count_as_names_do() -> None:
    labels = "Labels:\n- red: invoices, charges, refunds\n- blue: screens and crashes\n"
    assert ask(("system", labels), ("user", MESSAGE)) == "red"
    assert ask(("system", labels), ("user", "It crashes on every screen")) == "blue"


@pytest.mark.parametrize(
    "examples",
    [
        "Message: Why was my card charged twice?\nLabel: x1\n\nMessage: It crashes at start\nLabel: x2\n",
        "Examples:\nWhy was my card charged twice? -> x1\nIt crashes at start -> x2\n",
        "Examples:\n\nExample 1\nInput: Why was my card charged twice?\nOutput: x1\n\nInput: It crashes at start\nOutput: x2\n",
    ],
)
def test_the_nearest_example_decides(examples: str) -> None:
    prompt = f"Labels: x2, x1\n\n{examples}"
    assert ask(("system", prompt), ("user", f"Message: {MESSAGE}\nLabel:")) == "x1"
    assert ask(("system", prompt), ("user", "Message: the app crashes\nLabel:")) == "x2"
    swapped = (
        prompt.replace(": x1", ": x0")
        .replace("> x1", "> x0")
        .replace(": x2\n", ": x1\n")
        .replace("> x2", "> x1")
    )
    assert (
        ask(("system", swapped.replace("x2, x1", "x0, x1")), ("user", f"Message: {MESSAGE}\nLabel:")) == "x0"
    )


def test_turns_are_examples_too_and_misspelling_is_forgiven() -> None:
    turns = (
        ("user", "Why was my card charged twice?"),
        ("assistant", "x1"),
        ("user", "The application crashes at start"),
        ("assistant", "X2."),
    )
    assert ask(("system", "Labels: x1, x2"), *turns, ("user", "aplication crashs")) == "x2"


def test_repeated_short_outputs_are_labels_without_a_list() -> None:
    pairs = [
        ("great", "positive"),
        ("awful", "negative"),
        ("great day", "positive"),
        ("awful night", "negative"),
    ]
    prompt = "".join(f"Review: {text}\nSentiment: {label}\n\n" for text, label in pairs)
    assert ask(("user", f"{prompt}Review: what an awful day it was, awful\nSentiment:")) == "negative"


@pytest.mark.parametrize(
    ("labels", "answer"),
    [("Labels: alpha, beta, other", "other"), ("Labels: alpha, beta", "alpha"),
     ('Labels: alpha, beta. If no label fits, answer "none of them".', "none of them")],
)  # fmt: skip
def test_without_any_evidence_it_guesses_as_documented(labels: str, answer: str) -> None:
    assert ask(("system", labels), ("user", "zzz qqq")) == answer


def test_a_guess_follows_the_commonest_example() -> None:
    examples = "Text: kk\nLabel: beta\n\nText: jj\nLabel: beta\n\nText: ww\nLabel: alpha\n"
    assert ask(("system", f"Labels: alpha, beta\n\n{examples}"), ("user", "Text: zzz\nLabel:")) == "beta"


def test_a_list_in_the_quoted_documents_is_not_a_list_of_labels() -> None:
    context = "Context:\n[a#1] The type is one of: int, string, bool. A line is one row of the data.\n"
    assert ask(("system", context), ("user", "Question: What is a line?")) == "A line is one row of the data."


@given(text=st.text("aeB1 .?#[]`|é\u2019-\n", max_size=80))
def test_the_answer_is_always_one_of_the_labels(text: str) -> None:
    labels = ["billing", "account access", "bug"]
    prompt = "Labels: billing, account access, bug\n\nText: it crashes\nLabel: bug\n"
    if text.strip():
        assert ask(("system", prompt), ("user", text.replace(":", " "))) in labels
