"""Forgiving access to a YAML mapping: what does not fit becomes a problem, and reading goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from sys import float_info
from types import MappingProxyType
from typing import Any, Final

from headrace.errors import Problem, nearest
from headrace.source import Pointer, SourceMap, Span, pointer_text

WARNING: Final = "warning"


@dataclass(slots=True)
class Findings:
    """The problems of one file, collected while it is read."""

    source_map: SourceMap
    problems: list[Problem] = field(default_factory=list)

    def add(
        self,
        code: str,
        pointer: Pointer,
        what: str,
        fix: str | None = None,
        *,
        severity: str = "error",
        at_key: bool = False,
        related: tuple[tuple[str, Span], ...] = (),
    ) -> None:
        """Record a problem at the value (or the key) that ``pointer`` leads to."""
        span = self.source_map.key_span(pointer) if at_key else self.source_map.span(pointer)
        self.problems.append(
            Problem(
                code=code, what=what, span=span, pointer=pointer, fix=fix, related=related, severity=severity
            )
        )

    def has_errors(self, start: int = 0) -> bool:
        """Whether an error was recorded since there were ``start`` problems."""
        return any(problem.severity == "error" for problem in self.problems[start:])


def is_number(value: Any) -> bool:
    """Whether a value is a number that can be computed with: none that is infinite, or an integer of 400 digits."""
    is_plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_plain and -float_info.max <= value <= float_info.max


class Block:
    """One mapping of the file; keys are text, values are read by kind.

    Attributes:
        data: The mapping with its keys as text.
        pointer: Where it stands.
        findings: Where problems go.
    """

    __slots__ = ("data", "findings", "pointer")

    def __init__(self, value: Any, pointer: Pointer, findings: Findings) -> None:
        self.pointer = pointer
        self.findings = findings
        self.data: dict[str, Any] = {}
        if isinstance(value, dict):
            self.data = {str(key): item for key, item in value.items()}
        elif value is not None:
            self._wrong(pointer, "a mapping", value)

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def at(self, key: str | int) -> Pointer:
        """Pointer of a key of this block."""
        return (*self.pointer, key)

    def block(self, key: str) -> Block:
        """The mapping at ``key``; absent and null count as empty."""
        return Block(self.data.get(key), self.at(key), self.findings)

    def blocks(self, form: str = "") -> Iterator[tuple[str, Block]]:
        """Every key with its mapping; values that are no mappings are reported and left out.

        Args:
            form: How a text that stands in place of a mapping is to be written, with ``%s`` for the text.
        """
        for key, value in self.data.items():
            if isinstance(value, dict):
                yield key, Block(value, self.at(key), self.findings)
            else:
                is_shown = bool(form) and isinstance(value, str)
                fix = f"Write {key}: {form.replace('%s', value)}." if is_shown else None
                self._wrong(self.at(key), "a mapping", value, fix)

    def items(self, key: str) -> list[tuple[Pointer, Any]]:
        """The list at ``key`` with the pointer of each item; absent and null count as empty."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(self.at(key), "a list", value)
            return []
        return [((*self.at(key), index), item) for index, item in enumerate(value)]

    def text(self, key: str) -> str | None:
        """The text at ``key``; numbers and dates become text, null and empty text count as absent."""
        value = self.data.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, (str, int, float, date)):
            return str(value)
        is_bracketed = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)
        fix = (
            f'Write text here, in quotes where it begins with a bracket: "[{value[0]}]".'
            if is_bracketed
            else None
        )
        self._wrong(self.at(key), "text", value, fix)
        return None

    def note(self, key: str) -> str | None:
        """Text for people at ``key``; anything else is left alone, since nothing depends on it."""
        value = self.data.get(key)
        return value if isinstance(value, str) and value else None

    def required_text(self, key: str, owner: str) -> str | None:
        """Like :meth:`text`, reporting F006 when there is none; ``owner`` names the block for people."""
        text = self.text(key)
        if text is None and not isinstance(self.data.get(key), (dict, list)):
            self.missing(key, owner)
        return text

    def missing(self, key: str, owner: str) -> None:
        """Report F006 for ``key``."""
        pointer = self.at(key) if key in self.data else self.pointer
        what = f"{owner} has no value for {key!r}." if key in self.data else f"{owner} has no key {key!r}."
        self.findings.add("F006", pointer, what, f"Add {key}.")

    def word(
        self,
        key: str,
        allowed: Sequence[str],
        *,
        severity: str = "error",
        hints: Mapping[str, str] = MappingProxyType({}),
    ) -> str | None:
        """The text at ``key``; one that is not ``allowed`` is reported as F007 and returned all the same.

        Args:
            key: The key.
            allowed: The words that may stand there.
            severity: Of the problem.
            hints: Wrong words in lower case to right ones, where similarity of letters would not help.
        """
        text = self.text(key)
        if text is not None and text not in allowed:
            guess = hints.get(text.lower()) or nearest(text.lower(), allowed)
            start = f'Did you mean "{guess}"? ' if guess else ""
            what = f"{pointer_text(self.at(key))} is {text!r}, which means nothing here."
            fix = f"{start}Allowed: {', '.join(allowed)}."
            self.findings.add("F007", self.at(key), what, fix, severity=severity)
        return text

    def flag(self, key: str) -> bool:
        """Whether the value at ``key`` is true; one that is no boolean counts by Python's rules."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            name = pointer_text(self.at(key))
            what = f"{name} should be true or false; as it stands it counts as {str(bool(value)).lower()}."
            self.findings.add("F005", self.at(key), what, "Write true or false.", severity=WARNING)
        return bool(value)

    def number(self, key: str) -> float | int | None:
        """The number at ``key``; text, booleans and anything else are reported as F005."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if isinstance(value, float) or is_number(value):
                return value
            what = f"The number of {key} is too large."
            self.findings.add("F005", self.at(key), what, "Write a smaller number.")
            return None
        self._wrong(self.at(key), "a number", value)
        return None

    def check_keys(self, known: Sequence[str], owner: str, *, severity: str = WARNING) -> None:
        """Report every key that is not in ``known`` as F012."""
        ignored = "; it is ignored" if severity == WARNING else ""
        for key in self.data:
            if key not in known:
                guess = nearest(key, known)
                self.findings.add(
                    "F012",
                    self.at(key),
                    f"{owner} has no use for the key {key!r}{ignored}.",
                    f'Did you mean "{guess}"?' if guess else f"Known keys: {', '.join(known)}.",
                    severity=severity,
                    at_key=True,
                )

    def _wrong(self, pointer: Pointer, wanted: str, value: Any, fix: str | None = None) -> None:
        name = pointer_text(pointer) or "The file"
        what = f"{name} should be {wanted}, but it is {_kind(value)}."
        self.findings.add("F005", pointer, what, fix or f"Write {wanted} here.")


def root_block(data: Any, findings: Findings) -> Block:
    """The mapping that a whole file holds; an empty file is reported, because nothing was meant by it."""
    if data is None:
        findings.add("F005", (), "The file is empty.", "Write the keys that it needs.")
    return Block(data, (), findings)


def by_place(problem: Problem) -> tuple[str, int, int]:
    """Sort key of problems: file, line, column; those without a place come first."""
    span = problem.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
    if value is None:
        return "empty"
    return kinds.get(type(value), "a number" if isinstance(value, (int, float)) else "a date")
