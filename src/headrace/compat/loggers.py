"""The loggers of promptflow that projects write to, by name; their lines go where a tool's prints go."""

from __future__ import annotations

import logging
import sys
from typing import Any

from headrace.config import load_settings

LOG_FORMAT = "%(asctime)s %(process)7d %(name)-18s %(levelname)-8s %(message)s"
DATETIME_FORMAT = "%Y-%m-%d %H:%M:%S %z"
PF_LOGGING_LEVEL = "PF_LOGGING_LEVEL"
_SDK_LOGGER = "promptflow"
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


class _CurrentStream(logging.StreamHandler[Any]):
    """Writes to whatever ``sys.stdout`` is at that moment: inside a node, that is the node's."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter(LOG_FORMAT, DATETIME_FORMAT))

    @property
    def stream(self) -> Any:
        return sys.stdout


def get_pf_logging_level(default: int = logging.INFO) -> int:
    """The level that ``PF_LOGGING_LEVEL`` names, else ``default``."""
    word = load_settings().environment.get(PF_LOGGING_LEVEL, "").upper()
    return int(getattr(logging, word)) if word in _LEVELS else default


def get_logger(name: str) -> logging.Logger:
    """A logger of this name that writes lines of prompt flow's form."""
    return _logger(name, get_pf_logging_level())


def get_cli_sdk_logger() -> logging.Logger:
    """The logger ``promptflow``, which says nothing below a warning."""
    return _logger(_SDK_LOGGER, logging.WARNING)


class LoggerFactory:
    """Makes loggers."""

    @staticmethod
    def get_logger(
        name: str,
        verbosity: int = logging.INFO,
        target_stdout: bool = False,  # noqa: FBT001, FBT002 - the signature that projects call
    ) -> logging.Logger:
        """A logger with this name and level."""
        del target_stdout
        return _logger(name, verbosity)

    @staticmethod
    def disable_all_loggers() -> None:
        """Silence the loggers of promptflow."""
        for name in ("execution", "execution.flow", "execution.bulk", "execution.service", _SDK_LOGGER):
            logging.getLogger(name).disabled = True


def _logger(name: str, level: int) -> logging.Logger:
    found = logging.getLogger(name)
    found.setLevel(level)
    if not any(isinstance(handler, _CurrentStream) for handler in found.handlers):
        found.propagate = False
        found.addHandler(_CurrentStream())
    return found


logger = get_logger("execution")
flow_logger = get_logger("execution.flow")
bulk_logger = get_logger("execution.bulk")
service_logger = get_logger("execution.service")
