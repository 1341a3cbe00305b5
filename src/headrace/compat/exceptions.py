"""Exceptions that projects raise or catch under promptflow's names."""

from __future__ import annotations

from enum import Enum
from string import Formatter
from typing import Any, ClassVar


class ErrorCategory(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Whose fault an error is."""

    USER_ERROR = "UserError"
    SYSTEM_ERROR = "SystemError"
    UNKNOWN = "Unknown"


class ErrorTarget(str, Enum):  # noqa: UP042
    """Where an error happened."""

    EXECUTOR = "Executor"
    BATCH = "Batch"
    CORE = "Core"
    FLOW_EXECUTOR = "FlowExecutor"
    NODE_EXECUTOR = "NodeExecutor"
    TOOL = "Tool"
    AZURE_RUN_STORAGE = "AzureRunStorage"
    RUNTIME = "Runtime"
    UNKNOWN = "Unknown"
    RUN_TRACKER = "RunTracker"
    RUN_STORAGE = "RunStorage"
    CONTROL_PLANE_SDK = "ControlPlaneSDK"
    SERVING_APP = "ServingApp"
    FLOW_INVOKER = "FlowInvoker"
    FUNCTION_PATH = "FunctionPath"


class PromptflowException(Exception):  # noqa: N818 - the name that projects know
    """Root of the exceptions.

    Attributes:
        message: What the user is told; made from ``message_format`` where no message is given.
        message_format: The message with ``{name}`` in place of values.
        target: Where it happened.
        module: Module that raised it, if given.
        additional_info: Further facts; ``None`` here.
    """

    DEFAULT_TARGET: ClassVar[ErrorTarget] = ErrorTarget.UNKNOWN
    additional_info: Any = None

    def __init__(
        self,
        message: str = "",
        message_format: str = "",
        target: ErrorTarget | str | None = None,
        module: str | None = None,
        **details: Any,
    ) -> None:
        self.message_format = message_format
        self.message_parameters = _parameters(message_format, details)
        text = str(message) or message_format.format(**self.message_parameters) or type(self).__name__
        super().__init__(text)
        self.message = text
        self.target = target or self.DEFAULT_TARGET
        self.module = module
        self._given_cause = details.get("error")

    def __str__(self) -> str:
        return self.message

    @property
    def inner_exception(self) -> BaseException | None:
        """The exception behind this one: given as ``error=…`` or by ``raise … from``."""
        return self._given_cause or self.__cause__

    @property
    def reference_code(self) -> str:
        """Target and module, joined by a slash."""
        target = self.target.value if isinstance(self.target, ErrorTarget) else self.target
        return f"{target}/{self.module}" if self.module else target

    @property
    def error_codes(self) -> list[str]:
        """From the widest to the narrowest kind: ``["UserError", "ValidationError"]``."""
        kinds = [kind for kind in reversed(type(self).__mro__) if issubclass(kind, _CODED)]
        return [_CODES.get(kind.__name__, kind.__name__) for kind in kinds]


class UserErrorException(PromptflowException):
    """The user's input or code is wrong."""


class SystemErrorException(PromptflowException):
    """Something of the system is wrong."""


class ValidationException(UserErrorException):
    """Something given does not fit."""


_CODED = (UserErrorException, SystemErrorException)
_CODES = {
    "UserErrorException": "UserError",
    "SystemErrorException": "SystemError",
    "ValidationException": "ValidationError",
}


def _parameters(message_format: str, given: dict[str, Any]) -> dict[str, Any]:
    """Values for the names in a message's form; a name without a value stands for itself."""
    names = [name for _, name, _, _ in Formatter().parse(message_format) if name]
    return {name: given.get(name, f"<{name}>") for name in names}
