"""Times at which something happens, behind one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.virtual_loop import VirtualLoop

from headrace.engine.alarms import Alarms, running_alarms


class Bell:
    """Notes when it rings, and may have another time then."""

    def __init__(self, alarms: Alarms, again_s: float | None = None) -> None:
        self.alarms = alarms
        self.again_s = again_s
        self.rang_s: list[float] = []

    def ring(self) -> None:
        self.rang_s.append(self.alarms.loop.time())
        if self.again_s is not None:
            self.alarms.set(self, self.again_s)
            self.again_s = None


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def session() -> None:
        await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(session())


def test_each_rings_once_at_its_own_time_whatever_their_order() -> None:
    async def main() -> None:
        alarms = running_alarms()
        bells = {time_s: Bell(alarms) for time_s in (30.0, 10.0, 20.0)}
        for time_s, bell in bells.items():
            alarms.set(bell, time_s)
        await asyncio.sleep(100)
        assert {time_s: bell.rang_s for time_s, bell in bells.items()} == {
            30.0: [30.0],
            10.0: [10.0],
            20.0: [20.0],
        }

    run(main)


def test_what_was_taken_back_does_not_ring_and_hides_nothing() -> None:
    async def main() -> None:
        alarms = running_alarms()
        gone, later = Bell(alarms), Bell(alarms)
        alarms.set(gone, 10.0)
        alarms.set(later, 20.0)
        alarms.clear(gone)
        alarms.clear(gone)
        await asyncio.sleep(100)
        assert (gone.rang_s, later.rang_s) == ([], [20.0])

    run(main)


def test_a_new_time_replaces_the_old_one_also_while_it_rings() -> None:
    async def main() -> None:
        alarms = running_alarms()
        put_off, again = Bell(alarms), Bell(alarms, again_s=40.0)
        alarms.set(put_off, 10.0)
        alarms.set(put_off, 30.0)
        alarms.set(again, 20.0)
        await asyncio.sleep(100)
        assert (put_off.rang_s, again.rang_s) == ([30.0], [20.0, 40.0])

    run(main)


def test_many_times_have_one_timer() -> None:
    async def main() -> None:
        alarms = running_alarms()
        for time_s in range(100, 200):
            bell = Bell(alarms)
            alarms.set(bell, float(time_s))
            alarms.clear(bell)
        assert len(asyncio.get_running_loop()._scheduled) == 1  # type: ignore[attr-defined]

    run(main)


def test_every_event_loop_has_its_own() -> None:
    found = []

    async def main() -> None:
        found.append(running_alarms())
        assert running_alarms() is found[-1]

    run(main)
    run(main)
    assert found[0] is not found[1]
