"""A chat prompt put together from its sections: instructions, passages, examples and the query."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.providers.reader.passages import Passage, read_passages
from headrace.providers.reader.sections import Section, message_text, read_sections

_ARROW = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])?\s*(?P<input>\S.*?)\s*(?:->|=>|→|⇒)\s*(?P<output>\S.*?)\s*$")
_BLOCK = re.compile(
    r"^(?P<fence>```|~~~|\"\"\"|''')[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_RULE = re.compile(r"^\s*-{3,}\s*$", re.MULTILINE)
_QUOTES = "\"'“”`«»"
# A paragraph beside the question counts as context from 8 words on; a text up to 60 is all question.
_WORDS_OF_A_PASSAGE = 8
_WORDS_OF_A_QUESTION = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One few-shot example: what was put in and what was answered."""

    input: str
    output: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a prompt says, sorted by what it is for.

    `query` is the labelled input or the question; `query_message` the whole last user message;
    `label_lists` are the sections under a header such as `Labels:`.
    """

    instructions: str
    label_lists: tuple[str, ...]
    passages: tuple[Passage, ...]
    examples: tuple[Example, ...]
    query: str
    query_message: str
    has_input_header: bool


@dataclass(kw_only=True, slots=True)
class _Draft:
    """The walk over the sections: what is open now, and what is settled."""

    instructions: list[str] = field(default_factory=list)
    label_lists: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    settled_contexts: list[Section] = field(default_factory=list)
    open_contexts: list[Section] = field(default_factory=list)
    open_input: str = ""
    open_texts: list[str] = field(default_factory=list)


def read_prompt(messages: Sequence[Mapping[str, object]]) -> Prompt:
    """Sorts the sections of a chat prompt.

    An input followed by a non-empty output is an example, within a message (`Q:`, `A:`) or as a user and an
    assistant turn. Context given after the last example belongs to the query alone; where there is none,
    all context does.
    """
    last_user = max((i for i, m in enumerate(messages) if _role(m) == "user"), default=-1)
    draft = _Draft()
    sections = read_sections(messages)
    with_input = {s.message_index for s in sections if s.kind == "input"}
    for section in sections:
        _take(
            draft,
            section,
            is_last=section.message_index == last_user,
            has_input=section.message_index in with_input,
        )
    query_message = message_text(messages[last_user]).strip() if last_user >= 0 else ""
    contexts = draft.open_contexts or draft.settled_contexts
    query = draft.open_input
    if not query:
        query, contexts = _question_without_header(draft.open_texts, contexts)
    passages = [p for section in contexts for p in read_passages(section.text, number=section.number)]
    if not passages:
        query, passages = _implied_passages(query, draft, has_header=bool(draft.open_input))
    return Prompt(
        instructions="\n".join(draft.instructions),
        label_lists=tuple(draft.label_lists),
        passages=tuple(passages),
        examples=tuple(draft.examples),
        query=query.strip(),
        query_message=query_message,
        has_input_header=bool(draft.open_input),
    )


def _role(message: Mapping[str, object]) -> str:
    return str(message.get("role", "user")).lower()


def _take(draft: _Draft, section: Section, *, is_last: bool, has_input: bool) -> None:
    if section.kind == "context":
        draft.open_contexts.append(section)
    elif section.kind == "input":
        draft.open_input = section.text
    elif section.kind == "output":
        _take_output(draft, section)
    elif section.kind == "labels":
        draft.label_lists.append(section.text)
        draft.instructions.append(section.text)
    elif section.kind == "examples":
        _take_arrows(draft, section.text)
    elif section.kind == "text" and section.role == "user" and not has_input:
        draft.open_texts.append(section.text)
        draft.open_input = "" if is_last else section.text
    else:
        draft.instructions.append(section.text)


def _take_output(draft: _Draft, section: Section) -> None:
    output, _, rest = (
        (section.text, "", "") if section.role == "assistant" else section.text.partition("\n\n")
    )
    if draft.open_input and output:
        draft.examples.append(Example(input=draft.open_input.strip(), output=output.strip()))
        draft.settled_contexts += draft.open_contexts
        draft.open_contexts = []
        draft.open_input = ""
        draft.open_texts = []
    elif output:
        draft.instructions.append(output)
    if rest:
        draft.instructions.append(rest)


def _take_arrows(draft: _Draft, text: str) -> None:
    for line in text.split("\n"):
        arrow = _ARROW.match(line)
        if arrow:
            draft.examples.append(
                Example(input=arrow["input"].strip(_QUOTES), output=arrow["output"].strip(_QUOTES))
            )
        elif line.strip():
            draft.instructions.append(line)


def _question_without_header(texts: Sequence[str], contexts: list[Section]) -> tuple[str, list[Section]]:
    """The question among the last user message's plain text, or at the tail of its context."""
    for text in reversed(texts):
        question = _last_question(text)
        if question:
            is_whole = len(texts) == 1 and (not contexts or len(text.split()) <= _WORDS_OF_A_QUESTION)
            return (text if is_whole else question), contexts
    if contexts:
        last = contexts[-1]
        head, _, tail = last.text.rpartition("\n\n")
        if last.role == "user" and _last_question(tail):
            shortened = Section(
                kind="context",
                role=last.role,
                message_index=last.message_index,
                text=head,
                number=last.number,
            )
            return _last_question(tail), [*contexts[:-1], shortened]
    return ("\n\n".join(texts)), contexts


def _last_question(text: str) -> str:
    for line in reversed(text.strip().split("\n")):
        if line.rstrip(" " + _QUOTES + ")*").endswith("?"):
            return line.strip()
    return ""


def _implied_passages(query: str, draft: _Draft, *, has_header: bool) -> tuple[str, list[Passage]]:
    """Context that no header announces: fenced blocks, blocks between rules, text beside the question."""
    if draft.examples and not has_header and not _BLOCK.search(query):
        return query, []
    texts = [query] if not has_header else draft.instructions
    source = "\n\n".join(texts)
    blocks = [match["body"] for match in _BLOCK.finditer(source)]
    if blocks and any(len(block.split()) >= _WORDS_OF_A_PASSAGE for block in blocks):
        rest = _BLOCK.sub("\n", source)
        return (query if has_header else _last_question(rest) or rest.strip()), _passages_of(blocks)
    if has_header or not _last_question(query):
        return query, []
    question = _last_question(query)
    if _RULE.search(query):
        beside = [piece for piece in _RULE.split(query) if question not in piece]
    else:
        rest = query.replace(question, "", 1)
        beside = [rest] if len(rest.split()) >= _WORDS_OF_A_PASSAGE else []
    passages = _passages_of(beside)
    return (question, passages) if passages else (query, [])


def _passages_of(blocks: Sequence[str]) -> list[Passage]:
    return [passage for block in blocks for passage in read_passages(block)]
