"""Order and circles in a directed graph given as names and what each of them waits for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush


def topological_order(names: Iterable[str], waits_for: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """An order in which every name comes after all that it waits for.

    Among names that could come next, the one that comes first in ``names`` does, so a list that is in order
    already keeps its order. Names in or behind a circle are left out; :func:`find_cycle` names the circle.

    Args:
        names: All names, in the order to keep where possible.
        waits_for: For each name, the names it waits for; unknown ones are ignored.
    """
    rank = {name: position for position, name in enumerate(names)}
    open_waits = {name: {wait for wait in waits_for.get(name, ()) if wait in rank} for name in rank}
    followers: dict[str, list[str]] = {name: [] for name in rank}
    for name, waits in open_waits.items():
        for wait in waits:
            followers[wait].append(name)
    ready = [rank[name] for name, waits in open_waits.items() if not waits]
    heapify(ready)
    by_rank = tuple(rank)
    order: list[str] = []
    while ready:
        name = by_rank[heappop(ready)]
        order.append(name)
        for follower in followers[name]:
            open_waits[follower].discard(name)
            if not open_waits[follower]:
                heappush(ready, rank[follower])
    return tuple(order)


def find_cycle(names: Iterable[str], waits_for: Mapping[str, Collection[str]]) -> tuple[str, ...] | None:
    """One circle, as the names on it in waiting order (each waits for the next, the last for the first).

    Returns:
        The circle that begins with the earliest possible name, or ``None`` when there is none.
    """
    known = tuple(names)
    done = set(topological_order(known, waits_for))
    stuck = {
        name: [w for w in waits_for.get(name, ()) if w not in done and w in known]
        for name in known
        if name not in done
    }
    if not stuck:
        return None
    # Every stuck name waits for another stuck one, so following the waits must come round.
    path: list[str] = []
    name = next(iter(stuck))
    while name not in path:
        path.append(name)
        name = stuck[name][0]
    circle = path[path.index(name) :]
    first = circle.index(min(circle, key=known.index))
    return tuple(circle[first:] + circle[:first])


def find_cycles(
    names: Iterable[str], waits_for: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...], ...]:
    """Circles that share no name, as :func:`find_cycle` gives them; breaking all of them leaves an order.

    Every further circle is looked for without the names of those before it, so one that shares a name with another
    shows when that is broken.
    """
    left = list(names)
    circles = []
    while circle := find_cycle(left, waits_for):
        circles.append(circle)
        left = [name for name in left if name not in circle]
    return tuple(circles)
