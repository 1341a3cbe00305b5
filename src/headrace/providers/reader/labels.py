"""The labels that a prompt allows, and the choice among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.providers.reader.prompt import Example, Prompt
from headrace.providers.reader.vectors import similarities

_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+(?P<item>\S.*)$")
_LIST_LEAD = re.compile(
    r"\b(?:labels?|categor(?:y|ies)|class(?:es)?|intents?|topics?|options|tags?|sentiments?|one of|queues?"
    r"|teams?)\b"
    r"[^\n]*:\s*$",
    re.IGNORECASE,
)
_ONE_OF = re.compile(
    r"\b(?:one of|labels? (?:are|is)|categories are|classes are|options are)"
    r"(?: (?:the|these))?(?: following)?(?: [a-z]+){0,2}?"
    r":? *(?P<list>[^\n:]*,[^\n:]*|[^\n:]+ or [^\n:]+)",
    re.IGNORECASE,
)
_HEADED = re.compile(
    r"\b(?:labels?|categories|classes|options|intents|topics|tags) ?: *(?P<list>[^\n]*[,|/][^\n]*)",
    re.IGNORECASE,
)
_AS = re.compile(
    r"\b(?:classify|label|categori[sz]e|tag|mark|rate)\b[^\n:.]*?\b(?:as|into)\b (?:either )?"
    r"(?P<list>[^\n:.]*(?:,| or )[^\n:.]*)",
    re.IGNORECASE,
)
_ITEM_NAME = re.compile(r"^(?P<name>.+?)(?:\s*[:\u2014\u2013(]\s*|\s+-\s+|$)(?P<description>.*)$")
_SEPARATOR = re.compile(r"\s*(?:,|;|\||/)\s*(?:and |or )?|\s+(?:and|or)\s+(?![^(]*\))")
_SENTENCE_END = re.compile(r"\.(?:\s|$)|\n")
_MARKS = " \t\"'“”`*<>[]"
_OTHER = frozenset({"other", "others", "none", "unknown", "general", "misc", "miscellaneous", "neutral"})
_LEAST_SIMILARITY = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """One allowed label as spelled in the prompt, with its description where the prompt gives one."""

    name: str
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """A classification found in a prompt: the allowed labels, the text to label, the labelled examples."""

    labels: tuple[Label, ...]
    text: str
    examples: tuple[Example, ...]


def find_labelling(prompt: Prompt) -> Labelling | None:
    """The classification that a prompt asks for, or None when it lists no labels.

    Labels come from a `Labels:` section, a bullet list or a "one of a, b, c" in the instructions or in the
    query itself, else from examples whose short outputs repeat. A prompt with context passages asks a
    question unless its examples answer with labels.
    """
    text = prompt.query if prompt.has_input_header else prompt.query_message
    labels, text = _listed_labels(prompt, text)
    if not labels and not prompt.passages:
        labels = _labels_of_examples(prompt.examples)
    names = {_key(label.name): label.name for label in labels}
    examples = tuple(
        Example(input=example.input, output=names[_key(example.output)])
        for example in prompt.examples
        if _key(example.output) in names
    )
    is_question = bool(prompt.passages) and prompt.has_input_header and not examples
    if len(labels) < 2 or is_question or not text.strip():
        return None
    return Labelling(labels=labels, text=text, examples=examples)


def choose_label(labelling: Labelling) -> str | None:
    """The label whose nearest document is nearest to the text, or None when nothing is shared.

    A label's documents are its examples and its own name with its description; so an example decides where
    one is near, and the names where the prompt has no example. Ties go to the label listed first.
    """
    named = [
        (f"{label.name.replace('_', ' ')} {label.description}", label.name) for label in labelling.labels
    ]
    documents = [*named, *((example.input, example.output) for example in labelling.examples)]
    nearness = similarities(labelling.text, [text for text, _ in documents])
    best = max(range(len(documents)), key=lambda index: nearness[index])
    return documents[best][1] if nearness[best] > _LEAST_SIMILARITY else None


def guess_label(labelling: Labelling) -> str:
    """The label given without evidence: one meaning "other", else the examples' commonest, else the first.

    It is a guess and no more: the majority-class rule that every classifier should beat.
    """
    for label in labelling.labels:
        if _key(label.name) in _OTHER:
            return label.name
    counts = Counter(example.output for example in labelling.examples)
    return max(labelling.labels, key=lambda label: counts[label.name]).name


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().casefold()


def _listed_labels(prompt: Prompt, text: str) -> tuple[tuple[Label, ...], str]:
    for section in prompt.label_lists:
        labels = _bulleted(section.split("\n")) or _inline(_SENTENCE_END.split(section)[0])
        if labels:
            return labels, text
    labels, _ = _labels_in(prompt.instructions)
    if labels:
        return labels, text
    labels, found = _labels_in(text)
    # The list and the text to label stand in one message: what the list does not take is the text.
    rest = text.replace(found, "\n\n", 1).strip() if labels else text
    return labels, (rest.split("\n\n")[-1] if labels else text)


def _labels_in(text: str) -> tuple[tuple[Label, ...], str]:
    """The labels listed in running text, and the part of the text that lists them."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if _LIST_LEAD.search(line):
            start = index + 1 + (index + 1 < len(lines) and not lines[index + 1].strip())
            labels = _bulleted(lines[start:])
            if labels:
                return labels, "\n".join(lines[index : start + len(labels)])
    for pattern in (_HEADED, _ONE_OF, _AS):
        for match in pattern.finditer(text):
            labels = _inline(match["list"])
            if labels:
                return labels, match.group()
    return (), ""


def _bulleted(lines: Sequence[str]) -> tuple[Label, ...]:
    labels: list[Label] = []
    for line in lines:
        bullet = _BULLET.match(line)
        label = _label(bullet["item"]) if bullet else None
        if label is None:
            if not line.strip() and not labels:
                continue
            break
        labels.append(label)
    return tuple(labels) if len(labels) > 1 else ()


def _inline(text: str) -> tuple[Label, ...]:
    items = [_label(item) for item in _SEPARATOR.split(text.strip().rstrip(".")) if item.strip(_MARKS)]
    labels = tuple(label for label in items if label)
    is_list = len(labels) == len(items) > 1 and all(len(label.name.split()) <= 3 for label in labels)
    return labels if is_list else ()


def _label(item: str) -> Label | None:
    match = _ITEM_NAME.match(item.strip())
    if not match:
        return None
    name = match["name"].strip(_MARKS).rstrip(".,;")
    if not name or len(name.split()) > 5 or len(name) > 40:
        return None
    return Label(name=name, description=match["description"].strip(" )*"))


def _labels_of_examples(examples: Sequence[Example]) -> tuple[Label, ...]:
    """Labels shown by examples alone: short outputs, of which at least half repeat an earlier one."""
    names = list(dict.fromkeys(example.output for example in examples))
    is_labelled = len(examples) >= 4 and 2 <= len(names) <= len(examples) / 2
    is_short = all(len(name.split()) <= 3 and "\n" not in name for name in names)
    return tuple(Label(name=name) for name in names) if is_labelled and is_short else ()
