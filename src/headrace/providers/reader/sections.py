"""Chat messages cut into labelled sections: context, question or text, answer, labels, instructions.

A section begins at a header that prompts commonly use: `Context:`, `## Documents`, `**Question:**`,
`<context>`, `Label:`, or at a passage mark `[id]` at the beginning of a line. Inside a context section only
few headers count, because the documents quoted there have headings of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

SectionKind = Literal["text", "context", "input", "output", "labels", "examples", "instructions"]

_NAMES: dict[SectionKind, str] = {
    "context": """context contexts document documents docs passage passages source sources background
        reference references excerpt excerpts snippet snippets evidence chunk chunks facts results article
        content""",
    "input": """question q query input text message ticket sentence review email comment request utterance
        post tweet claim statement""",
    "output": "answer a output label category class intent response sentiment topic prediction result",
    "labels": "labels categories classes intents topics options tags",
    "examples": "example examples demonstrations",
    "instructions": "instruction instructions task rules guidelines",
}
_KIND_OF_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_PASSAGE_FIELDS = frozenset({"source", "reference", "article", "content"})
_ENDS_CONTEXT = frozenset({"question", "q", "query", "answer"})
_HEADER = re.compile(
    r"^ {0,3}(?P<mark>#{1,6} +|\*\*)?(?P<name>[A-Za-z][A-Za-z -]{0,30}?)(?: +(?P<number>\d{1,3}))?"
    r"(?P<bold>\*\*)? *(?::(?:\*\*)?(?P<rest>.*))?$"
)
_PASSAGE_MARK = re.compile(r"^\[(?=[^\]\n]*[\d./#_-])[^\]\s\[]{1,120}\](?!\()(?!: ?https?:)")
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)")
_CONTEXT_TAGS = "context|documents|sources|passages|references"
_ITEM_TAGS = "document|doc|passage|source|chunk"
_INPUT_TAGS = "question|query|text|message|input"
_TAG = re.compile(
    rf"^[ \t]*<(?P<close>/?)(?:(?P<context>{_CONTEXT_TAGS})|(?P<item>{_ITEM_TAGS})|(?P<input>{_INPUT_TAGS}))"
    rf"(?P<attributes>\s[^>\n]*)?>[ \t]*|[ \t]*</(?:{_CONTEXT_TAGS}|{_ITEM_TAGS}|{_INPUT_TAGS})>[ \t]*$",
    re.MULTILINE,
)
_ID_ATTRIBUTE = re.compile(r"""(?:id|name|src|source|path|title|index)\s*=\s*["']?([^"'>\s]+)""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One labelled piece of one message."""

    kind: SectionKind
    role: str
    message_index: int
    text: str
    number: str = ""
    """The number in a header such as `Document 2:`, else empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    kind: SectionKind
    name: str
    style: str
    rest: str
    number: str


def message_text(message: Mapping[str, object]) -> str:
    """The text of one chat message; of a list of parts, the text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


def read_sections(messages: Sequence[Mapping[str, object]]) -> list[Section]:
    """All sections of all messages in order; an assistant message is one `output`, a tool's one `context`."""
    sections: list[Section] = []
    for index, message in enumerate(messages):
        role = str(message.get("role", "user")).lower()
        text = message_text(message).replace("\r\n", "\n")
        if role == "assistant":
            sections.append(Section(kind="output", role=role, message_index=index, text=text.strip()))
        elif role in {"tool", "function"}:
            sections.append(Section(kind="context", role=role, message_index=index, text=text.strip()))
        else:
            sections.extend(_message_sections(_TAG.sub(_plain_header, text), role, index))
    return sections


def _plain_header(tag: re.Match[str]) -> str:
    """An XML-like tag in the words of a plain header, so that one reading serves both conventions."""
    if tag["context"]:
        return "\nInstructions:\n" if tag["close"] else "\nContext:\n"
    if tag["item"] and not tag["close"]:
        identity = _ID_ATTRIBUTE.search(tag["attributes"] or "")
        return f"\nContext:\n[{identity[1]}] " if identity else "\nContext:\n---\n"
    if tag["input"] and not tag["close"]:
        return "\nText: " if tag["input"] in {"text", "message", "input"} else "\nQuestion: "
    return "\n"


# A batch sends the same system message with every line.
@lru_cache(maxsize=64)
def _message_sections(text: str, role: str, message_index: int) -> tuple[Section, ...]:
    lines = text.split("\n")
    fenced = _fenced_lines(lines)
    kind: SectionKind = "text"
    number = style = ""
    body: list[str] = []
    sections: list[Section] = []

    def close() -> None:
        content = "\n".join(body).strip()
        if content or kind == "output":
            sections.append(
                Section(kind=kind, role=role, message_index=message_index, text=content, number=number)
            )

    for line_index, line in enumerate(lines):
        header = None if line_index in fenced else _header(line)
        if header and kind == "context" and not _ends_context(header, style, line):
            header = None
        if header:
            close()
            kind, number, style, body = header.kind, header.number, header.style, [header.rest]
        elif kind in {"text", "instructions"} and line_index not in fenced and _PASSAGE_MARK.match(line):
            close()
            kind, number, style, body = "context", "", "mark", [line]
        else:
            body.append(line)
    close()
    return tuple(sections)


def _fenced_lines(lines: Sequence[str]) -> set[int]:
    """Indices of lines inside code fences; a fence that a passage cut leaves unpaired does not count."""
    fenced: set[int] = set()
    opened: int | None = None
    for index, line in enumerate(lines):
        if _PASSAGE_MARK.match(line):
            opened = None
        elif _FENCE.match(line):
            if opened is None:
                opened = index
            else:
                fenced.update(range(opened, index + 1))
                opened = None
    return fenced


def _header(line: str) -> _Header | None:
    match = _HEADER.match(line)
    if not match:
        return None
    mark = (match["mark"] or "").strip()
    is_heading = mark.startswith("#") or (mark == "**" and match["bold"])
    if match["rest"] is None and not is_heading:
        return None
    words_of_name = match["name"].lower().split()
    kind = _KIND_OF_NAME.get(words_of_name[-1]) if len(words_of_name) <= 3 else None
    if kind is None:
        return None
    rest = (match["rest"] or "").strip()
    # Such a line names or begins the passage that stands beside it: it stays part of the context.
    is_source_line = words_of_name[-1] in _PASSAGE_FIELDS and rest
    return _Header(
        kind=kind,
        name=words_of_name[-1],
        style=mark,
        rest=line if is_source_line else rest,
        number=match["number"] or "",
    )


def _ends_context(header: _Header, style: str, line: str) -> bool:
    if not line[0].isupper() and not header.style:
        return False
    if header.name in _ENDS_CONTEXT:
        return True
    if header.kind == "context":
        return bool(header.number) or (header.style == style and not header.rest)
    if header.kind not in {"examples", "instructions"}:
        return False
    return header.style == style or (style == "mark" and not header.style and not header.rest)
