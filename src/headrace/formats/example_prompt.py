"""Prompts that show examples: where they stand in a template, how one is written, and the template with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import DefinitionError, Problem
from headrace.formats.template import Template, load_template

PLACE = "{# examples #}"
"""A comment of Jinja2 that says where examples go; on a line of its own."""

_PLACE = re.compile(r"^[^\S\n]*\{#-?\s*examples\s*-?#\}[^\S\n]*(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
_HEADING = re.compile(
    r"^[^\S\n]*(?P<mark>#?)[^\S\n]*(?P<role>system|user|assistant|function|tool)[^\S\n]*:[^\S\n]*(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_BLOCK = re.compile(r"\{%-?\s*(?P<word>\w+)")
_OPENS = re.compile(r"\{(?=[{%#])")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplePrompt:
    """A template that examples can be put into.

    Attributes:
        before, after: Its text around the examples.
        question: How the question of an example is written, a template.
        is_turns: Whether an example is a turn of the user and one of the assistant, or plain text at the place.
        mark: What role lines begin with: ``# `` or nothing.
    """

    before: str
    after: str
    question: Template
    is_turns: bool
    mark: str = "# "

    def with_examples(self, examples: Sequence[tuple[str, str]]) -> str:
        """The template with questions and answers, which are text: whatever looks like Jinja2 in them is not run."""
        texts = [self._written(_literal(question), _literal(answer)) for question, answer in examples]
        return self.before + "".join(f"{text}\n\n" for text in texts) + self.after

    def _written(self, question: str, answer: str) -> str:
        if self.is_turns:
            return f"{self.mark}user:\n{question}\n\n{self.mark}assistant:\n{answer}"
        return f"{question}{' ' if question.endswith(':') else chr(10)}{answer}"


def read_example_prompt(text: str, file: str, form: str | None = None) -> ExamplePrompt:
    """Find where a prompt takes examples and how it asks.

    Examples go where :data:`PLACE` stands, else between the last message of the user and what is before it, as turns of
    a chat. A question is written as the last message of the user is, or as ``form`` says.

    Args:
        text: The template.
        file: As the user named it.
        form: A template for the question of an example; ``None`` for that of the prompt.

    Raises:
        DefinitionError: G973 for a prompt without such a place, F009 for a template that cannot be parsed.
    """
    load_template(text, file)
    headings = list(_HEADING.finditer(text))
    last = headings[-1] if headings and headings[-1]["role"].lower() == "user" else None
    place = _PLACE.search(text)
    if place is None and last is None:
        raise _no_place(file, text, "it does not end with a message of the user")
    if place is None and last is not None:
        words = [found["word"] for found in _BLOCK.finditer(text[: last.start()])]
        if "for" in words or words.count("if") > words.count("endif"):
            raise _no_place(file, text, "a block of the template stands before its last message")
    if form is None:
        if last is None:
            raise _no_place(
                file,
                text,
                "it has no message of the user that a question could be written like",
                is_form=True,
            )
        form = _PLACE.sub("", text[last.end() :])
        start = text[: last.end()] + form[: len(form) - len(form.lstrip())]
        question = load_template(form.strip(), file, first_line=start.count("\n") + 1)
    else:
        question = load_template(form.strip(), "--example")
    if place is not None:
        return ExamplePrompt(
            before=text[: place.start()], after=text[place.end() :], question=question, is_turns=False
        )
    assert last is not None  # noqa: S101 - one of both is there
    mark = "# " if last["mark"] else ""
    return ExamplePrompt(
        before=text[: last.start()], after=text[last.start() :], question=question, is_turns=True, mark=mark
    )


def write_form(form: Template, values: Mapping[str, Any]) -> str:
    """A question or an answer of one line, without blank space around it.

    Raises:
        NodeError: E602 when the template cannot be rendered.
    """
    return form.render(values).strip()


def _literal(text: str) -> str:
    return _OPENS.sub("{{ '{' }}", text)


def _no_place(file: str, text: str, why: str, *, is_form: bool = False) -> DefinitionError:
    template = load_template(text, file)
    fix = (
        "Say how a question is written: --example 'Question: {{question}}'."
        if is_form
        else f"Write {PLACE} on a line of its own where examples belong."
    )
    what = f"The prompt has no place for examples: {why}."
    return DefinitionError(Problem(code="G973", what=what, span=template.start, fix=fix))
