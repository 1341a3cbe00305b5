"""Entries of flex flows that code gives as objects: a function, a class, or an instance that is called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_given: ContextVar[tuple[str, Any] | None] = ContextVar("headrace_given_entry", default=None)


@contextmanager
def giving_entry(name: str, value: Any) -> Iterator[None]:
    """Use ``value`` for the flow whose entry is ``name``, in place of importing it, during the block."""
    token = _given.set((name, value))
    try:
        yield
    finally:
        _given.reset(token)


def find_given(name: str | None) -> Any:
    """The object that stands for an entry; ``None`` when it is to be imported."""
    given = _given.get()
    return given[1] if given is not None and given[0] == name else None


def copies_of(instance: Any) -> Callable[[], Any]:
    """Makes copies of an instance, so that lines do not share its state and the giver's own stays as it is.

    An instance that cannot be copied is shared.
    """

    def make() -> Any:
        try:
            return copy.deepcopy(instance)
        except (TypeError, ValueError, RecursionError, copy.Error):
            return instance

    return make
