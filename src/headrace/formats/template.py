"""Jinja2 templates: parsed for checking, rendered for prompt and model nodes. The only home of jinja2.

One sandboxed environment with prompt flow's options: blocks eat the newline after them, the final newline
stays, nothing is escaped, nothing can be included, a missing name renders as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from jinja2 import Template as CompiledTemplate
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment

from headrace.errors import DefinitionError, NodeError, Problem
from headrace.source import Span

# Prompts are text for a model, not HTML: escaping would change them.
_ENVIRONMENT = SandboxedEnvironment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)

_IMAGE = re.compile(r"!\[\s*image\s*\]\(\{\{([^{}]+)\}\}\)")

# What a template can run into by its own doing; anything else comes from a value's own code and is not ours.
_RENDER_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Template:
    """A compiled template.

    Attributes:
        file: As the user named it.
        text: The source.
    """

    __slots__ = ("_compiled", "_first_line", "_variables", "file", "text")

    def __init__(self, *, text: str, file: str, first_line: int, compiled: CompiledTemplate) -> None:
        self.text = text
        self.file = file
        self._first_line = first_line
        self._compiled = compiled
        self._variables: tuple[str, ...] | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names that the template takes from outside, in the order in which they first appear in the text.

        Names that are only tested with ``is defined`` count, and so do the sources of loops.
        """
        if self._variables is None:
            found = find_undeclared_variables(_ENVIRONMENT.parse(self.text))
            self._variables = tuple(sorted(found, key=self._position))
        return self._variables

    @property
    def image_variables(self) -> tuple[str, ...]:
        """Those variables that stand as an image: ``![image]({{name}})``."""
        shown = {found[1].strip() for found in _IMAGE.finditer(self.text)}
        return tuple(name for name in self.variables if name in shown) if shown else ()

    @property
    def start(self) -> Span:
        """The place of its first character."""
        return Span(file=self.file, line=self._first_line, column=1, end_line=self._first_line, end_column=1)

    def span_of(self, name: str) -> Span:
        """The place where a variable is first used."""
        found = re.search(rf"\{{[{{%][^{{}}]*?\b({re.escape(name)})\b", self.text)
        offset = found.start(1) if found else 0
        before = self.text[:offset]
        line = self._first_line + before.count("\n")
        column = offset - before.rfind("\n")
        return Span(file=self.file, line=line, column=column, end_line=line, end_column=column + len(name))

    def render(self, values: Mapping[str, Any]) -> str:
        """Render with ``values``; the text is returned untouched, final newline included.

        Raises:
            NodeError: E602 at the line of the template that failed.
        """
        try:
            return self._compiled.render(values)
        except _RENDER_ERRORS as error:
            line = _failing_line(error.__traceback__, self.file)
            raise NodeError(self._problem(error, line)) from error

    def _position(self, name: str) -> tuple[int, str]:
        found = re.search(rf"\b{re.escape(name)}\b", self.text)
        return (found.start() if found else len(self.text), name)

    def _problem(self, error: Exception, line: int) -> Problem:
        reason = _speakable(error, self.text)
        return Problem(
            code="E602",
            what=f"The template failed with {type(error).__name__}{reason}",
            span=_line_span(self.text, self.file, line, self._first_line),
            fix=_render_fix(error),
        )


def load_template(text: str, file: str, first_line: int = 1) -> Template:
    """Compile a template.

    Args:
        text: The source.
        file: Name of the file for spans.
        first_line: Line of the file on which ``text`` begins, for templates inside other files.

    Raises:
        DefinitionError: F009 at the line that cannot be parsed.
    """
    try:
        code = _ENVIRONMENT.compile(text, name=file, filename=file)
    except TemplateSyntaxError as error:
        problem = Problem(
            code="F009",
            what=f"The template cannot be parsed: {error.message}",
            span=_line_span(text, file, error.lineno, first_line),
            fix="Check the {{ }} and {% %} on this line, and that every block is closed.",
        )
        raise DefinitionError(problem) from error
    except (RecursionError, SyntaxError, ValueError) as error:  # what jinja2 passes on from Python's compiler
        what = f"The template is too deeply nested or holds too large a number ({type(error).__name__})."
        span = _line_span(text, file, 1, first_line)
        raise DefinitionError(
            Problem(code="F009", what=what, span=span, fix="Simplify the template.")
        ) from error
    # A plain dict: jinja2 walks through its globals at every rendering, which takes long in its chain of mappings.
    names = dict(_ENVIRONMENT.make_globals(None))
    compiled = CompiledTemplate.from_code(_ENVIRONMENT, code, names)
    return Template(text=text, file=file, first_line=first_line, compiled=compiled)


def _failing_line(traceback: TracebackType | None, file: str) -> int:
    """The innermost template line in a traceback that jinja2 has mapped back to the source."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _line_span(text: str, file: str, line: int, first_line: int) -> Span:
    lines = text.split("\n")
    content = lines[line - 1] if 0 < line <= len(lines) else ""
    column = len(content) - len(content.lstrip()) + 1
    shown = line + first_line - 1
    return Span(file=file, line=shown, column=column, end_line=shown, end_column=len(content.rstrip()) + 1)


def _speakable(error: Exception, text: str) -> str:
    """The error's own words where they can hold names and types only; values are never repeated."""
    if isinstance(error, (SecurityError, TypeError)):
        return f": {str(error).rstrip('.')}."
    if isinstance(error, UndefinedError):
        words = re.findall(r"'([^']*)'", str(error))
        if all(word in text or word.endswith(" object") for word in words):
            return f": {error}."
    return "."


def _render_fix(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        return "Give the node an input of this name, check its spelling, or test it with `is defined`."
    if isinstance(error, TypeError) and "no loader" in str(error):
        return "Templates cannot include or extend others: put the text into this one."
    if isinstance(error, SecurityError):
        return "Templates run in a sandbox: do this in a Python node and pass the result in."
    return "Check the types of the node's inputs against what this line of the template does with them."
