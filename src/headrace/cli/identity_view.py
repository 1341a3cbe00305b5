"""How tokens for Azure were come by, for people who ask."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.cli.session import Session
from headrace.providers.azure_credential import LOGGER


@contextmanager
def saying_identity(session: Session) -> Iterator[None]:
    """With ``--verbose``, say on standard error during the block which ways of signing in were tried."""
    if not session.is_verbose:
        yield
        return
    teller = _Teller(session)
    level = LOGGER.level
    LOGGER.addHandler(teller)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(teller)
        LOGGER.setLevel(level)


class _Teller(logging.Handler):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        self._session.note(f"    {record.getMessage()}")
