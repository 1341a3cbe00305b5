"""The few ``${{ }}`` that our workflows need: names, texts, comparisons, and the functions that say how a job goes.

Everything else is refused, so that no workflow relies on something that no test has evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w-]*(?:\.[\w-]+)*)|(?P<mark>==|!=|&&|\|\||[!()]))"
)
_HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)

MAY_LACK = ("vars", "secrets", "inputs", "env")
"""Contexts in which GitHub answers with an empty text for what nobody has set."""


class NotKnownError(ValueError):
    """An expression, a context or a function that this does not know."""


def evaluate(expression: str, contexts: Mapping[str, Any], states: Mapping[str, bool]) -> Any:
    """The value of an expression without its ``${{ }}``.

    Args:
        expression: The text.
        contexts: ``github``, ``vars`` and so on.
        states: What ``success()``, ``failure()``, ``cancelled()`` and ``always()`` say.

    Raises:
        NotKnownError: For anything but names, texts, ``== != && || !``, parentheses and these functions.
    """
    return _Parser(_tokens(expression), contexts, states).parse()


def fill(text: str, contexts: Mapping[str, Any], states: Mapping[str, bool]) -> str:
    """The text with every ``${{ }}`` in it replaced by its value."""
    return _HOLE.sub(lambda hole: _text(evaluate(hole[1], contexts, states)), text)


def holds(condition: str, contexts: Mapping[str, Any], states: Mapping[str, bool]) -> bool:
    """Whether an ``if`` lets something run; one that asks no function wants ``success()`` as well."""
    whole = _HOLE.fullmatch(condition.strip())
    expression = whole[1] if whole else condition
    asks = any(f"{name}()" in expression for name in states)
    return bool(evaluate(expression, contexts, states)) and (asks or states["success"])


def _text(value: Any) -> str:
    return (
        {True: "true", False: "false", None: ""}.get(value, value)
        if isinstance(value, bool | None)
        else str(value)
    )


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, place = [], 0
    expression = expression.strip()
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise NotKnownError(f"cannot read {expression[place:]!r} of {expression!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return found


class _Parser:
    def __init__(
        self, tokens: list[tuple[str, str]], contexts: Mapping[str, Any], states: Mapping[str, bool]
    ) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._contexts = contexts
        self._states = states

    def parse(self) -> Any:
        value = self._either()
        if self._tokens[0][0] != "end":
            raise NotKnownError(f"do not know what {self._tokens[0][1]!r} does there")
        return value

    def _take(self, *marks: str) -> str | None:
        kind, text = self._tokens[0]
        if kind != "mark" or text not in marks:
            return None
        self._tokens.pop(0)
        return text

    def _either(self) -> Any:
        return self._chain("||", self._both, lambda left, right: left or right)

    def _both(self) -> Any:
        return self._chain("&&", self._same, lambda left, right: left and right)

    def _chain(self, mark: str, part: Callable[[], Any], join: Callable[[Any, Any], Any]) -> Any:
        value = part()
        while self._take(mark):
            value = join(value, part())
        return value

    def _same(self) -> Any:
        left = self._single()
        mark = self._take("==", "!=")
        return left if mark is None else (left == self._single()) == (mark == "==")

    def _single(self) -> Any:
        if self._take("!"):
            return not self._single()
        if self._take("("):
            value = self._either()
            if not self._take(")"):
                raise NotKnownError("a parenthesis is not closed")
            return value
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind != "name":
            raise NotKnownError(f"do not know what {text!r} does there")
        if self._take("("):
            if text not in self._states or not self._take(")"):
                raise NotKnownError(f"the function {text} is not known")
            return self._states[text]
        return self._look_up(text)

    def _look_up(self, name: str) -> Any:
        first, *rest = name.split(".")
        if first not in self._contexts or not rest:
            raise NotKnownError(f"the context {first} is not known")
        value: Any = self._contexts[first]
        for key in rest:
            if key not in value:
                if first in MAY_LACK or (first == "steps" and rest[1:-1] == ["outputs"]):
                    return ""
                raise NotKnownError(f"{name} is not known")
            value = value[key]
        return value
