"""Reaching a name that has several addresses, of which some may lead nowhere (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
from asyncio.staggered import staggered_race
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, zip_longest
from typing import Any

_NEXT_AFTER_S = 0.25

_Address = tuple[int, int, int, str, Any]
"""As ``getaddrinfo`` has it: family, type, protocol, canonical name, address."""


async def reach(host: str, port: int) -> socket.socket:
    """A socket that is connected to the first address of a name that takes it; each is tried a little after the last.

    asyncio's loop does this by itself; uvloop's, in which a server may run, tries one address after the other.

    Raises:
        OSError: The name is not known, or no address of it takes the connection.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    tries = [partial(_try, loop, address) for address in _in_turn(found)]
    reached: socket.socket | None
    reached, _, failures = await staggered_race(tries, _NEXT_AFTER_S)
    if reached is None:
        raise next((error for error in failures if error is not None), OSError("The name has no address."))
    return reached


async def _try(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    family, kind, protocol, _, place = address
    with ExitStack() as stack:
        tried = stack.enter_context(socket.socket(family, kind, protocol))
        tried.settimeout(0)
        await loop.sock_connect(tried, place)
        stack.pop_all()  # it stays open
    return tried


def _in_turn(addresses: Sequence[_Address]) -> list[_Address]:
    """Addresses of both kinds by turns, beginning with the kind that the system puts first."""
    first = [item for item in addresses if item[0] == addresses[0][0]]
    others = [item for item in addresses if item[0] != addresses[0][0]]
    return [item for item in chain(*zip_longest(first, others)) if item is not None]
