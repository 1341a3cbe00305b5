"""Instances of the class of a flex flow: one for all lines where that is safe, else one per line in flight.

Prompt flow runs one line at a time in each of its worker processes, so a class may keep what belongs to a call in its
own attributes. Lines that run at the same time in one process must not share such an instance.
"""

from __future__ import annotations

import asyncio
import dis
import inspect
import queue
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

_CHANGES = frozenset(("STORE_ATTR", "DELETE_ATTR"))
_ITEM_CHANGES = frozenset(("STORE_SUBSCR", "DELETE_SUBSCR"))
_LOADS = ("LOAD_ATTR", "LOAD_METHOD")
_QUEUES = (asyncio.Queue, queue.Queue, queue.SimpleQueue)
_COLLECTIONS = (list, dict, set, deque)
_CHANGING_METHODS = frozenset((
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem", "popleft",
    "remove", "setdefault", "update",
))  # fmt: skip


def keeps_state(cls: type, instance: Any = None) -> bool:
    """Whether calls may change an instance.

    They do when some method other than the constructor sets an attribute, changes a collection that is one, or uses a
    queue that is one.

    Args:
        cls: Its class.
        instance: One that the constructor has made, whose attributes are looked at; without it only assignments are.
    """
    held = getattr(instance, "__dict__", {})
    queues = frozenset(name for name, value in held.items() if isinstance(value, _QUEUES))
    collections = frozenset(name for name, value in held.items() if isinstance(value, _COLLECTIONS))
    return any(_changes(code, queues, collections) for code in _method_codes(cls))


def _method_codes(cls: type) -> Iterator[CodeType]:
    for base in cls.__mro__:
        for name, value in vars(base).items():
            function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
            if isinstance(function, FunctionType) and name != "__init__":
                yield function.__code__


def _changes(code: CodeType, queues: frozenset[str], collections: frozenset[str]) -> bool:
    steps = list(dis.get_instructions(code))
    return (
        any(step.opname in _CHANGES for step in steps)
        or not queues.isdisjoint(code.co_names)
        or any(_changes_collection(steps, index, collections) for index in range(len(steps)))
        or any(
            _changes(inner, queues, collections) for inner in code.co_consts if isinstance(inner, CodeType)
        )
    )


def _changes_collection(steps: list[dis.Instruction], index: int, names: frozenset[str]) -> bool:
    """Whether a step calls a changing method of an attribute among ``names``, or stores or deletes an item of it."""
    step = steps[index]
    if step.opname in _LOADS and step.argval in _CHANGING_METHODS:
        return _is_load_of(steps, index - 1, names)
    return step.opname in _ITEM_CHANGES and _is_load_of(steps, _before_top(steps, index), names)


def _before_top(steps: list[dis.Instruction], index: int) -> int:
    """The step that put what lies below the top of the stack there: the collection, when the top is the key."""
    missing = 1
    while missing > 0 and index > 0:
        index -= 1
        step = steps[index]
        missing -= dis.stack_effect(step.opcode, step.arg, jump=False)
    return index - 1


def _is_load_of(steps: list[dis.Instruction], index: int, names: frozenset[str]) -> bool:
    return index >= 0 and steps[index].opname in _LOADS and steps[index].argval in names


class Instances:
    """Hands out instances.

    Args:
        cls: Their class.
        make: Makes one.
    """

    def __init__(self, cls: type, make: Callable[[], Any]) -> None:
        self._cls = cls
        self._is_shared = False
        self._make = make
        self._free: deque[Any] = deque()

    def start(self) -> None:
        """Make the first one; those of an earlier start are forgotten.

        Raises:
            Exception: Whatever the constructor raises.
        """
        first = self._make()
        self._is_shared = not keeps_state(self._cls, first)
        self._free = deque((first,))

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
