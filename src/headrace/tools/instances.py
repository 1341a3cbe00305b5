"""Instances of the class of a flex flow: one for all lines where that is safe, else one per line in flight.

Prompt flow runs one line at a time in each of its worker processes, so a class may keep what belongs to a call in its
own attributes. Lines that run at the same time in one process must not share such an instance.
"""

from __future__ import annotations

import dis
import inspect
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

_CHANGES = frozenset(("STORE_ATTR", "DELETE_ATTR"))


def keeps_state(cls: type) -> bool:
    """Whether calls may change an instance: some method other than the constructor sets an attribute."""
    return any(_sets_attributes(code) for code in _method_codes(cls))


def _method_codes(cls: type) -> Iterator[CodeType]:
    for base in cls.__mro__:
        for name, value in vars(base).items():
            function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
            if isinstance(function, FunctionType) and name != "__init__":
                yield function.__code__


def _sets_attributes(code: CodeType) -> bool:
    if any(step.opname in _CHANGES for step in dis.get_instructions(code)):
        return True
    return any(_sets_attributes(inner) for inner in code.co_consts if isinstance(inner, CodeType))


class Instances:
    """Hands out instances.

    Args:
        cls: Their class.
        make: Makes one.
    """

    def __init__(self, cls: type, make: Callable[[], Any]) -> None:
        self._is_shared = not keeps_state(cls)
        self._make = make
        self._free: deque[Any] = deque()

    def start(self) -> None:
        """Make the first one; those of an earlier start are forgotten.

        Raises:
            Exception: Whatever the constructor raises.
        """
        self._free = deque((self._make(),))

    def take(self) -> Any:
        """One for a call; give it back with :meth:`give` when the call is over."""
        if self._is_shared:
            return self._free[0]
        try:
            return self._free.pop()
        except IndexError:
            return self._make()

    def give(self, instance: Any) -> None:
        """Take an instance back for another call."""
        if not self._is_shared:
            self._free.append(instance)
