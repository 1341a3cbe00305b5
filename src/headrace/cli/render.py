"""Problems as text: where, what, the lines in question with carets, how to fix it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Protocol

from headrace.cli.terminal import Ink, crop, text_width
from headrace.errors import Problem
from headrace.source import Span

MASK = "******"
_DATA_SUFFIXES = frozenset({".jsonl", ".csv", ".tsv", ".json"})
_CODE_SUFFIXES = frozenset({".py", ".jinja2", ".jinja", ".md"})
_MAX_EXCERPT_CELLS = 120
_SEVERITY_STYLES = {"error": ("red", "bold"), "warning": ("yellow", "bold")}
# Patterns are texts: they are compiled when something is wrong, not whenever a command starts.
_YAML_FIELD = r"""^(\s*(?:-\s+)?["']?([\w.$-]+)["']?\s*:\s*)(?!\$\{)(\S.*)$"""
SENSITIVE_NAME = r"(?i)(key|secrets?|token|password)$"
_INLINE_FIELD = r"""(?i)((?:api_?key|secret|password|token)\s*:\s*)(?!\$\{)[^"'\s,}]+"""
_QUOTED_VALUE = r"""(?i)((?:api_?key|secret|password|token)["']?\s*[:=]\s*["'])(?!\$\{)[^"']+"""
_PLAIN_CONNECTION_KEYS = frozenset(
    {
        "name",
        "type",
        "api_base",
        "api_type",
        "api_version",
        "auth_mode",
        "base_url",
        "organization",
        "endpoint",
        "resource_id",
        "module",
        "package",
        "package_version",
        "custom_type",
        "$schema",
    }
)
_CONNECTION_FILE = r"(?m)^(api_key|secrets)\s*:"


class SourceText(Protocol):
    """Where excerpts come from."""

    def lines(self, file: str) -> Sequence[str] | None:
        """The lines of a file as they may be shown; ``None`` where they cannot or must not be."""
        ...

    def shown(self, file: str) -> str:
        """The file's name as people should read it."""
        ...


class Sources:
    """Excerpts from the files on disk.

    Secrets are masked. Lines of data files are the user's values: they are shown to a person at a terminal
    and nowhere else, so that no log of an automated run holds them.
    """

    def __init__(self, folder: Path, *, shows_data: bool) -> None:
        self._folder = folder
        self._shows_data = shows_data
        self._lines: dict[str, Sequence[str] | None] = {}

    def lines(self, file: str) -> Sequence[str] | None:
        """The lines of ``file``, secrets masked; ``None`` for files that cannot or must not be shown."""
        if file not in self._lines:
            self._lines[file] = self._read(file)
        return self._lines[file]

    def shown(self, file: str) -> str:
        """``file``, relative to the working directory where that is shorter."""
        path = Path(file)
        if path.is_absolute() and path.is_relative_to(self._folder):
            return str(path.relative_to(self._folder))
        return file

    def _read(self, file: str) -> Sequence[str] | None:
        path = self._folder / file
        if path.name.endswith(".env") or (path.suffix in _DATA_SUFFIXES and not self._shows_data):
            return None
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except (OSError, ValueError):
            return None
        return mask_secrets(text, is_code=path.suffix in _CODE_SUFFIXES)


def mask_secrets(text: str, *, is_code: bool = False) -> list[str]:
    """The lines of ``text`` with what looks like a secret masked; ``${…}`` references are none.

    In a file that looks like a connection every value is masked that is not of a field known to be plain.

    Args:
        text: Content of a file.
        is_code: Python or a template: only quoted values are masked, ``key: str`` declares something.
    """
    lines = [re.sub(_QUOTED_VALUE, rf"\g<1>{MASK}", line) for line in text.splitlines()]
    if is_code:
        return lines
    is_connection = re.search(_CONNECTION_FILE, text) is not None
    return [_mask_field(line, is_connection=is_connection) for line in lines]


def _mask_field(line: str, *, is_connection: bool) -> str:
    found = re.match(_YAML_FIELD, line)
    if found and (
        re.search(SENSITIVE_NAME, found[2]) or (is_connection and found[2] not in _PLAIN_CONNECTION_KEYS)
    ):
        return found[1] + MASK
    return re.sub(_INLINE_FIELD, rf"\g<1>{MASK}", line)


def render_problems(
    problems: Sequence[Problem],
    *,
    sources: SourceText,
    ink: Ink,
    width: int | None = None,
    has_summary: bool = False,
) -> str:
    """All problems, a blank line between them, and on request a last line that counts them."""
    parts = [render_problem(problem, sources=sources, ink=ink, width=width) for problem in problems]
    if has_summary:
        parts.append(ink.paint(count_problems(problems), "bold"))
    return "\n\n".join(parts)


def count_problems(problems: Sequence[Problem]) -> str:
    """How many errors and warnings there are, in words."""
    n_errors = sum(problem.severity == "error" for problem in problems)
    words = [_count(n_errors, "error"), _count(len(problems) - n_errors, "warning")]
    return ", ".join(word for word in words if word) or "no problems"


def _count(n: int, noun: str) -> str:
    return "" if n == 0 else f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def render_problem(problem: Problem, *, sources: SourceText, ink: Ink, width: int | None = None) -> str:
    """One problem.

    Args:
        problem: What to show.
        sources: Where the lines of the excerpt come from.
        ink: Colours of the stream.
        width: Where sentences are wrapped; ``None`` for never.

    Returns:
        Text without a final line end.
    """
    style = _SEVERITY_STYLES.get(problem.severity, ("bold",))
    place = _place(problem.span, sources) + ": " if problem.span else ""
    kind = ink.paint(f"{problem.severity}[{problem.code} {problem.name}]", *style)
    lines = [ink.paint(place, "bold") + kind, *_paragraph(problem.what, "  ", width)]
    if problem.span:
        lines += _excerpt(problem.span, sources, ink, n_before=1, style=style[:1])
    for note, span in problem.related:
        lines.append(f"  {note}: {_place(span, sources)}")
        lines += _excerpt(span, sources, ink, n_before=0, style=("cyan",))[1:]
    if problem.detail:
        lines += ["", *(("    " + line).rstrip() for line in problem.detail), ""]
    if problem.fix:
        fix = _paragraph(problem.fix, "  fix: ", width)
        lines += [fix[0].replace("fix:", ink.paint("fix:", "green", "bold"), 1), *fix[1:]]
    return "\n".join(lines).rstrip("\n")


def _place(span: Span, sources: SourceText) -> str:
    return f"{sources.shown(span.file)}:{span.line}:{span.column}"


def _paragraph(text: str, lead: str, width: int | None) -> list[str]:
    if width is None:
        return [lead + text]
    later = " " * len(lead)
    return wrap(
        text,
        min(width, 100),
        initial_indent=lead,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [lead]


def _excerpt(
    span: Span, sources: SourceText, ink: Ink, *, n_before: int, style: tuple[str, ...]
) -> list[str]:
    file_lines = sources.lines(span.file)
    if file_lines is None or not 1 <= span.line <= len(file_lines):
        return []
    first = max(span.line - n_before, 1)
    gutter = max(len(str(span.line)), 4)
    shown = [""]
    for number in range(first, span.line + 1):
        text, caret_at, caret_cells = _window(file_lines[number - 1], span)
        if text.strip() or number == span.line:
            shown.append(ink.paint(f"  {number:>{gutter}} |", "dim") + f" {text}".rstrip())
    caret = ink.paint("^" * caret_cells, *style, "bold")
    shown.append(ink.paint(f"  {'':>{gutter}} |", "dim") + f" {' ' * caret_at}{caret}")
    return shown


def _window(line: str, span: Span) -> tuple[str, int, int]:
    """The part of ``line`` around the span, and where its carets begin and how many they are, in cells."""
    start = min(span.column - 1, len(line))
    end = min(span.end_column - 1, len(line)) if span.end_line == span.line else len(line.rstrip())
    before, marked, after = (part.expandtabs(1) for part in (line[:start], line[start:end], line[end:]))
    if text_width(before) > _MAX_EXCERPT_CELLS // 2:
        before = "\N{HORIZONTAL ELLIPSIS}" + before[-_MAX_EXCERPT_CELLS // 2 :]
    caret_at = text_width(before)
    room = max(_MAX_EXCERPT_CELLS - caret_at, 1)
    return crop(before + marked + after, _MAX_EXCERPT_CELLS), caret_at, min(max(text_width(marked), 1), room)


def problems_to_json(
    problems: Sequence[Problem], value_of: Callable[[Problem], Any] = lambda _: None
) -> dict[str, Any]:
    """What ``flow validate`` prints as JSON: prompt flow's shape with our code, place and fix beside it.

    Args:
        problems: What was found.
        value_of: The value of the file at a problem's place; ``None`` where it is not shown.
    """
    errors = [_finding(problem, value_of) for problem in problems if problem.severity == "error"]
    warnings = [_finding(problem, value_of) for problem in problems if problem.severity != "error"]
    return {"result": "Failed" if errors else "Succeeded", "errors": errors, "warnings": warnings}


def _finding(problem: Problem, value_of: Callable[[Problem], Any]) -> dict[str, Any]:
    span = problem.span
    path = ".".join(map(str, problem.pointer)) or "*"
    value = value_of(problem)
    return {
        "message": problem.what,
        "path": path,
        **({} if value is None else {"value": value}),
        "yaml_path": path,
        "code": problem.code,
        "name": problem.name,
        "file": span.file if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "fix": problem.fix,
    }


def render_github(problems: Sequence[Problem]) -> str:
    """One workflow command per problem, which GitHub shows beside the line of the file."""
    return "\n".join(_github_line(problem) for problem in problems)


def _github_line(problem: Problem) -> str:
    properties: Mapping[str, str] = {"title": f"{problem.code} {problem.name}"}
    if problem.span:
        span = problem.span
        places = {"file": span.file, "line": span.line, "col": span.column, "endLine": span.end_line}
        properties = {**{key: str(value) for key, value in places.items()}, **properties}
    message = problem.what + (f"\nfix: {problem.fix}" if problem.fix else "")
    return workflow_command("error" if problem.severity == "error" else "warning", properties, message)


def workflow_command(level: str, properties: Mapping[str, str], message: str) -> str:
    """A line that GitHub reads from the log of a workflow: "error", "warning" or "notice", where it stands, and why."""
    fields = ",".join(f"{key}={_escape(value, ',:')}" for key, value in properties.items())
    return f"::{level} {fields}::{_escape(message)}"


def _escape(text: str, further: str = "") -> str:
    """Percent-encode what a workflow command would take for its own syntax."""
    for character in "%\r\n" + further:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
