"""Names with several addresses, in both event loops that a flow may run in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from uvicorn.loops.auto import auto_loop_factory

from headrace.providers.reach import _in_turn, reach

LOOPS = pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, auto_loop_factory()])
MakeLoop = Callable[[], asyncio.AbstractEventLoop]


@LOOPS
def test_a_name_is_reached_at_the_address_that_somebody_listens_on(make_loop: MakeLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=make_loop) as runner:
        address = listener.getsockname()
        with runner.run(reach("localhost", address[1])) as reached:
            assert reached.getpeername() == address


@LOOPS
def test_a_name_at_which_nobody_listens_is_refused(make_loop: MakeLoop) -> None:
    with socket.socket() as bound, asyncio.Runner(loop_factory=make_loop) as runner:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"refused|Connect call failed|Errno"):
            runner.run(reach("localhost", bound.getsockname()[1]))


def test_both_kinds_of_addresses_are_tried_by_turns() -> None:
    kinds = [socket.AF_INET6, socket.AF_INET6, socket.AF_INET6, socket.AF_INET]
    found = [(kind, socket.SOCK_STREAM, 6, "", (str(n), 80)) for n, kind in enumerate(kinds)]
    assert [item[4][0] for item in _in_turn(found)] == ["0", "3", "1", "2"]
