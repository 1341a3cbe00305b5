from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest

from headrace.tools.instances import Instances, keeps_state


class Quiet:
    def __init__(self) -> None:
        self.client = object()

    def __call__(self, text: str) -> str:
        return text * 2


class Sets:
    def __call__(self, text: str) -> str:
        self.text = text
        return self.text


class Inherits(Sets):
    pass


class SetsInside:
    def __call__(self, text: str) -> Any:
        def inner() -> None:
            self.text = text

        return inner()


class SetsInHelp:
    def __call__(self, text: str) -> Any:
        return self.remember(text)

    @property
    def word(self) -> str:
        return ""

    def remember(self, text: str) -> None:
        self.text = text


def wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*values: Any) -> Any:
        return function(*values)

    return wrapped


class Wrapped:
    @wrapping
    def __call__(self, text: str) -> None:
        self.text = text


class Borrowed:
    @staticmethod
    def __aggregate__(lines: Any) -> None:
        lines.x = 1


@pytest.mark.parametrize(
    ("cls", "expected"),
    [(Quiet, False), (Sets, True), (Inherits, True), (SetsInside, True), (SetsInHelp, True), (Wrapped, True),
     (Borrowed, True)],
)  # fmt: skip
def test_a_class_keeps_state_when_a_method_sets_an_attribute(cls: type, *, expected: bool) -> None:
    assert keeps_state(cls) is expected


class Holds:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.counts: dict[str, int] = {}
        self.waiting: asyncio.Queue[str] = asyncio.Queue()
        self.client = object()


class Appends(Holds):
    def __call__(self, text: str) -> None:
        self.words.append(text)


class SetsItem(Holds):
    def __call__(self, text: str) -> None:
        self.counts[text.strip() + "!"] = len(text)


class DeletesItem(Holds):
    def __call__(self, text: str) -> None:
        del self.counts[text]


class UsesQueue(Holds):
    async def __call__(self, text: str) -> None:
        await self.hand_on(self.waiting, text)

    async def hand_on(self, queue: Any, text: str) -> None:
        await queue.put(text)


class Reads(Holds):
    def __call__(self, text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        seen = []
        for word in self.words:
            found[word] = self.counts[word]
            seen.append(self.counts.get(word))
        found.setdefault(text, seen)
        return found


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Appends, True),
        (SetsItem, True),
        (DeletesItem, True),
        (UsesQueue, True),
        (Reads, False),
        (Holds, False),
    ],
)
def test_a_class_keeps_state_when_a_method_changes_a_collection_that_the_constructor_made(
    cls: type, *, expected: bool
) -> None:
    instances = Instances(cls, cls)
    instances.start()
    assert (instances.take() is not instances.take()) is expected


def test_one_instance_serves_all_calls_where_none_changes_it() -> None:
    instances = Instances(Quiet, Quiet)
    instances.start()
    first = instances.take()
    assert instances.take() is first


def test_calls_at_the_same_time_never_share_an_instance_that_they_change() -> None:
    n_made = 0

    def make() -> Sets:
        nonlocal n_made
        n_made += 1
        return Sets()

    instances = Instances(Sets, make)
    instances.start()
    barrier = Barrier(4)
    found: list[tuple[str, str]] = []

    def line(text: str) -> None:
        instance = instances.take()
        instance(text)
        barrier.wait()
        found.append((text, instance.text))
        instances.give(instance)

    for _ in range(3):
        threads = [Thread(target=line, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 12
    assert all(text == kept for text, kept in found)
    assert n_made == 4
